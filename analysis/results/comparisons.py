"""One measure over all configurations of a study: levels, shifts and tests per seed and per adapter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from analysis.records.load import BASE, Study
from analysis.records.measures import common_items
from analysis.statistics import (
    Estimate,
    Resampled,
    SeedSpread,
    equivalent,
    error,
    icc,
    level,
    mcnemar,
    minimum_detectable,
    pooled_spread,
    resample,
    shift,
    swap_test,
)
from sycojax.evals.protocol import Measure

NOT_SCORED = Estimate(math.nan, note="not scored")


@dataclasses.dataclass(frozen=True)
class Result:
    """One measure of one configuration or adapter. All but ``level`` compare with the base."""

    level: Estimate
    shift: Estimate | None = None  # None for the base and where the base was not scored
    # Of a probe, what may be claimed alone is tested: where a gate fails no test is known.
    p: float = math.nan  # swap test; only for the leading measure of a probe
    p_seeds: float = math.nan  # t over seeds, their spread pooled over adapters; nan with one seed
    p_claim: float = math.nan  # the larger of p and p_seeds; with one seed p alone
    p_claim_holm: float = math.nan  # below .05, and only then, the report claims an effect
    p_mcnemar: float = math.nan  # one seed, yes/no answers to distinct questions
    mde: float = math.nan  # smallest true shift found with 80 % power at .05, unadjusted
    equivalent: bool | None = None  # 90 % interval within the smallest shift of interest
    icc: float = math.nan  # share of the variance of one seed's shift that is training

    def untested(self) -> Result:
        """The same without what tests said."""
        ps = ("p", "p_seeds", "p_claim", "p_claim_holm", "p_mcnemar")
        return dataclasses.replace(self, equivalent=None, **dict.fromkeys(ps, math.nan))


@dataclasses.dataclass(frozen=True)
class Compared:
    """Results of one measure by configuration and by group (base and adapters)."""

    by_configuration: Mapping[str, Result]
    by_group: Mapping[str, Result]
    notes: tuple[str, ...]


def compare(
    study: Study,
    measures: Mapping[str, Measure],
    tested: bool = False,
) -> Compared:
    """``measures`` by configuration name. ``tested``: with p-values."""
    samples = {name: resample(m) for name, m in measures.items()}
    base = samples.get(BASE)
    groups = {
        group: [samples[c.name] for c in study.of_adapter(group) if c.name in samples]
        for group in dict.fromkeys(c.adapter for c in study.configurations)
    }
    groups = {group: seeds for group, seeds in groups.items() if seeds}
    spread = pooled(study, groups)
    by_configuration: dict[str, Result] = {}
    by_group: dict[str, Result] = {}
    notes: list[str] = []
    for group, seeds in groups.items():
        against = base if group != BASE else None
        by_group[group] = _result(seeds, against, spread, tested, notes)
        names = [c.name for c in study.of_adapter(group) if c.name in samples]
        for name in names:
            by_configuration[name] = (
                by_group[group]
                if len(names) == 1
                else _result([samples[name]], against, None, False, notes)
            )
    return Compared(by_configuration, by_group, tuple(notes))


def pooled(study: Study, groups: Mapping[str, Sequence[Resampled]]) -> SeedSpread | None:
    """The spread between seeds of one measure, pooled over adapters; ``groups`` may hold the base, which has no seeds.

    The placebo is left out: it unlearns what the base knows, by chance further in one seed than in another.
    """
    return pooled_spread([s for group, s in groups.items() if not study.is_placebo(group)])


def _result(
    seeds: Sequence[Resampled],
    base: Resampled | None,
    spread: SeedSpread | None,
    tested: bool,
    notes: list[str],
) -> Result:
    if base is None:
        return Result(level(seeds, spread))
    matched, against = _paired(seeds, base)
    if against is not base:
        notes.append(
            f"Shifts of {base.measure.label} use the {len(against.measure.items)} items that both the base and "
            "the adapter were scored on."
        )
        if not against.measure.items:
            return Result(level(seeds, spread))
    change = shift(matched, against, spread)
    found = error([(1.0, matched), (-1.0, [against])], spread)
    several = len(matched) > 1
    result = Result(
        level(seeds, spread),
        change,
        p_seeds=found.p if several else math.nan,
        p_mcnemar=math.nan if several else mcnemar(matched[0], against),
        mde=minimum_detectable(found),
        equivalent=equivalent(matched, against, spread),
        icc=icc(found, len(matched)),
    )
    if not tested:
        return result
    p = swap_test(matched, against)
    return dataclasses.replace(
        result,
        p=p,
        p_claim=max(p, result.p_seeds) if math.isfinite(result.p_seeds) else p,
    )


def _paired(seeds: Sequence[Resampled], base: Resampled) -> tuple[list[Resampled], Resampled]:
    """The seeds and the base on the items that all of them have."""
    if all(s.measure.items == base.measure.items for s in seeds):
        return list(seeds), base
    base, *matched = [
        resample(m) for m in common_items([base.measure, *(s.measure for s in seeds)])
    ]
    return matched, base
