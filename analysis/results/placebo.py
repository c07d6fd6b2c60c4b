"""An adapter's shift beside the placebo's: what its task did beyond what any training of that length does."""

from __future__ import annotations

import dataclasses

from analysis.records.load import BASE, Study
from analysis.records.measures import common_items
from analysis.results.comparisons import pooled
from analysis.results.study import Results
from analysis.statistics import Estimate, resample, shift
from sycojax.evals.protocol import Measure
from sycojax.records import PLACEBO


@dataclasses.dataclass(frozen=True)
class BesidePlacebo:
    """Shifts of one measure against the base, and ``difference``: the adapter's less the placebo's, paired by item."""

    adapter: Estimate
    placebo: Estimate
    difference: Estimate


def beside_placebo(
    results: Results, adapter: str, evaluation: str, measure: str
) -> BesidePlacebo | None:
    """None for base and placebo, and where the study has no placebo or one of the two shifts is not known.

    The difference is a shift whose base is the placebo, with the same error by question. The spread of seeds, on both sides, is that
    pooled over the measure's other adapters, or the placebo's own where that is larger.
    """
    if adapter in (BASE, PLACEBO):
        return None
    study = results.study
    own, its = (results.of(group, evaluation, measure).shift for group in (adapter, PLACEBO))
    if own is None or its is None:
        return None
    found = {a: _measures(study, a, evaluation, measure) for a in study.adapters}
    spread = pooled(study, {a: [resample(m) for m in several] for a, several in found.items()})
    n = len(found[adapter])
    matched = [resample(m) for m in common_items([*found[adapter], *found[PLACEBO]])]
    if not matched[0].measure.items:
        return None
    return BesidePlacebo(own, its, shift(matched[:n], matched[n:], spread))


def _measures(study: Study, adapter: str, evaluation: str, name: str) -> list[Measure]:
    found = (study.measure(c.name, evaluation, name) for c in study.of_adapter(adapter))
    return [measure for measure in found if measure is not None]
