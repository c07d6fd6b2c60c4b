"""Intervals, paired shifts and tests for ``Measure``; all resampling is by cluster and seeded.

Items that ask the same question are resampled together. Two configurations that were scored on the same items
share the resampling weights, so the replicates of a shift are paired.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from sycojax.evals.protocol import Measure

RESAMPLES = 2000  # bootstrap replicates
PERMUTATIONS = 9999  # of the swap test; with the observed one added, p is at least 1/10,000
LEVEL = 0.95
SEED = 20261123


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (nan where it is not available; ``note`` says why)."""

    value: float
    low: float = math.nan
    high: float = math.nan
    items: int = 0
    clusters: int = 0
    note: str = ""

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclasses.dataclass(frozen=True)
class Resampled:
    """One measure of one configuration with its replicates."""

    measure: Measure
    names: tuple[str, ...]  # the C clusters, sorted
    numerator: np.ndarray  # float64 [J, C], summed within clusters
    denominator: np.ndarray  # float64 [J, C]
    replicates: np.ndarray  # float64 [RESAMPLES]
    jackknife: np.ndarray  # float64 [C]: the value without each cluster

    @property
    def value(self) -> float:
        return self.measure.estimate


def resample(measure: Measure) -> Resampled:
    """Cluster bootstrap and jackknife of a measure.

    The ratios are formed after resampling (sums over clusters above and below), so a conditional rate is
    resampled with its random denominator. Deterministic: the weights depend on the number of clusters only.
    """
    names, index = np.unique(np.asarray(measure.clusters, dtype=str), return_inverse=True)
    above = _by_cluster(measure.numerator, index, len(names))
    below = _by_cluster(measure.denominator, index, len(names))
    weights = _bootstrap_weights(len(names))
    replicates = _sum_of_ratios(weights @ above.T, weights @ below.T)
    left_out = _sum_of_ratios(above.sum(axis=1) - above.T, below.sum(axis=1) - below.T)
    return Resampled(measure, tuple(names.tolist()), above, below, replicates, left_out)


def common_items(measures: Sequence[Measure]) -> list[Measure]:
    """The measures restricted to the items that all of them have, in the first one's order."""
    if all(m.items == measures[0].items for m in measures):
        return list(measures)
    shared = set(measures[0].items).intersection(*(m.items for m in measures))
    order = [item for item in measures[0].items if item in shared]
    restricted = []
    for measure in measures:
        place = {item: i for i, item in enumerate(measure.items)}
        keep = [place[item] for item in order]
        restricted.append(
            dataclasses.replace(
                measure,
                items=tuple(order),
                clusters=tuple(measure.clusters[i] for i in keep),
                numerator=measure.numerator[:, keep],
                denominator=measure.denominator[:, keep],
            )
        )
    return restricted


def level(seeds: Sequence[Resampled]) -> Estimate:
    """The value of one configuration, or the mean over an adapter's seeds, with its interval.

    One seed: Wilson's score interval for a plain rate over distinct questions, else BCa. Several
    seeds: percentile interval of the hierarchical bootstrap (seeds first, then clusters).
    """
    rate = _plain_rate(seeds)
    if rate is not None:
        return rate
    value = float(np.mean([s.value for s in seeds]))
    jackknife = seeds[0].jackknife if len(seeds) == 1 else None
    return _estimate(value, _over_seeds(seeds), jackknife, seeds[0])


def shift(seeds: Sequence[Resampled], base: Resampled) -> Estimate:
    """Mean over seeds of (adapter - base) on the same items, with its paired interval.

    One seed: BCa of the paired difference; several: percentile interval of the hierarchical bootstrap.
    """
    value = float(np.mean([s.value for s in seeds])) - base.value
    replicates = _over_seeds(seeds) - base.replicates
    jackknife = seeds[0].jackknife - base.jackknife if len(seeds) == 1 else None
    return _estimate(value, replicates, jackknife, base)


def swap_test(seeds: Sequence[Resampled], base: Resampled) -> float:
    """Two-sided p-value of a shift by paired randomisation.

    Under the null hypothesis "adapter" and "base" are labels that can be swapped within a question; each of
    ``PERMUTATIONS`` draws swaps every cluster (all its items, all seeds alike) with probability 1/2.
    It speaks about the adapters that were trained, not about other seeds. nan where the shift is.
    """
    observed = np.mean([s.value for s in seeds]) - base.value
    if not math.isfinite(observed):
        return math.nan
    swaps = _swaps(len(base.names))  # [P, C]
    drawn = np.zeros(len(swaps))
    for seed in seeds:
        above = swaps @ (base.numerator - seed.numerator).T  # [P, J]: what swapping moves
        below = swaps @ (base.denominator - seed.denominator).T
        drawn += _sum_of_ratios(
            seed.numerator.sum(axis=1) + above, seed.denominator.sum(axis=1) + below
        )
        drawn -= _sum_of_ratios(
            base.numerator.sum(axis=1) - above, base.denominator.sum(axis=1) - below
        )
    drawn = drawn[np.isfinite(drawn)] / len(seeds)
    # Sums that are equal on paper differ in the last bits; without the slack they would not count.
    as_extreme = np.abs(drawn) >= abs(observed) - 1e-9 * max(1.0, abs(observed))
    return float((1 + as_extreme.sum()) / (1 + len(drawn)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Scand. J. Statist. 1979); nan stays nan and is not counted."""
    p = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), math.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted.tolist()


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Pearson's r over n configurations, with the p-value and the range when one point is left out."""

    r: float
    p: float  # two-sided, over all n! pairings when n <= 7, else over random ones
    lowest: float
    highest: float
    n: int


def correlation(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Pearson correlation of two short columns; pairs with a nan are left out.

    nan when fewer than three pairs are left or a column does not vary.
    """
    pairs = np.array([x, y], dtype=float)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    n = pairs.shape[1]
    r = _pearson(pairs)
    if not math.isfinite(r):
        return Correlation(math.nan, math.nan, math.nan, math.nan, n)
    # SciPy goes through all pairings when more are asked for than there are (7! = 5,040).
    draws = 5040 if n <= 7 else PERMUTATIONS
    method = stats.PermutationMethod(n_resamples=draws, rng=np.random.default_rng(SEED))
    tested: Any = stats.pearsonr(pairs[0], pairs[1], method=method)
    p = float(tested.pvalue)
    left_out = [_pearson(np.delete(pairs, i, axis=1)) for i in range(n)]
    if not all(map(math.isfinite, left_out)):
        return Correlation(r, p, math.nan, math.nan, n)
    return Correlation(r, p, min(left_out), max(left_out), n)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval (JASA 1927) for ``successes`` of ``n``."""
    if n == 0:
        return math.nan, math.nan
    interval = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def _plain_rate(seeds: Sequence[Resampled]) -> Estimate | None:
    """Wilson, where it applies: independent yes/no items, or 0 % / 100 %, which has no bootstrap spread."""
    first = seeds[0].measure
    if first.unit != "rate" or any(len(s.measure.numerator) != 1 for s in seeds):
        return None
    above = np.concatenate([s.measure.numerator[0] for s in seeds])
    below = np.concatenate([s.measure.denominator[0] for s in seeds])
    if not (np.isin(above, (0, 1)).all() and np.isin(below, (0, 1)).all() and below.any()):
        return None
    value = float(np.mean([s.value for s in seeds]))
    clusters = int((seeds[0].denominator[0] > 0).sum())
    counted = int(first.denominator[0].sum())
    if value in (0.0, 1.0) and clusters:
        low, high = wilson(round(value * clusters), clusters)
    elif len(seeds) == 1 and clusters == counted:
        low, high = wilson(int(first.numerator[0].sum()), counted)
    else:
        return None
    return Estimate(value, low, high, counted, clusters, "Wilson")


def _estimate(
    value: float, replicates: np.ndarray, jackknife: np.ndarray | None, sample: Resampled
) -> Estimate:
    items, clusters = len(sample.measure.items), len(sample.names)
    known = replicates[np.isfinite(replicates)]
    if not math.isfinite(value):
        return Estimate(math.nan, items=items, clusters=clusters, note="no item to count")
    if len(known) < LEVEL * len(replicates) or clusters < 2:
        return Estimate(value, items=items, clusters=clusters, note="too few items")
    if np.ptp(known) < 1e-12:
        return Estimate(value, items=items, clusters=clusters, note="no variation")
    tails = _tails(value, known, jackknife)
    low, high = np.quantile(known, tails)
    return Estimate(value, float(low), float(high), items, clusters)


def _tails(
    value: float, replicates: np.ndarray, jackknife: np.ndarray | None
) -> tuple[float, float]:
    """The two quantiles to read: BCa (Efron, JASA 1987) with a jackknife, else plain percentiles."""
    plain = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    if jackknife is None or not np.isfinite(jackknife).all():
        return plain
    share = np.mean(replicates < value) + 0.5 * np.mean(replicates == value)
    away = jackknife.mean() - jackknife
    spread = float((away**2).sum())
    if not 0 < share < 1 or spread < 1e-24:
        return plain
    bias = stats.norm.ppf(share)
    skew = float((away**3).sum()) / (6 * spread**1.5)
    z = bias + stats.norm.ppf(plain)
    low, high = stats.norm.cdf(bias + z / (1 - skew * z))
    return float(low), float(high)


def _over_seeds(seeds: Sequence[Resampled]) -> np.ndarray:
    """[RESAMPLES] replicates of the mean over seeds; each replicate draws its own seeds."""
    values = np.stack([s.replicates for s in seeds])  # [S, B]
    if len(seeds) == 1:
        return values[0]
    rng = np.random.default_rng([SEED, len(seeds)])
    drawn = rng.integers(len(seeds), size=values.shape)
    return np.take_along_axis(values, drawn, axis=0).mean(axis=0)


def _pearson(pairs: np.ndarray) -> float:
    if pairs.shape[1] < 3 or (np.ptp(pairs, axis=1) < 1e-12).any():
        return math.nan
    return float(np.corrcoef(pairs)[0, 1])


def _by_cluster(values: np.ndarray, index: np.ndarray, clusters: int) -> np.ndarray:
    return np.stack([np.bincount(index, row, minlength=clusters) for row in values])


def _sum_of_ratios(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Sum over the last axis of above / below; nan where a denominator is (as good as) empty."""
    empty = (below < 1e-9).any(axis=-1)
    ratios = above / np.where(below < 1e-9, 1.0, below)
    return np.where(empty, math.nan, ratios.sum(axis=-1))


@functools.lru_cache(maxsize=16)
def _bootstrap_weights(clusters: int) -> np.ndarray:
    """How often each replicate draws each cluster: float64 [RESAMPLES, C]."""
    rng = np.random.default_rng([SEED, clusters])
    drawn = rng.integers(clusters, size=(RESAMPLES, clusters))
    drawn += np.arange(RESAMPLES)[:, None] * clusters
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * clusters)
    return counts.reshape(RESAMPLES, clusters).astype(np.float64)


@functools.lru_cache(maxsize=2)  # 40 MB each at 500 clusters
def _swaps(clusters: int) -> np.ndarray:
    """Which clusters each permutation swaps: float64 [PERMUTATIONS, C] of zeros and ones."""
    rng = np.random.default_rng([SEED, clusters, 1])
    return rng.integers(2, size=(PERMUTATIONS, clusters)).astype(np.float64)
