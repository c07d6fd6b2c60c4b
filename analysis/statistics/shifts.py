"""Levels and shifts against the base with their intervals: which method speaks for which kind of number.

======================================================  =====================================================
a share: yes/no answers to distinct questions           exact binomial, mid-P
... graded answers, clusters or several seeds           Wilson with the effective number of items
a difference of rates, and any shift of a rate          Tango's score interval, with the effective number too
... among the questions each configuration got right    the rates' own limits, squared and added (Newcombe)
anything without bounds (nats, standard deviations)     t over clusters
several seeds                                           the above, and the pooled spread of seeds with its own t
======================================================  =====================================================

The method follows from the kind of number and from what it counts, never from what was found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.estimates import LEVEL, Estimate, Resampled
from analysis.statistics.intervals import t_quantile
from analysis.statistics.seeds import SeedSpread, error
from analysis.statistics.terms import Term, interval, terms

FEWEST = 3  # clusters that a condition must hold for an interval to be given


def level(seeds: Sequence[Resampled], spread: SeedSpread | None = None) -> Estimate:
    """The value of one configuration, or the mean over an adapter's seeds, with its interval.

    ``spread``: between the seeds, pooled over adapters; None: that of these seeds.
    """
    return _estimate(seeds, (), spread, LEVEL)


def shift(
    seeds: Sequence[Resampled],
    base: Resampled | Sequence[Resampled],
    spread: SeedSpread | None = None,
    confidence: float = LEVEL,
) -> Estimate:
    """Mean over seeds of (adapter - base) on the same items, with its paired interval.

    With one seed it speaks about the adapter that was trained; with several also about other seeds. Several ``base``
    are the seeds of another adapter.
    """
    against = [base] if isinstance(base, Resampled) else base
    return _estimate(seeds, against, spread, confidence)


def paired_yes_no(adapter: Resampled, base: Resampled) -> bool:
    """Whether both answer every item of the same list of distinct questions with yes or no."""
    return all(yes_no(s) and bool(s.denominator.all()) for s in (adapter, base))


def discordant(adapter: Resampled, base: Resampled) -> tuple[int, int]:
    """(clusters where only the adapter says yes, only the base) of two yes/no measures."""
    difference = adapter.numerator[0] - base.numerator[0]
    return int((difference > 0.5).sum()), int((difference < -0.5).sum())


def yes_no(sample: Resampled) -> bool:
    """Whether every item is a question of its own, answered yes (1) or no (0) or not counted."""
    return (
        sample.measure.unit == "rate"
        and len(sample.numerator) == 1
        and len(sample.names) == len(sample.measure.items)
        and bool(np.isin(sample.numerator, (0, 1)).all())
        and bool(np.isin(sample.denominator, (0, 1)).all())
    )


def _estimate(
    seeds: Sequence[Resampled], against: Sequence[Resampled], spread: SeedSpread | None, confidence: float
) -> Estimate:  # fmt: skip
    sample = (*against, *seeds)[0]
    items, clusters = len(sample.measure.items), len(sample.names)
    groups = [(1.0, seeds), *([(-1.0, against)] if against else [])]
    found = error(groups, spread)
    if not math.isfinite(found.value):
        return Estimate(math.nan, items=items, clusters=clusters, note="no item to count")
    if not _enough([s for _, group in groups for s in group]):
        return Estimate(found.value, items=items, clusters=clusters, note="too few items")
    if sample.measure.unit == "rate":
        parts = terms(seeds, against)
        low, high = interval(parts, confidence)
        note = _method(parts)
    else:
        half = t_quantile(found.item_df, confidence) * math.sqrt(found.item_variance)
        low, high, note = found.value - half, found.value + half, "t"
    if found.seed_variance:
        between = t_quantile(found.seed_df, confidence) * math.sqrt(found.seed_variance)
        low = found.value - math.hypot(found.value - low, between)
        high = found.value + math.hypot(high - found.value, between)
        note += ", seeds"
    if not high - low > 1e-12:
        return Estimate(found.value, items=items, clusters=clusters, note="no variation")
    if sample.measure.unit == "rate":
        # What seeds or several terms add may reach out of the scale.
        lowest, highest = _scale(sample, bool(against))
        low, high = max(low, lowest), min(high, highest)
    return Estimate(found.value, low, high, items, clusters, note)


def _scale(sample: Resampled, compared: bool) -> tuple[float, float]:
    """The ends of a level's or a shift's scale; of several rates every other one is taken away."""
    share = sample.measure.shares and len(sample.numerator) == 1
    if share and not compared:
        return 0.0, 1.0
    widest = max(1.0, len(sample.numerator) / 2) * (1 if share or not compared else 2)
    return -widest, widest


def _method(parts: Sequence[Term]) -> str:
    if len(parts) > 1:
        return "squared and added"
    if parts[0].share:
        return "exact, mid-P" if parts[0].decided else "Wilson, effective n"
    return "score" if parts[0].decided else "score, effective n"


def _enough(samples: Sequence[Resampled]) -> bool:
    """Whether every condition holds enough clusters; a plain mean needs two."""
    conditional = any((s.denominator <= 0).any() for s in samples)
    return min(s.counted for s in samples) >= (FEWEST if conditional else 2)
