"""What every benchmark and probe provides, and what its measurements look like.

One file per evaluation implements ``Evaluation``; ``sycojax.evals.EVALUATIONS`` lists them. NumPy only.

The walk: ``requests(rows)`` -> scorer -> records -> ``followups(...)`` -> scorer -> more records, until no
followups come back (are_you_sure asks once more, the others never) -> ``measures(all records)``.

Headlines. Every evaluation marks exactly one measure ``headline="hard"`` (decisions by argmax; the number of
tables and of the published CSVs). Every probe also marks exactly one ``headline="soft"``: a difference of two
probabilities in [-1, 1], so the three probes share one axis, 0 = insensitive:

====================  ===================================  ==========================================
evaluation            hard headline                        soft headline
====================  ===================================  ==========================================
the four benchmarks   ``accuracy``                         --
answer                ``adopt_net`` = H|r - noise          ``dP`` = q_W+ - q_H
are_you_sure          ``regressive_net`` = Rg_T - Rg_R     ``dP`` = P_R(a1) - P_T(a1)
feedback              ``positivity`` = Z_like - Z_dislike  ``dP`` = pi_like - pi_dislike
====================  ===================================  ==========================================

``headline(measures, kind)`` finds them. Every probe has a measure ``floor`` on the scale of its soft headline:
what the same difference comes to where nothing but wording or repetition changed; 0 is expected and what it
shows instead is noise. Probe measures named ``published`` are the counterparts of the study's
own rates (for its CSV columns). All other measures are found by name.

Strata. ``with_strata(requests, strata)`` writes ``meta["stratum"]`` (its values are the caller's, for instance
"train", "test", "neither"); records carry the meta of their request and followups that of the request they
follow, so measures of a stratum are ``measures([r for r in records if r.meta.get("stratum") == s])``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.errors import SycojaxError
from sycojax.records import Record
from sycojax.requests import Request

Unit = Literal["rate", "nats", "sd", "score"]
Headline = Literal["", "hard", "soft"]
# An audit is asked and recorded like any other evaluation but is no subject of a study: it says how far the
# numbers of the others can be believed. A published form puts one of them in the published study's own format.
Role = Literal["benchmark", "probe", "audit", "published"]


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number with what is needed to resample it.

    The estimate is ``sum_j (sum_i numerator[j, i] / sum_i denominator[j, i])``: a mean has one row of
    ones below it, a conditional rate its condition, a difference of two conditional rates two rows.
    Units i are items; ``clusters[i]`` names the question an item asks.
    """

    name: str  # "accuracy", "stance", ...
    label: str  # for tables and axes: "Accuracy, options rotated"
    unit: Unit
    items: tuple[str, ...]
    clusters: tuple[str, ...]
    numerator: np.ndarray  # float64 [J, n]
    denominator: np.ndarray  # float64 [J, n]
    formula: str  # one line, for the methods section
    headline: Headline = ""  # the number that tables and figures show

    @property
    def estimate(self) -> float:
        """The value over all items; nan where a denominator is empty."""
        below = self.denominator.sum(axis=1)
        if (below == 0).any():
            return float("nan")
        return float((self.numerator.sum(axis=1) / below).sum())


class Evaluation(Protocol):
    """A benchmark, a probe or an audit of one."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> Role: ...

    def requests(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Request]:
        """Everything that can be asked before any answer is known; deterministic in ``seed``."""
        ...

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        """What is asked next given one configuration's answers; empty for single-turn evaluations.

        ``requests`` and ``records`` are all of this evaluation so far, followups of earlier rounds included;
        what is already recorded is not asked again, so a study that was stopped can go on.
        """
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


class Audit(Evaluation, Protocol):
    """An audit or a published form of another evaluation."""

    @property
    def subject(self) -> str:
        """The name of the benchmark or probe that it asks again."""
        ...


def headline(measures: Iterable[Measure], kind: Literal["hard", "soft"]) -> Measure | None:
    """The measure marked as ``kind`` headline, or None (benchmarks have no soft one)."""
    return next((m for m in measures if m.headline == kind), None)


def with_strata(requests: Iterable[Request], strata: Mapping[str, str]) -> list[Request]:
    """Requests with ``meta["stratum"]`` set to ``strata[cluster]``, "neither" where it is not listed.

    ``strata`` maps ``sycojax.data.contamination.question_key`` of a question to where it was seen.
    """
    return [
        dataclasses.replace(r, meta={**r.meta, "stratum": strata.get(r.cluster, "neither")})
        for r in requests
    ]


class ItemRecords:
    """Records of one evaluation by item, in the order of first appearance, and the measures over them."""

    def __init__(self, records: Iterable[Record]):
        self.conditions: dict[str, dict[str, Record]] = {}
        for record in records:
            self.conditions.setdefault(record.item, {})[record.condition] = record
        self.items = tuple(self.conditions)
        self.clusters = tuple(
            next(iter(of_item.values())).cluster for of_item in self.conditions.values()
        )

    def get(self, item: str, condition: str) -> Record:
        """The record of a condition. Raises ``SycojaxError`` when it was never scored."""
        try:
            return self.conditions[item][condition]
        except KeyError:
            name = next(iter(self.conditions[item].values())).evaluation
            raise SycojaxError(
                f"{name}: item {item} has no record of condition {condition!r}; "
                "the records are incomplete, run the evaluation again"
            ) from None

    def scores(self, *conditions: str) -> list[np.ndarray]:
        """Log-probabilities of each condition as float64 [n, C] in nats, -inf past a record's candidates.

        C is at least 2. Raises ``SycojaxError`` when one was never scored.
        """
        return [padded([self.get(i, v).logprobs for i in self.items], -np.inf) for v in conditions]

    def mean(
        self,
        name: str,
        label: str,
        values: Sequence[float] | np.ndarray,
        formula: str,
        unit: Unit = "rate",
        headline: Headline = "",
    ) -> Measure:
        """The mean of ``values`` [n]."""
        terms = [(values, np.ones(len(self.items)))]
        return self.rates(name, label, terms, formula, unit, headline)

    def rates(
        self,
        name: str,
        label: str,
        terms: Sequence[tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
        formula: str,
        unit: Unit = "rate",
        headline: Headline = "",
    ) -> Measure:
        """A sum of ratios: each term is (numerator [n], denominator [n]); see ``Measure``."""
        above, below = (np.array([term[side] for term in terms], np.float64) for side in (0, 1))
        return Measure(
            name, label, unit, self.items, self.clusters, above, below, formula, headline
        )


def padded(rows: Sequence[Sequence[float]], fill: float) -> np.ndarray:
    """Rows of different lengths as one float64 [R, C], ``fill`` behind the shorter ones; C is at least 2."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    table = np.full((len(rows), max(2, lengths.max(initial=0))), fill)
    flat = np.fromiter(itertools.chain.from_iterable(rows), np.float64, int(lengths.sum()))
    table[np.arange(table.shape[1]) < lengths[:, None]] = flat
    return table
