"""What training did to the loss on an adapter's own held-out examples, as a measure like those of the records."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sycojax.data.held_out import read_held_out
from sycojax.evals.protocol import Measure


def held_out_fall(adapter: Path) -> Measure | None:
    """By example the loss of the base less that of the adapter in this directory; None where it was not kept.

    Raises ``SycojaxError`` where its file is damaged.
    """
    found = read_held_out(adapter)
    if found is None:
        return None
    fall = np.subtract(found.base, found.adapter)[None]
    return Measure(
        "held_out_fall", "Held-out loss, base less adapter", "nats", found.items,
        tuple(map(str, found.questions)), fall, np.ones_like(fall),
        "mean over held-out examples of the mean loss per target token, base less adapter",
    )  # fmt: skip
