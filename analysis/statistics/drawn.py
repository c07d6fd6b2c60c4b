"""Intervals of numbers that are no sums of means, a ratio or a divergence: replicates over questions, and the spread of seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.estimates import LEVEL, Drawn, Estimate
from analysis.statistics.intervals import normal_quantile, t_quantile
from analysis.statistics.paired import FEWEST_TESTED
from analysis.statistics.seeds import SeedSpread, pooled_spread


def drawn_shift(seeds: Sequence[Drawn], base: Drawn, spread: SeedSpread | None = None) -> Estimate:
    """Mean over ``seeds`` less the base's; without an interval below ``FEWEST_TESTED`` questions.

    Percentiles of the replicates, as far from the value as a quantile of Student's t asks of an estimated error, and the seeds'
    part as in ``seeds.error``. ``spread``: pooled over adapters; None: that of these seeds.
    """
    value, clusters = float(np.mean([s.value for s in seeds])) - base.value, base.clusters
    if clusters < FEWEST_TESTED:
        return Estimate(value, clusters=clusters, note="too few items")
    drawn = np.stack([s.replicates for s in seeds])  # [S, RESAMPLES]
    mean, correction = drawn.mean(axis=0), clusters / (clusters - 1)
    ends = np.nanquantile(mean - base.replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    stretch = t_quantile(clusters - 1, LEVEL) / normal_quantile(LEVEL) * math.sqrt(correction)
    below, above = (stretch * max(away, 0.0) for away in (value - ends[0], ends[1] - value))
    between, spread = 0.0, spread or pooled_spread([seeds])
    if len(seeds) > 1 and spread:
        noise = correction * float(np.nanvar(drawn - mean, axis=1).sum()) / (len(seeds) - 1)
        own = float(np.var([s.value for s in seeds], ddof=1))
        excess = max(spread.variance, own) - noise
        between = t_quantile(spread.df, LEVEL) * math.sqrt(max(excess, 0.0) / len(seeds))
    low, high = value - math.hypot(below, between), value + math.hypot(above, between)
    return Estimate(value, low, high, clusters=clusters, note="percentile")
