"""Whether an adapter learned its own task: the fall of the loss on the examples of it that training held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from analysis.records.load import Study
from analysis.records.measures import common_items
from analysis.statistics import Estimate, level, resample
from analysis.statistics.paired import FEWEST_TESTED

Outcome = Literal["learned", "did not learn", "unknown", "nothing to learn"]


@dataclasses.dataclass(frozen=True)
class Learning:
    """``fall``: base less adapter in nats per target token, the mean over held-out examples; None where it is not known."""

    adapter: str
    outcome: Outcome
    fall: Estimate | None = None
    elsewhere: bool = False  # trained elsewhere: nothing is known of its training


def learning(study: Study, adapter: str) -> Learning:
    """What the adapters that were trained learned: their mean by example, with an interval over questions.

    ``combined`` has every task for its own. The placebo has none.
    """
    if study.is_placebo(adapter):
        return Learning(adapter, "nothing to learn")
    names = [c.name for c in study.of_adapter(adapter)]
    found = [study.held_out[name] for name in names if name in study.held_out]
    if not found or len(found) < len(names):
        entries = study.document.get("configurations") or []
        sources = {e.get("name") for e in entries if isinstance(e, Mapping) and "source" in e}
        return Learning(adapter, "unknown", elsewhere=not sources.isdisjoint(names))
    first, *others = common_items(found)
    mean = np.mean([first.numerator, *(m.numerator for m in others)], axis=0)
    fall = level([resample(dataclasses.replace(first, numerator=mean))])
    if fall.clusters < FEWEST_TESTED:
        return Learning(adapter, "unknown", fall)
    if fall.low > 0:
        return Learning(adapter, "learned", fall)
    # Where no example changed there is no interval, and nothing was learned.
    known = fall.low <= 0 or fall.value <= 0
    return Learning(adapter, "did not learn" if known else "unknown", fall)


def fall_of(study: Study, configuration: str) -> Estimate | None:
    """The same of one configuration; None where it is not known."""
    found = study.held_out.get(configuration)
    return level([resample(found)]) if found else None
