"""What every benchmark and probe provides, and what its measurements look like.

One file per evaluation declares all of it: the schema of its rows, what is asked and measured, what a study claims, and
what audits and figures need (``declared``). ``sycojax.evals.BUILTIN`` lists those of the package, ``evaluations`` adds
those of a user's files. NumPy only.

The walk: ``requests(rows)`` -> scorer -> records -> ``followups(...)`` -> scorer -> more records, until no
followups come back (are_you_sure asks once more, the others never) -> ``measures(all records)``.

Headlines. A benchmark marks one measure ``headline="hard"`` (decisions by argmax; the number of tables). A probe
declares contrasts, and ``evals.measured`` marks their measures "soft" and the counterparts "hard": a soft one is a
difference of two probabilities in [-1, 1], so that all probes share one axis, 0 = insensitive:

====================  ===================================  ==========================================
evaluation            hard headline                        soft headline
====================  ===================================  ==========================================
the four benchmarks   ``accuracy``                         --
answer                ``adopt_net`` = H|r - noise          ``dP`` = q_W+ - q_H
are_you_sure          ``regressive_net`` = Rg_T - Rg_R     ``dP`` = P_R(a1) - P_T(a1)
feedback              ``positivity`` = Z_like - Z_dislike  ``dP`` = pi_like - pi_dislike
====================  ===================================  ==========================================

Probe measures named ``published_rate`` are the counterparts of the published study's own rates (for its CSV
columns). All other measures are found by name.

Strata. ``with_strata(requests, strata)`` writes ``meta["stratum"]`` (its values are the caller's, for instance
"train", "test", "neither"); records carry the meta of their request and followups that of the request they
follow, so measures of a stratum are ``measures([r for r in records if r.meta.get("stratum") == s])``.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from sycojax.data.data_sets import Split
from sycojax.data.examples import Example
from sycojax.data.fields import Fields
from sycojax.data.prompts import Prompts
from sycojax.data.sources_hub import HubProbe, HubTask
from sycojax.errors import SycojaxError
from sycojax.evals.declared import Contrast, Echo, Plane, Ratings, Turns
from sycojax.records import Record
from sycojax.requests import Request

if TYPE_CHECKING:
    from sycojax.evals.planted import Planting
    from sycojax.evals.readouts import Instrument

_Asked = TypeVar("_Asked", Request, Record)
# Numerator and denominator of one ratio, [n] each.
_Row = tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]
Unit = Literal["rate", "nats", "sd", "score"]
Headline = Literal["", "hard", "soft"]
# An audit is asked and recorded like any other evaluation but is no subject of a study: it says how far the
# numbers of the others can be believed. A replication puts one of them in the published study's own format; a readout asks
# a probe's arms in one of the ways that were not chosen.
Role = Literal["benchmark", "probe", "audit", "replication", "readout"]


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
    # Each row counts between 0 and 1 of every item, or takes such a count away: a share of something. Otherwise an item
    # may lie on either side of 0, and its interval allows for that whatever was found.
    shares: bool = False

    @property
    def estimate(self) -> float:
        """The value over all items; nan where a denominator is empty."""
        below = self.denominator.sum(axis=1)
        if (below == 0).any():
            return float("nan")
        return float((self.numerator.sum(axis=1) / below).sum())


class Evaluation:
    """A benchmark, a probe, or another form of one; subclass ``Benchmark``, ``Probe`` or ``Form``.

    What is not set or overridden stays as it stands here: nothing asked next, nothing trained on, no other form.
    """

    name: str
    role: Role

    # Its rows. Fields that hold lists or objects are JSON text in CSV and array_record.
    splits: tuple[Split, ...] = ()
    flat_fields: tuple[str, ...] = ()
    nested_fields: tuple[str, ...] = ()
    hub: HubTask | HubProbe | None = None  # where the hub has them
    rows: str = ""  # their file beside the evaluation's own, "{split}" in it for a benchmark; "" = the study's source
    # Its questions are asked by probes too: each question of a probe is told apart by the split that has it.
    shared_with_probes: bool = False
    # Its questions stand without their options, so that a calibration may plant in what it trains on.
    stands_alone: bool = False

    # What a study claims, and what audits, figures and exports need.
    contrasts: tuple[Contrast, ...] = ()
    instrument: Instrument | None = None  # its items in arms and readouts: whether it sees at all
    planting: Planting | None = None  # with an instrument: how a calibration plants deference in it
    scale_free: str = ""  # the measure to use where nats are on another scale than the base's
    echo: Echo | None = None
    turns: Turns | None = None
    plane: Plane | None = None
    ratings: Ratings | None = None
    audits: tuple[
        Callable[..., list[Any]], ...
    ] = ()  # of its own: analysis.records Results -> list of Audit
    exported: tuple[
        str, ...
    ] = ()  # measures of its lm-evaluation-harness task, where not the contrasts' alone

    def parse(self, record: Fields) -> Any:
        """A row from one raw record. Raises ``SycojaxError`` naming a field that is wrong."""
        raise NotImplementedError(f"{self.name} does not say what its rows are")

    def question(self, row: Any) -> str:
        """The text a row asks about: training rows that ask the same are found by it."""
        return row.question

    def options_of(self, row: Any) -> tuple[str, ...]:
        """The texts that a row gives to choose from, where it gives any."""
        return ()

    def label(self, row: Any) -> tuple[int, int] | None:
        """Index of the right option and number of options, where a row has options."""
        return None

    def rows_file(self, split: Split) -> Path | None:
        """The file that ``rows`` names, or None."""
        if not self.rows:
            return None
        return Path(inspect.getfile(type(self))).parent / self.rows.replace("{split}", split)

    def forms(self) -> tuple[Form, ...]:
        """The other forms it is asked in."""
        return ()

    def requests(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Request]:
        """Everything that can be asked before any answer is known; deterministic in ``seed``."""
        raise NotImplementedError(f"{self.name} asks nothing")

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        """What is asked next given one configuration's answers.

        ``requests`` and ``records`` are all of this evaluation so far, followups of earlier rounds included;
        what is already recorded is not asked again, so a study that was stopped can go on.
        """
        return []

    def examples(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Example]:
        """Training examples of a task."""
        return []

    def planted(self, rate: float, prompts: Prompts, seed: int) -> list[Example]:
        """Dialogues in which the assistant follows the user at ``rate``, for a calibration; empty: those of ``planting``, if any.

        They must not ask what the probe's rows ask, nor in its words.
        """
        return []

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        """All metrics of one configuration's records, computed from nothing else."""
        raise NotImplementedError(f"{self.name} measures nothing")

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        """Side figures worth printing (failure rates, coverage, ties); never headline numbers."""
        return {}


class Benchmark(Evaluation):
    """A task: adapters are trained on one split of its rows and all configurations are tested on the other."""

    role: Role = "benchmark"
    splits: tuple[Split, ...] = ("train", "test")


class Probe(Evaluation):
    """Rows that are only asked, to see whether a model goes along with its user."""

    role: Role = "probe"
    splits: tuple[Split, ...] = ("probe",)


class Form(Evaluation):
    """A benchmark or probe asked over the same rows in another way, and recorded under a name of its own."""

    def __init__(self, subject: Evaluation, variant: str):
        self.subject, self.variant = subject, variant
        self.name = f"{subject.name}_{variant}"

    def of_subject(self, asked: Iterable[_Asked]) -> list[_Asked]:
        """Requests or records under the subject's own name: its tie-breaking goes by names, and must decide alike."""
        return [dataclasses.replace(one, evaluation=self.subject.name) for one in asked]


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
        given: np.ndarray | None = None,
    ) -> Measure:
        """The mean of ``values`` [n] that lie on either side of 0, as differences do.

        ``given``, zeros and ones [n], names the items that count; None: all of them.
        """
        row = self._row(values, given)
        return self._measure(name, label, [row], formula, unit, headline, shares=False)

    def share(
        self,
        name: str,
        label: str,
        values: Sequence[float] | np.ndarray,
        formula: str,
        headline: Headline = "",
        given: np.ndarray | None = None,
    ) -> Measure:
        """The mean of ``values`` [n] in [0, 1]; ``given`` as for ``mean``."""
        return self.rates(name, label, [self._row(values, given)], formula, headline)

    def rates(
        self,
        name: str,
        label: str,
        terms: Sequence[_Row],
        formula: str,
        headline: Headline = "",
    ) -> Measure:
        """A sum of shares, or of shares taken away: each term is (numerator [n], denominator [n]); see ``Measure``."""
        return self._measure(name, label, terms, formula, "rate", headline, shares=True)

    def _row(self, values: Sequence[float] | np.ndarray, given: np.ndarray | None) -> _Row:
        if given is None:
            return values, np.ones(len(self.items))
        return np.asarray(values) * given, given

    def _measure(
        self, name: str, label: str, terms: Sequence[_Row], formula: str, unit: Unit,
        headline: Headline, *, shares: bool,
    ) -> Measure:  # fmt: skip
        above, below = (np.array([term[side] for term in terms], np.float64) for side in (0, 1))
        return Measure(
            name, label, unit, self.items, self.clusters, above, below, formula, headline, shares
        )


def generated_text(record: Record) -> str:
    """The text of a reply. Raises ``SycojaxError`` where candidates were scored instead."""
    if record.text is None:
        raise SycojaxError(f"{record.key}: not a generated answer; delete its records and rerun")
    return record.text


def padded(rows: Sequence[Sequence[float]], fill: float) -> np.ndarray:
    """Rows of different lengths as one float64 [R, C], ``fill`` behind the shorter ones; C is at least 2."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    table = np.full((len(rows), max(2, lengths.max(initial=0))), fill)
    flat = np.fromiter(itertools.chain.from_iterable(rows), np.float64, int(lengths.sum()))
    table[np.arange(table.shape[1]) < lengths[:, None]] = flat
    return table
