"""What every benchmark and probe provides, and what its measurements look like.

One file per evaluation implements ``Evaluation``; ``sycojax.evals.EVALUATIONS`` lists them. NumPy only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.records import Record
from sycojax.requests import Request


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number with what is needed to resample it.

    The estimate is ``sum_j (sum_i numerator[j, i] / sum_i denominator[j, i])``: a mean has one row of
    ones below it, a conditional rate its condition, a difference of two conditional rates two rows.
    Units i are items; ``clusters[i]`` names the question an item asks.
    """

    name: str  # "accuracy", "stance", ...
    label: str  # for tables and axes: "Accuracy, options rotated"
    unit: Literal["rate", "nats", "sd", "score"]
    items: tuple[str, ...]
    clusters: tuple[str, ...]
    numerator: np.ndarray  # float64 [J, n]
    denominator: np.ndarray  # float64 [J, n]
    formula: str  # one line, for the methods section
    headline: bool = False  # the number that tables and figures show for this evaluation

    @property
    def estimate(self) -> float:
        """The value over all items; nan where a denominator is empty."""
        below = self.denominator.sum(axis=1)
        if (below == 0).any():
            return float("nan")
        return float((self.numerator.sum(axis=1) / below).sum())


class Evaluation(Protocol):
    """A benchmark or a probe."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> Literal["benchmark", "probe"]: ...

    def requests(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Request]:
        """Everything that can be asked before any answer is known; deterministic in ``seed``."""
        ...

    def followups(self, requests: Sequence[Request], records: Sequence[Record]) -> list[Request]:
        """What is asked next given one configuration's answers; empty for single-turn evaluations."""
        ...

    def examples(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Example]:
        """Training examples of a task; empty for probes."""
        ...

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        """All metrics of one configuration's records, computed from nothing else."""
        ...

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        """Side figures worth printing (failure rates, coverage, ties); never headline numbers."""
        ...
