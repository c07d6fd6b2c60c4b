"""Tests of a shift against "nothing happened", paired by question."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from analysis.statistics.estimates import SEED, Resampled, sum_of_ratios
from analysis.statistics.shifts import discordant, paired_yes_no

# Fewer questions can hold too few of those that carry a shift to test its mean: with 10, exponential ones of mean 0 give
# p < .05 in 11 % of studies, with 20 in 7 (benchmarks/claims.py).
FEWEST_TESTED = 20
PERMUTATIONS = 9999  # of the swap test; with the observed one added, p is at least 1/10,000


def swap_test(seeds: Sequence[Resampled], base: Resampled) -> float:
    """Two-sided p-value of a shift by paired randomisation.

    Under the null hypothesis "adapter" and "base" are labels that can be swapped within a question; each of
    ``PERMUTATIONS`` draws swaps every cluster (all its items, all seeds alike) with probability 1/2. For a mean
    that is the sign-flip test of SciPy's ``permutation_test(..., permutation_type="samples")``; here the
    ratios are formed after swapping, so it holds for conditional rates too.
    It speaks about the adapters that were trained, not about other seeds. nan where the shift is.
    """
    observed = np.mean([s.value for s in seeds]) - base.value
    if not math.isfinite(observed):
        return math.nan
    swaps = _swaps(len(base.names))  # [P, C]
    drawn = np.zeros(len(swaps))
    same_weights = all(np.array_equal(s.denominator, base.denominator) for s in seeds)
    if same_weights:  # swapping moves the numerators only: one product for all seeds
        mean = np.mean([s.numerator for s in seeds], axis=0)
        moved = ((base.numerator - mean) / base.denominator.sum(axis=1, keepdims=True)).sum(axis=0)
        drawn = observed + 2 * (swaps @ moved)
    else:
        for seed in seeds:
            above = swaps @ (base.numerator - seed.numerator).T  # [P, J]: what swapping moves
            below = swaps @ (base.denominator - seed.denominator).T
            drawn += sum_of_ratios(
                seed.numerator.sum(axis=1) + above, seed.denominator.sum(axis=1) + below
            )
            drawn -= sum_of_ratios(
                base.numerator.sum(axis=1) - above, base.denominator.sum(axis=1) - below
            )
        drawn = drawn[np.isfinite(drawn)] / len(seeds)
    # Sums that are equal on paper differ in the last bits; without the slack they would not count.
    as_extreme = np.abs(drawn) >= abs(observed) - 1e-9 * max(1.0, abs(observed))
    return float((1 + as_extreme.sum()) / (1 + len(drawn)))


def mcnemar(adapter: Resampled, base: Resampled) -> float:
    """Exact McNemar test (Psychometrika 1947): are the questions that changed split evenly?

    For yes/no answers to distinct questions, one seed; nan for anything else. 1 where nothing changed.
    """
    if not paired_yes_no(adapter, base):
        return math.nan
    gains, losses = discordant(adapter, base)
    return float(stats.binomtest(gains, gains + losses, 0.5).pvalue) if gains + losses else 1.0


@functools.lru_cache(maxsize=4)  # 24 MB each at 300 clusters
def _swaps(clusters: int) -> np.ndarray:
    """Which clusters each permutation swaps: float64 [PERMUTATIONS, C] of zeros and ones."""
    rng = np.random.default_rng([SEED, clusters, 1])
    return rng.integers(2, size=(PERMUTATIONS, clusters)).astype(np.float64)
