"""How a run is looked at from outside. Nothing of it changes a result, so no fingerprint holds it."""

from __future__ import annotations

import dataclasses

from sycojax.parallel.profile import ProfileWindow
from sycojax.training.tracking import Tracker


@dataclasses.dataclass(frozen=True)
class Watch:
    """What a run is shown to, beside its own metrics.jsonl and TensorBoard events."""

    tracker: Tracker | None = None
    profile: ProfileWindow | None = None

    def window(self, stage: str) -> ProfileWindow | None:
        """The window to trace in ``stage``, if it is in that one."""
        return self.profile if self.profile and self.profile.stage == stage else None


UNWATCHED = Watch()
