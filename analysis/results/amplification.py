"""Does the adapter trained on everything shift a probe more than the adapters of its parts?

Three contrasts on the same items: its shift minus the mean, minus the sum, and minus the largest of its constituents'
shifts. The base cancels from the first and the third.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records.load import BASE, COMBINED, Study
from analysis.results.comparisons import paired
from analysis.statistics import (
    LEVEL,
    SEED,
    Estimate,
    Resampled,
    SeedSpread,
    error,
    pooled_spread,
    resample,
    shift,
)
from sycojax.evals.protocol import Measure


@dataclasses.dataclass(frozen=True)
class Amplification:
    """One probe's soft headline. ``minus_*`` above 0: the combined adapter is more sycophantic than that."""

    evaluation: str
    measure: str
    unit: str
    adapter: str  # the combined one
    constituents: tuple[str, ...]
    combined: Estimate  # its shift against the base
    largest_of: str  # the constituent with the largest shift
    mean: float  # of the constituents' shifts
    sum: float
    largest: float
    minus_mean: Estimate
    minus_sum: Estimate
    minus_largest: Estimate


def amplify(study: Study, evaluation: str, measures: Mapping[str, Measure]) -> Amplification | None:
    """``measures`` by configuration name; None without the base, ``combined`` and two constituents."""
    samples = {name: resample(m) for name, m in measures.items()}
    groups = {
        adapter: [samples[c.name] for c in study.of_adapter(adapter) if c.name in samples]
        for adapter in study.adapters
    }
    parts = tuple(a for a, seeds in groups.items() if a != COMBINED and seeds)
    if BASE not in samples or not groups.get(COMBINED) or len(parts) < 2:
        return None
    flat = [s for adapter in (COMBINED, *parts) for s in groups[adapter]]
    matched, base = paired(flat, samples[BASE])
    if not base.measure.items:
        return None
    queue = iter(matched)
    groups = {a: [next(queue) for _ in groups[a]] for a in (COMBINED, *parts)}
    spread = pooled_spread(list(groups.values()))
    shifts = {a: float(np.mean([s.value for s in groups[a]])) - base.value for a in parts}
    largest_of = max(shifts, key=lambda a: shifts[a])
    k = len(parts)
    combined = (1.0, groups[COMBINED])
    measure = base.measure
    return Amplification(
        evaluation, measure.name, measure.unit, COMBINED, parts,
        shift(groups[COMBINED], base, spread), largest_of,
        sum(shifts.values()) / k, sum(shifts.values()), shifts[largest_of],
        _contrast([combined, *((-1.0 / k, groups[a]) for a in parts)], spread),
        _contrast([combined, *((-1.0, groups[a]) for a in parts), (k - 1.0, [base])], spread),
        minus_largest(groups[COMBINED], [groups[a] for a in parts], spread),
    )  # fmt: skip


def _contrast(
    terms: Sequence[tuple[float, Sequence[Resampled]]], spread: SeedSpread | None
) -> Estimate:
    """A weighted sum with its t interval."""
    found = error(terms, spread)
    sample = terms[0][1][0]
    size = len(sample.measure.items), len(sample.names)
    if not (math.isfinite(found.value) and found.se > 1e-12):
        return Estimate(found.value, math.nan, math.nan, *size, "no variation")
    half = found.half_width()
    return Estimate(found.value, found.value - half, found.value + half, *size, "t")


def minus_largest(
    combined: Sequence[Resampled],
    parts: Sequence[Sequence[Resampled]],
    spread: SeedSpread | None = None,
) -> Estimate:
    """Combined minus the largest of its parts, corrected for the largest being picked after the fact.

    The largest of k noisy shifts is biased upward, so the plain difference is biased downward. The value
    is corrected by the bootstrap's own bias (clusters drawn anew, seeds with normal noise, the largest picked anew in
    each replicate). The interval does not come from those replicates: with tied parts their percentiles cover
    the truth in 80 % of simulations. It is made of the k pairwise t intervals: the lowest of their lower ends
    (theta = min_a (combined - a), so the pair that attains it covers), and the lowest of their upper ends with the
    tail divided by k. Simulated coverage 95-99 %, never above 2.9 % in the lower tail.
    """
    pairs = [error([(1.0, combined), (-1.0, part)], spread) for part in parts]
    sample = combined[0]
    size = len(sample.measure.items), len(sample.names)
    observed = min(pair.value for pair in pairs)
    if not all(pair.se > 1e-12 for pair in pairs):
        return Estimate(observed, math.nan, math.nan, *size, "no variation")
    drawn = np.stack([_draws(group, spread, i) for i, group in enumerate((combined, *parts))])
    bias = float(np.nanmean(drawn[0] - drawn[1:].max(axis=0))) - observed
    tail = (1 - LEVEL) / 2
    low = min(pair.value - pair.half_width() for pair in pairs)
    high = min(pair.value + pair.half_width(1 - 2 * tail / len(pairs)) for pair in pairs)
    value = min(max(observed - bias, low), high)
    return Estimate(float(value), float(low), float(high), *size, "pairwise t, bias-corrected")


def _draws(seeds: Sequence[Resampled], spread: SeedSpread | None, stream: int) -> np.ndarray:
    """[RESAMPLES] bootstrap means over the seeds, with what other seeds would have changed."""
    items = np.mean([s.replicates for s in seeds], axis=0)
    if len(seeds) == 1:
        return items
    scale = math.sqrt(error([(1.0, seeds)], spread).seed_variance)
    return items + np.random.default_rng([SEED, stream, 3]).normal(scale=scale, size=len(items))
