"""What is estimated and what it is resampled from: clusters of items that ask the same question.

Two configurations that were scored on the same items share the resampling weights, so the replicates of a
shift are paired.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sycojax.evals.protocol import Measure

RESAMPLES = 2000  # bootstrap replicates
LEVEL = 0.95  # of intervals
ALPHA = 0.05  # of tests
POWER = 0.80  # of the smallest effect that a study is said to find
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

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON values; what is not available is null."""
        raw = dataclasses.asdict(self)
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in raw.items()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Estimate:
        """The estimate that ``to_json`` wrote."""
        value, low, high = (
            math.nan if raw[k] is None else float(raw[k]) for k in ("value", "low", "high")
        )
        return cls(value, low, high, int(raw["items"]), int(raw["clusters"]), str(raw["note"]))

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclasses.dataclass(frozen=True, eq=False)
class Resampled:
    """One measure of one configuration, by cluster; what resampling gives is made when it is asked for."""

    measure: Measure
    names: tuple[str, ...]  # the C clusters, sorted
    numerator: np.ndarray  # float64 [J, C], summed within clusters
    denominator: np.ndarray  # float64 [J, C]

    @functools.cached_property
    def value(self) -> float:
        return self.measure.estimate

    @functools.cached_property
    def replicates(self) -> np.ndarray:
        """float64 [RESAMPLES]: the value of each bootstrap sample of clusters; nan where it has none."""
        weights = bootstrap_weights(len(self.names))
        return sum_of_ratios(weights @ self.numerator.T, weights @ self.denominator.T)

    @functools.cached_property
    def influence(self) -> np.ndarray:
        """float64 [C], summing to 0: what each cluster adds to the value, to first order.

        ``sum_j (a_jc - R_j b_jc) / B_j`` with R_j = A_j / B_j, the linearised ratio of survey sampling
        (Woodruff, JASA 1971); for a plain mean this is Miller's clustered deviation (arXiv 2411.00640).
        """
        total = self.denominator.sum(axis=1, keepdims=True)
        if (total < 1e-9).any():
            return np.full(len(self.names), math.nan)
        ratio = self.numerator.sum(axis=1, keepdims=True) / total
        return ((self.numerator - ratio * self.denominator) / total).sum(axis=0)

    @functools.cached_property
    def counted(self) -> int:
        """Clusters that count: those with weight in the emptiest of the J denominators."""
        return int((self.denominator > 0).sum(axis=1).min())


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """A number of one configuration that is no sum of means; configurations that were asked the same share the draws."""

    value: float
    replicates: np.ndarray  # float64 [RESAMPLES]
    clusters: int


def resample(measure: Measure) -> Resampled:
    """A measure summed within its clusters, ready to be resampled.

    The ratios are formed after resampling (sums over clusters above and below), so a conditional rate is
    resampled with its random denominator. Deterministic: the weights depend on the number of clusters only.
    """
    names, index = cluster_index(measure.clusters)
    above = sum_by_cluster(measure.numerator, index, len(names))
    below = sum_by_cluster(measure.denominator, index, len(names))
    return Resampled(measure, names, above, below)


def sum_of_ratios(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Sum over the last axis of above / below; nan where a denominator is (as good as) empty."""
    empty = (below < 1e-9).any(axis=-1)
    ratios = above / np.where(below < 1e-9, 1.0, below)
    return np.where(empty, math.nan, ratios.sum(axis=-1))


@functools.lru_cache(maxsize=16)
def bootstrap_weights(clusters: int) -> np.ndarray:
    """How often each replicate draws each cluster: float64 [RESAMPLES, C]."""
    rng = np.random.default_rng([SEED, clusters])
    drawn = rng.integers(clusters, size=(RESAMPLES, clusters))
    drawn += np.arange(RESAMPLES)[:, None] * clusters
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * clusters)
    return counts.reshape(RESAMPLES, clusters).astype(np.float64)


@functools.lru_cache(maxsize=64)  # all measures of an evaluation share one tuple
def cluster_index(clusters: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the C clusters, sorted, and which of them each item belongs to: int64 [n]."""
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return tuple(names.tolist()), index


def sum_by_cluster(values: np.ndarray, index: np.ndarray, clusters: int) -> np.ndarray:
    """Values of items, float64 [R, n], summed within clusters: [R, C]."""
    return np.stack([np.bincount(index, row, minlength=clusters) for row in values])
