"""Pearson's r over a handful of configurations: exact p, and three ways to see how little it says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from analysis.statistics.estimates import LEVEL, SEED
from analysis.statistics.paired import PERMUTATIONS


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Pearson's r over n configurations; nan where it cannot be had."""

    r: float
    p: float  # two-sided, over all n! pairings when n <= 7, else over random ones
    lowest: float  # of r when one configuration is left out
    highest: float
    n: int
    # Fisher's 95 % interval; it takes both columns as normal, so it is unreliable here.
    low: float = math.nan
    high: float = math.nan
    items_low: float = math.nan  # the same with the error of the columns themselves in it
    items_high: float = math.nan


def correlation(
    x: Sequence[float],
    y: Sequence[float],
    replicates: tuple[np.ndarray, np.ndarray] | None = None,
) -> Correlation:
    """Pearson correlation of two short columns; pairs with a nan are left out.

    ``replicates``: the columns from resampled items, float64 [n, B] each, for the interval that
    also resamples items: each replicate's r gets Fisher's error 1 / sqrt(n - 3) on the scale of atanh, and
    the percentiles are read. nan when fewer than three pairs are left or a column does not vary.
    """
    pairs = np.array([x, y], dtype=float)
    known = np.isfinite(pairs).all(axis=0)
    pairs = pairs[:, known]
    n = pairs.shape[1]
    r = _pearson(pairs)
    if not math.isfinite(r):
        return Correlation(math.nan, math.nan, math.nan, math.nan, n)
    # SciPy goes through all pairings when more are asked for than there are (7! = 5,040).
    draws = 5040 if n <= 7 else PERMUTATIONS
    method = stats.PermutationMethod(n_resamples=draws, rng=np.random.default_rng(SEED))
    tested: Any = stats.pearsonr(pairs[0], pairs[1], method=method)
    left_out = [_pearson(np.delete(pairs, i, axis=1)) for i in range(n)]
    finite = all(map(math.isfinite, left_out))
    found = Correlation(
        r,
        float(tested.pvalue),
        min(left_out) if finite else math.nan,
        max(left_out) if finite else math.nan,
        n,
    )
    if n < 4 or abs(r) > 1 - 1e-12:
        return found
    low, high = stats.pearsonr(pairs[0], pairs[1]).confidence_interval(LEVEL)
    found = dataclasses.replace(found, low=float(low), high=float(high))
    if replicates is None:
        return found
    items = _with_items(replicates[0][known], replicates[1][known])
    return dataclasses.replace(found, items_low=items[0], items_high=items[1])


def _with_items(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng([SEED, len(x), 2])
    # The two columns ask different items: their replicates are independent, so one is shuffled.
    y = y[:, rng.permutation(y.shape[1])]
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (dx * dy).sum(axis=0) / np.sqrt((dx**2).sum(axis=0) * (dy**2).sum(axis=0))
    r = r[np.isfinite(r)]
    if not len(r):
        return math.nan, math.nan
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    z += rng.normal(scale=1 / math.sqrt(len(x) - 3), size=len(z))
    low, high = np.tanh(np.quantile(z, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return float(low), float(high)


def _pearson(pairs: np.ndarray) -> float:
    if pairs.shape[1] < 3 or (np.ptp(pairs, axis=1) < 1e-12).any():
        return math.nan
    return float(np.corrcoef(pairs)[0, 1])
