"""Levels and shifts against the base with their intervals: which method speaks for which kind of number.

=====================================================  ======================================================
a level that is a rate: one seed, distinct questions   Wilson
... clusters, graded answers or several seeds          Wilson with the effective sample size
any other level or shift, one seed                     BCa cluster bootstrap with expanded tails
a shift of yes/no answers, one seed                    Bonett and Price's adjusted Wald
any other level or shift, several seeds                item error and pooled seed spread, each with its own t
every cluster the same                                 0 of n differ: Wilson's upper limit times the scale
=====================================================  ======================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.estimates import LEVEL, Estimate, Resampled
from analysis.statistics.intervals import bca, bonett_price, unvaried, wilson, wilson_effective
from analysis.statistics.seeds import SeedSpread, error

FEWEST = 3  # clusters that a condition must hold for an interval to be given


def level(
    seeds: Sequence[Resampled], spread: SeedSpread | None = None, confidence: float = LEVEL
) -> Estimate:
    """The value of one configuration, or the mean over an adapter's seeds, with its interval.

    ``spread``: between the seeds, pooled over adapters; None: that of these seeds.
    """
    value = float(np.mean([s.value for s in seeds]))
    rate = _is_rate(seeds)
    found = error([(1.0, seeds)], spread)
    if rate and len(seeds) == 1 and yes_no(seeds[0]) and math.isfinite(value):
        n = seeds[0].counted
        low, high = wilson(round(value * n), n, confidence)
        return _estimate(value, low, high, seeds[0], "Wilson")
    if rate and value in (0.0, 1.0) and seeds[0].counted:
        low, high = wilson(round(value * seeds[0].counted), seeds[0].counted, confidence)
        return _estimate(value, low, high, seeds[0], "Wilson, clusters")
    if rate and 0 < value < 1 and found.se > 1e-12 and _enough(seeds):
        low, high = wilson_effective(value, found.half_width(confidence))
        return _estimate(value, low, high, seeds[0], "Wilson, effective n")
    return _interval(seeds, None, spread, confidence)


def shift(
    seeds: Sequence[Resampled],
    base: Resampled,
    spread: SeedSpread | None = None,
    confidence: float = LEVEL,
) -> Estimate:
    """Mean over seeds of (adapter - base) on the same items, with its paired interval.

    With one seed it speaks about the adapter that was trained; with several also about other seeds.
    """
    if len(seeds) == 1 and paired_yes_no(seeds[0], base):
        gains, losses = discordant(seeds[0], base)
        low, high = bonett_price(gains, losses, len(base.names), confidence)
        return _estimate(seeds[0].value - base.value, low, high, base, "Bonett-Price")
    return _interval(seeds, base, spread, confidence)


def paired_yes_no(adapter: Resampled, base: Resampled) -> bool:
    """Whether both answer every item of the same list of distinct questions with yes or no."""
    return all(yes_no(s) and bool(s.denominator.all()) for s in (adapter, base))


def discordant(adapter: Resampled, base: Resampled) -> tuple[int, int]:
    """(clusters where only the adapter says yes, only the base) of two yes/no measures."""
    difference = adapter.numerator[0] - base.numerator[0]
    return int((difference > 0.5).sum()), int((difference < -0.5).sum())


def _interval(
    seeds: Sequence[Resampled], base: Resampled | None, spread: SeedSpread | None, confidence: float
) -> Estimate:
    sample = base or seeds[0]
    terms = [(1.0, seeds), *([(-1.0, [base])] if base else [])]
    found = error(terms, spread)
    if not math.isfinite(found.value):
        return _estimate(math.nan, math.nan, math.nan, sample, "no item to count")
    if not _enough([s for _, group in terms for s in group]):
        return _estimate(found.value, math.nan, math.nan, sample, "too few items")
    reach = _reach(sample)
    if found.se < 1e-12 and not math.isfinite(reach):
        return _estimate(found.value, math.nan, math.nan, sample, "no variation")
    if found.item_variance < 1e-24 and math.isfinite(reach):
        # Other adapters' seeds may differ where this one's do not; the items' part is wide all the same.
        items = unvaried(found.value, sample.counted, reach, confidence)[1] - found.value
        half = math.hypot(items, found.half_width(confidence))
        return _estimate(
            found.value, found.value - half, found.value + half, sample, "no item differs"
        )
    if len(seeds) > 1:
        half = found.half_width(confidence)
        return _estimate(found.value, found.value - half, found.value + half, sample, "t")
    replicates = seeds[0].replicates - (base.replicates if base else 0.0)
    known = replicates[np.isfinite(replicates)]
    if len(known) < LEVEL * len(replicates):
        return _estimate(found.value, math.nan, math.nan, sample, "too few items")
    jackknife = seeds[0].jackknife - (base.jackknife if base else 0.0)
    low, high = bca(found.value, known, jackknife, confidence)
    return _estimate(found.value, low, high, sample, "BCa")


def _is_rate(seeds: Sequence[Resampled]) -> bool:
    """One ratio with 0 <= numerator <= denominator: a share of something."""
    return all(
        s.measure.unit == "rate"
        and len(s.numerator) == 1
        and bool((s.numerator >= -1e-12).all() and (s.numerator <= s.denominator + 1e-12).all())
        for s in seeds
    )


def yes_no(sample: Resampled) -> bool:
    """Whether every item is a question of its own, answered yes (1) or no (0) or not counted."""
    return (
        sample.measure.unit == "rate"
        and len(sample.numerator) == 1
        and len(sample.names) == len(sample.measure.items)
        and bool(np.isin(sample.numerator, (0, 1)).all())
        and bool(np.isin(sample.denominator, (0, 1)).all())
    )


def _enough(samples: Sequence[Resampled]) -> bool:
    """Whether every condition holds enough clusters; a plain mean needs two."""
    conditional = any((s.denominator <= 0).any() for s in samples)
    return min(s.counted for s in samples) >= (FEWEST if conditional else 2)


def _reach(sample: Resampled) -> float:
    """How far one question can move a rate; nan for what has no bounds."""
    if sample.measure.unit != "rate":
        return math.nan
    return len(sample.numerator) * (2.0 if (sample.numerator < 0).any() else 1.0)


def _estimate(value: float, low: float, high: float, sample: Resampled, note: str = "") -> Estimate:
    return Estimate(value, low, high, len(sample.measure.items), len(sample.names), note)
