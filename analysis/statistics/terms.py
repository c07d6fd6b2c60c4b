"""Levels and shifts of rates as sums of terms, and the limits of one term.

A term is a mean over the items that meet one condition. Items that are counted under the same condition belong
together, so that what they have in common cancels: a shift of a plain mean is one term, the mean of the paired
differences; a rate among the questions that each configuration got right is one term for each of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.estimates import Resampled, cluster_index, sum_by_cluster
from analysis.statistics.intervals import (
    mid_p,
    normal_quantile,
    paired_score,
    square_and_add,
    t_quantile,
    wilson,
    wilson_effective,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Term:
    """The mean over one condition's items, averaged over seeds."""

    value: float
    up: float  # the part of it that counts above 0
    down: float  # and below 0, as a positive number
    furthest: float  # how far from 0 the furthest item lies
    influence: np.ndarray  # float64 [C], summing to 0: see ``Resampled.influence``
    counted: int  # clusters with an item under the condition
    decided: bool  # one seed, distinct questions, and -1, 0 or 1 for each
    share: (
        int  # 1 a share, -1 one that is taken away, 0 a difference, which either side of 0 may hold
    )

    def limits(self, level: float) -> tuple[float, float]:
        """Where the mean would lie over other items of the kind.

        Both score intervals, Wilson's of a share and Tango's of a difference, take an effective number of items, the one that explains the standard error over
        clusters. A decision's error is known from its rate, so that it is the number of items; any other's is estimated,
        and its limits lie a quantile of Student's t away. Where nothing varies it is the number of clusters. A share of decisions has
        its exact limits.
        """
        n = self.counted
        reach = normal_quantile(level) if self.decided else t_quantile(n - 1, level)
        variance = float((self.influence**2).sum()) * (1 if self.decided else n / (n - 1))
        if self.share:
            low, high = self._share(abs(self.value), reach, variance, level)
            return (low, high) if self.share > 0 else (-high, -low)
        width = max(1.0, self.furthest)
        size = float(n)
        if variance > 1e-24:
            size = (width * (self.up + self.down) - self.value**2) / variance
        low, high = paired_score(self.up / width * size, self.down / width * size, size, reach)
        return low * width, high * width

    def _share(
        self, rate: float, reach: float, variance: float, level: float
    ) -> tuple[float, float]:
        n = self.counted
        if self.decided:
            return mid_p(round(rate * n), n, level)
        if min(rate, 1 - rate) < 1e-12:
            return wilson(round(rate) * n, n, level)
        if variance < 1e-24:
            variance = rate * (1 - rate) / n
        return wilson_effective(rate, reach * math.sqrt(variance))


def terms(seeds: Sequence[Resampled], against: Sequence[Resampled] = ()) -> list[Term]:
    """The terms whose sum is the mean over ``seeds``, less that over ``against`` where there are any. All on the same items."""
    above: dict[bytes, np.ndarray] = {}
    below: dict[bytes, np.ndarray] = {}
    rows: dict[bytes, int] = {}
    graded: set[bytes] = set()
    for sign, samples in ((1, seeds), *([(-1, against)] if against else [])):
        for j in range(len(seeds[0].numerator)):
            a = sign * np.stack([s.measure.numerator[j] for s in samples])  # [S, n]
            b = np.stack([s.measure.denominator[j] for s in samples])
            if (b == b[0]).all():
                a, b = a.mean(axis=0, keepdims=True), b[:1]
            condition = b.tobytes()
            above[condition] = above.get(condition, 0.0) + a
            below[condition] = b
            rows[condition] = rows.get(condition, 0) + 1
            # They are graded also where they happen to differ by nothing.
            if not all(_whole(s.measure.numerator[j]) for s in samples):
                graded.add(condition)
    measure = seeds[0].measure
    shares = all(s.measure.shares for s in (*seeds, *against))
    several = len(seeds[0].numerator) > 1 or bool(against)
    alone = len(seeds) == 1 and len(against) <= 1
    return [
        _term(
            above[c], below[c], measure.clusters, alone and c not in graded, _share_sign(above[c], several)
            if shares and rows[c] == 1 else 0,
        )
        for c in above
    ]  # fmt: skip


def interval(parts: Sequence[Term], level: float) -> tuple[float, float]:
    """Limits of the sum of ``parts``.

    Several are squared and added with their correlation. One that narrows the interval is counted for half a pair less, as
    Newcombe does, since a few items that agree do not show that all would.
    docs/statistics.md has its simulated coverage ("conditional shift", "two groups of items").
    """
    ends = np.array([part.limits(level) for part in parts])  # [K, 2]
    values = np.array([part.value for part in parts])
    if len(parts) == 1:
        return float(ends[0, 0]), float(ends[0, 1])
    influence = np.stack([part.influence for part in parts])  # [K, C]
    counted = np.array([part.counted for part in parts], float)
    covariance = influence @ influence.T
    less = np.minimum(covariance + 0.5 / np.outer(counted, counted), 0.0)
    covariance = np.where(covariance < 0, less, covariance)
    size = np.sqrt((influence**2).sum(axis=1))
    scale = np.outer(size, size)
    correlation = np.where(scale > 1e-24, covariance / np.where(scale > 1e-24, scale, 1.0), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return square_and_add(
        float(values.sum()), values - ends[:, 0], ends[:, 1] - values, correlation
    )


def _term(
    above: np.ndarray, below: np.ndarray, clusters: tuple[str, ...], one_seed: bool, share: int
) -> Term:
    """From numerators and denominators, float64 [S, n]."""
    names, index = cluster_index(clusters)
    total = below.sum(axis=1, keepdims=True)
    ratio = above.sum(axis=1, keepdims=True) / total
    away = ((above - ratio * below) / total).mean(axis=0)
    held = sum_by_cluster(below, index, len(names)) > 0
    decided = (
        one_seed
        and len(names) == len(clusters)
        and _whole(above)
        and bool(np.isin(below, (0, 1)).all())
    )
    return Term(
        value=float(ratio.mean()),
        up=float((np.maximum(above, 0) / total).sum(axis=1).mean()),
        down=float((np.maximum(-above, 0) / total).sum(axis=1).mean()),
        furthest=float(np.abs(above / np.where(below > 0, below, 1.0)).max()),
        influence=sum_by_cluster(away[None], index, len(names))[0],
        counted=int(held.sum(axis=1).min()),
        decided=decided,
        share=share,
    )


def _whole(above: np.ndarray) -> bool:
    return bool(np.isin(above, (-1, 0, 1)).all())


def _share_sign(above: np.ndarray, several: bool) -> int:
    """Of a row of shares: whether it is taken away; 0 where it is one of several and nothing in it shows which."""
    if (above < 0).any():
        return -1
    return 0 if several and not above.any() else 1
