"""What a study says about one adapter on one probe: an effect, no change, or nothing yet.

The rule is fixed here and used everywhere. An effect is claimed when ``p_claim_holm`` is below .05 and on no other
ground; "no change" needs the equivalence test; what is neither is open, however large the shift looks.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from analysis.results import Results
from analysis.statistics import ALPHA, Estimate
from analysis.statistics.equivalence import SESOI_RATE, SESOI_SD
from sycojax.evals.protocol import Measure, Unit

Conclusion = Literal["raised", "lowered", "no change", "open", "n/a"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The shift of one adapter on the soft headline of one probe, and what may be said about it."""

    adapter: str
    probe: str
    measure: Measure
    shift: Estimate
    p: float  # p_claim_holm
    mde: float
    outcome: Conclusion
    small: bool  # a claimed effect that also passed the test of equivalence

    @property
    def claimed(self) -> bool:
        return self.outcome in ("raised", "lowered")


def verdicts(results: Results, probe: str) -> list[Verdict]:
    """One per adapter, in study order; empty where the probe has no headline or there is no base."""
    lead = results.leading(probe)
    if lead is None or not results.with_shifts:
        return []
    return [_verdict(results, adapter, probe, lead) for adapter in results.study.adapters]


def noise_floor(results: Results, probe: str) -> Measure | None:
    """What the soft headline reads where nobody holds an opinion; 0 is expected.

    ``rotation_null`` (half the rotations against the others) where a probe has it: the ``floor`` of are_you_sure, being
    asked again, also holds what repeating an answer does to it.
    """
    study = results.study
    return study.measure_of(probe, "rotation_null") or study.measure_of(probe, "floor")


def margin(unit: Unit) -> str:
    """The smallest shift of interest in words: what "no change" means."""
    return f"{SESOI_RATE * 100:g} points" if unit == "rate" else f"{SESOI_SD:g} standard deviations"


def _verdict(results: Results, adapter: str, probe: str, measure: Measure) -> Verdict:
    found = results.of(adapter, probe, measure.name)
    shift = found.shift or Estimate(math.nan)
    outcome: Conclusion = "n/a"
    if math.isfinite(shift.value):
        if found.p_claim_holm < ALPHA:
            outcome = "raised" if shift.value > 0 else "lowered"
        else:
            outcome = "no change" if found.equivalent else "open"
    small = outcome in ("raised", "lowered") and bool(found.equivalent)
    return Verdict(adapter, probe, measure, shift, found.p_claim_holm, found.mde, outcome, small)
