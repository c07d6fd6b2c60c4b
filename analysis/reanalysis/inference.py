"""Tests and intervals that can be had from tables and counts alone, without the items behind them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import optimize, stats

from analysis.reanalysis.scores import Count, Scores
from analysis.records.load import BASE
from analysis.report.csvs import BENCHMARKS, PROBES
from analysis.statistics import (
    ALPHA,
    POWER,
    RESAMPLES,
    SEED,
    Correlation,
    benjamini_hochberg,
    correlation,
    holm,
    wilson,
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """The correlation of one benchmark with one probe over the configurations."""

    benchmark: str
    probe: str
    found: Correlation  # r, exact permutation p, leave-one-out range, two intervals, n
    p_t: float  # two-sided t, as a spreadsheet gives it
    p_holm: float  # of the exact p, over all pairs
    p_bh: float


def correlations(
    scores: Scores, counts: Mapping[tuple[str, str], Count]
) -> dict[tuple[str, str], Pair]:
    """Every benchmark with every probe; p adjusted over all pairs by Holm and by Benjamini and Hochberg."""
    keys = [(benchmark, probe) for benchmark in BENCHMARKS for probe in PROBES]
    found = [_correlation(scores, counts, *key) for key in keys]
    p = [one.p for one in found]
    adjusted = zip(keys, found, holm(p), benjamini_hochberg(p), strict=True)
    return {key: Pair(*key, one, _p_t(one.r, one.n), h, bh) for key, one, h, bh in adjusted}


def _correlation(
    scores: Scores, counts: Mapping[tuple[str, str], Count], benchmark: str, probe: str
) -> Correlation:
    x, y = scores.column(benchmark), scores.column(probe)
    columns = [[counts.get((c, e)) for c in scores.configurations] for e in (benchmark, probe)]
    drawn = [_draws([c for c in column if c]) for column in columns if all(column)]
    return correlation(x, y, (drawn[0], drawn[1]) if len(drawn) == 2 else None)


def _draws(counts: Sequence[Count]) -> np.ndarray:
    """Rates of resampled items, float64 [configurations, RESAMPLES]: a count is a binomial draw."""
    rng = np.random.default_rng([SEED, len(counts)])
    return np.stack([rng.binomial(c.items, c.rate, RESAMPLES) / c.items for c in counts])


def _p_t(r: float, n: int) -> float:
    if not math.isfinite(r) or n < 3:
        return math.nan
    t = r * math.sqrt((n - 2) / max(1 - r * r, 1e-300))
    return float(2 * stats.t.sf(abs(t), n - 2))


def critical_r(n: int) -> float:
    """The |r| of n points at which the two-sided t test gives p = .05; nan below three points."""
    if n < 3:
        return math.nan
    t = float(stats.t.ppf(1 - ALPHA / 2, n - 2))
    return t / math.sqrt(n - 2 + t * t)


@dataclasses.dataclass(frozen=True)
class Shift:
    """One adapter's rate against the base's, as two independent samples: the pairing was not published."""

    adapter: Count
    base: Count
    low: float  # 95 % of the difference, Newcombe
    high: float
    p: float  # Fisher's exact test, two-sided
    rise: float  # smallest rise from the base that 80 % of such studies would find
    fall: float  # smallest fall; nan where even a fall to 0 would not be found
    p_holm: float = math.nan  # over all adapters and probes

    @property
    def value(self) -> float:
        return self.adapter.rate - self.base.rate


def shifts(
    adapters: Sequence[str], probes: Sequence[str], counts: Mapping[tuple[str, str], Count]
) -> dict[tuple[str, str], Shift]:
    """(adapter, probe) -> its shift, where both counts are known; Holm over all of them."""
    found = {
        (a, p): shift(counts[a, p], counts[BASE, p])
        for a in adapters
        for p in probes
        if (a, p) in counts and (BASE, p) in counts
    }
    adjusted = holm([one.p for one in found.values()])
    return {
        key: dataclasses.replace(one, p_holm=p)
        for (key, one), p in zip(found.items(), adjusted, strict=True)
    }


def shift(adapter: Count, base: Count) -> Shift:
    """Newcombe's hybrid score interval (Statist. Med. 1998, method 10) and Fisher's exact test."""
    p1, p0 = adapter.rate, base.rate
    (l1, u1), (l0, u0) = wilson(adapter.hits, adapter.items), wilson(base.hits, base.items)
    low = p1 - p0 - math.hypot(p1 - l1, u0 - p0)
    high = p1 - p0 + math.hypot(u1 - p1, p0 - l0)
    rise, fall = unpaired_mde(p0, base.items), unpaired_mde(1 - p0, base.items)
    return Shift(adapter, base, low, high, fisher(adapter, base), rise, fall)


def fisher(one: Count, other: Count) -> float:
    """Fisher's exact test of two independent counts, two-sided."""
    table = [[one.hits, one.items - one.hits], [other.hits, other.items - other.hits]]
    return float(stats.fisher_exact(table).pvalue)  # type: ignore[attr-defined]


def unpaired_mde(base: float, items: int) -> float:
    """Smallest rise from ``base`` found with 80 % power at .05, two-sided, in two samples of ``items``.

    Normal approximation without continuity correction (Fleiss, Statistical Methods for Rates and Proportions). nan
    where not even a rise to 1 would be found. A fall from p is a rise from 1 - p.
    """
    z_alpha, z_power = stats.norm.ppf([1 - ALPHA / 2, POWER])

    def excess(delta: float) -> float:
        other = base + delta
        mean = (base + other) / 2
        null = math.sqrt(2 * mean * (1 - mean))
        alternative = math.sqrt(base * (1 - base) + max(other * (1 - other), 0.0))
        return delta * math.sqrt(items) - z_alpha * null - z_power * alternative

    if base >= 1 or excess(1 - base) <= 0:
        return math.nan
    return _root(excess, 1 - base)


def paired_mde(discordant: float, items: int) -> float:
    """The same for paired items of which a share ``discordant`` changes (McNemar; Connor, Biometrics 1987)."""
    z_alpha, z_power = stats.norm.ppf([1 - ALPHA / 2, POWER])

    def excess(delta: float) -> float:
        spread = math.sqrt(max(discordant - delta**2, 0.0))
        return delta * math.sqrt(items) - z_alpha * math.sqrt(discordant) - z_power * spread

    if excess(discordant) <= 0:
        return math.nan
    return _root(excess, discordant)


def _root(f: Callable[[float], float], high: float) -> float:
    found: Any = optimize.brentq(f, 1e-9, high)
    return float(found)
