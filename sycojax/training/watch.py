"""How training is looked at from outside. Nothing of it changes a result, so no fingerprint holds it."""

from __future__ import annotations

import dataclasses

from sycojax.training.profile import ProfileWindow
from sycojax.training.tracking import Tracker


@dataclasses.dataclass(frozen=True)
class Watch:
    """What a run is shown to, beside its own metrics.jsonl and TensorBoard events."""

    tracker: Tracker | None = None
    profile: ProfileWindow | None = None


UNWATCHED = Watch()
