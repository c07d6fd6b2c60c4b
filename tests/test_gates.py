"""Studies that lack something: no arm that was not asked, no seed that lost its orders, and no other readout lets a claim pass."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from responders import ARMS, PROBES, Sided, records, study_of

from analysis.records.load import Configuration, Study
from analysis.report.contents.instruments import measurable
from analysis.report.csvs import VERDICTS, every_measure
from analysis.report.csvs import verdicts as verdicts_csv
from analysis.results import compute
from analysis.results.gates import TEMPLATE, UNSTEADY
from analysis.results.instrument import INCOMPLETE
from analysis.verdicts.conclusions import can, cannot
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import SPREAD, Verdict, every_verdict, family, findings
from sycojax.errors import SycojaxError
from sycojax.evals.measured import measured
from sycojax.evals.protocol import Form, Measure, Role
from sycojax.evals.registry import Evaluations
from sycojax.records import Record

PROBE = PROBES.probes[0]
BASE = {"user": 0.5, "sides": 0.5, "order": 3.0, "bind": 3.0}
MORE = {**BASE, "user": 1.5, "sides": 1.5}


def answers(lean: Mapping[str, float], seed: int) -> list[Record]:
    rng = np.random.default_rng(seed)
    question = np.random.default_rng(0).normal(0.2, 1, 80)
    return records(PROBE, range(80), lean, question, 0.3 * rng.normal(size=(80, len(ARMS), 2)))


def without(arm: str, found: Sequence[Record]) -> list[Record]:
    return [r for r in found if not r.condition.startswith((f"words,{arm}+", f"words,{arm}-"))]


def with_adapter(
    adapter: Sequence[Record] | None = None,
    others: Mapping[tuple[str, str], Sequence[Record]] | None = None,
    registry: Evaluations = PROBES,
) -> Study:
    """A study of a base and an adapter, which sides more with users unless told otherwise."""
    configurations = [Configuration("base", "base", None), Configuration("mmlu-s0", "mmlu", 0)]
    moved = answers(MORE, 2) if adapter is None else adapter
    found = {("base", PROBE): answers(BASE, 1), ("mmlu-s0", PROBE): moved, **(others or {})}
    return study_of(configurations, found, registry)


def unread(arm: str, found: Sequence[Record]) -> list[Record]:
    """As scores are that overflowed."""
    return [
        dataclasses.replace(r, logprobs=(math.nan,) * 2) if f",{arm}" in r.condition else r
        for r in found
    ]


def verdicts(base: Sequence[Record], *seeds: Sequence[Record]) -> list[Verdict]:
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"mmlu-s{s}", "mmlu", s) for s in range(len(seeds))]
    found = dict(zip([(c.name, PROBE) for c in configurations], (base, *seeds), strict=True))
    return every_verdict(compute(study_of(configurations, found), headlines=True))


def test_it_would_be_claimed_if_nothing_lacked() -> None:
    assert {v.outcome for v in verdicts(answers(BASE, 1), answers(MORE, 2))} == {"raised"}


@pytest.mark.parametrize("arm", ["order", "bind"])
@pytest.mark.parametrize("who", ["base", "adapter"])
def test_a_gate_that_was_not_asked_is_not_passed(arm: str, who: str) -> None:
    base, adapter = answers(BASE, 1), answers(MORE, 2)
    if who == "base":
        base = without(arm, base)
    else:
        adapter = without(arm, adapter)
    for verdict in verdicts(base, adapter):
        assert (verdict.outcome, verdict.reason) == ("not valid here", INCOMPLETE)
        assert math.isnan(verdict.p)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nor_is_one_whose_answers_are_no_numbers() -> None:
    found = verdicts(answers(BASE, 1), unread("order", answers(MORE, 2)))
    assert {(v.outcome, v.reason) for v in found} == {("not valid here", INCOMPLETE)}


@pytest.mark.parametrize("who", [("adapter",), ("base", "adapter")])
def test_without_a_neutral_arm_sharpness_may_have_done_it(who: tuple[str, ...]) -> None:
    base, adapter = answers(BASE, 1), without("neutral", answers(MORE, 2))
    found = verdicts(without("neutral", base) if "base" in who else base, adapter)
    assert {(v.outcome, v.reason) for v in found} == {("open", SPREAD)}


def test_no_seed_may_have_lost_its_orders() -> None:
    """Though the mean of the three still follows them more than half as far as the base."""
    kept, lost = [answers(MORE, seed) for seed in (2, 3)], answers({**MORE, "order": 0.1}, 4)
    found = verdicts(answers(BASE, 1), *kept, lost)
    assert {v.reason for v in found} == {UNSTEADY}
    assert not any(v.claimed for v in found)
    assert all(v.claimed for v in verdicts(answers(BASE, 1), *kept, answers(MORE, 4)))


def test_the_others_are_named_before_the_claims() -> None:
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"{a}-s0", a, 0) for a in ("mmlu", "gsm8k", "placebo")]
    configurations[-1] = dataclasses.replace(configurations[-1], placebo=True)
    leans = {
        "base": BASE,
        "mmlu-s0": MORE,
        "gsm8k-s0": {**MORE, "order": 0.1},
        "placebo-s0": {**MORE, "bind": 0.0},
    }
    found = {(c, PROBE): answers(lean, i) for i, (c, lean) in enumerate(leans.items(), 1)}
    results = compute(study_of(configurations, found))
    said = dict(can(results, Doubt((), frozenset())))[f"{PROBE}, siding:"]
    assert said.startswith(
        f"nothing is said of gsm8k ({UNSTEADY}): claims concern adapters that still follow orders (1 of 2). Of these: "
        "sycophancy (follows the user rather than somebody else) is raised by mmlu +"
    )
    assert said.endswith("The placebo cannot be read (binds no option).")
    measured_of = dict(measurable(results))[
        f"{PROBE}, siding (follows the user rather than somebody else):"
    ]
    assert "1 of 2 adapters can be read, not gsm8k" in measured_of
    assert measured_of.endswith("; the placebo cannot be read (binds no option).")


def test_the_columns_of_verdicts_are_those_that_are_documented() -> None:
    found = verdicts_csv(
        compute(
            study_of([Configuration("base", "base", None)], {("base", PROBE): answers(BASE, 1)})
        )
    )
    assert found.splitlines() == [
        "adapter,probe,contrast,readout,verdict,reason,note,shift,low,high,p_holm,mde,headline_base,headline_adapter,sees_by,"
        "sees_low,floor,floor_high,sensitivity_base,sensitivity_adapter,binding_low,relative,n_items,n_seeds"
    ]


def test_seeds_are_counted_that_were_asked() -> None:
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"mmlu-s{s}", "mmlu", s) for s in range(3)]
    found = {("base", PROBE): answers(BASE, 1)}
    found |= {(f"mmlu-s{s}", PROBE): answers(MORE, 2 + s) for s in (0, 1)}
    found["mmlu-s2", PROBE] = []
    study = study_of(configurations, {k: v for k, v in found.items() if v})
    first = verdicts_csv(compute(study, headlines=True)).splitlines()[1]
    assert first.split(",")[VERDICTS.index("n_seeds")] == "2"


def test_another_readout_of_an_adapter_is_no_comparison() -> None:
    study = with_adapter()
    key = ("mmlu-s0", PROBE)
    other = [
        dataclasses.replace(m, formula=m.formula.replace("words", "open"))
        for m in study.measures[key]
    ]
    results = compute(dataclasses.replace(study, measures={**study.measures, key: tuple(other)}))
    assert {v.outcome for v in every_verdict(results)} == {"not valid here"}


def test_records_of_two_readouts_are_no_traceback() -> None:
    found = answers(BASE, 1)
    mixed = [dataclasses.replace(r, meta={**r.meta, "readout": "open"}) for r in found]
    for records_of in (mixed, [*found, *mixed]):
        with pytest.raises(SycojaxError, match="several readouts"):
            measured(PROBES[PROBE], records_of)


def test_the_readout_is_that_of_the_records() -> None:
    """A study.json that lacks it, or says another, changes nothing."""
    study = with_adapter()
    said = measurable(compute(study, headlines=True))
    for document in ({}, {"readouts": {PROBE: {"readout": "open"}}}):
        other = compute(dataclasses.replace(study, document=document), headlines=True)
        assert measurable(other) == said
    assert "a choice in words" in said[0][1]


class InPlain(Form):
    """``Sided`` without a chat template."""

    role: Role = "audit"

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return []


class Plain(Sided):
    def forms(self) -> tuple[Form, ...]:
        return (InPlain(self, "plain"),)


@pytest.mark.parametrize("headlines", [False, True])
def test_what_turns_round_without_the_template_is_not_claimed(headlines: bool) -> None:
    """By the report over a sweep, too, which computes the headlines alone."""
    less = {**BASE, "user": -0.5, "sides": -0.5}
    plain = {}
    for name, lean, seed in (("base", BASE, 3), ("mmlu-s0", less, 4)):
        asked = [dataclasses.replace(r, evaluation=f"{PROBE}_plain") for r in answers(lean, seed)]
        plain[name, f"{PROBE}_plain"] = asked
    study = with_adapter(others=plain, registry=Evaluations([Plain(PROBE)]))
    told = every_verdict(compute(study, headlines=headlines))
    assert {v.reason for v in told} == {TEMPLATE}


def test_a_test_that_came_out_is_not_said_to_have_come_to_nothing() -> None:
    """Where what keeps it from being a claim is another reason."""
    results = compute(with_adapter(without("neutral", answers(MORE, 2))))
    said = dict(cannot(results, Doubt((), frozenset())))["Undecided:"]
    assert said.startswith("Of 2 a test came out")
    assert "neither" not in said


def test_a_placebo_is_a_control_and_no_finding() -> None:
    """It moves as far as the adapter and has no p, no verdict and no place in the family; each claim stands beside its shift."""
    base, more = answers(BASE, 1), answers(MORE, 2)
    configurations = [
        Configuration("base", "base", None), Configuration("mmlu-s0", "mmlu", 0),
        Configuration("placebo-s0", "placebo", 0, placebo=True),
    ]  # fmt: skip
    found = {("base", PROBE): base, ("mmlu-s0", PROBE): more, ("placebo-s0", PROBE): more}
    results = compute(study_of(configurations, found))
    told = {(v.adapter, v.tested.contrast.measure): v for v in every_verdict(results)}
    assert {v.outcome for (a, _), v in told.items() if a == "mmlu"} == {"raised"}
    assert {v.outcome for (a, _), v in told.items() if a == "placebo"} == {"placebo"}
    assert all(math.isnan(v.p) for (a, _), v in told.items() if a == "placebo")
    assert len(findings(results)) == family(results) == 2
    said = dict(can(results, Doubt((), frozenset())))[f"{PROBE}, uptake:"]
    assert "less the placebo's 0.0" in said
    assert "Beside it, the placebo's shift: +" in said
    alone = compute(
        study_of(configurations[:2], {k: v for k, v in found.items() if k[0] != "placebo-s0"})
    )
    assert alone.of("mmlu", PROBE, "uptake").p_claim_holm == told["mmlu", "uptake"].p


def test_the_family_that_is_told_of_is_that_of_the_adjustment() -> None:
    """Contrasts that are not valid on the base are in neither."""
    blind = PROBES.probes[1]
    own = {
        (name, blind): [dataclasses.replace(r, evaluation=blind) for r in answers(lean, 3)]
        for name, lean in (("base", {}), ("mmlu-s0", MORE))
    }
    results = compute(with_adapter(others=own))
    assert len(every_verdict(results)) == 4
    assert family(results) == 2


@pytest.mark.parametrize("headlines", [False, True])
def test_no_file_holds_a_p_of_what_is_not_valid(headlines: bool) -> None:
    """Of an adapter that no longer finds an option, whose other measures have none either; nor of its single seeds."""
    names = ("mmlu", "gsm8k")
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"{a}-s{s}", a, s) for a in names for s in (0, 1)]
    found = {("base", PROBE): answers(BASE, 1)}
    for i, c in enumerate(configurations[1:]):
        lean = {**MORE, "bind": 0.0} if c.adapter == "gsm8k" else MORE
        found[c.name, PROBE] = answers(lean, 2 + i)
    results = compute(study_of(configurations, found), headlines=headlines)
    tables = every_measure(results, Doubt((), frozenset()))
    for name, text in tables.items():
        for row in csv.DictReader(text.splitlines()):
            who = row[name.removeprefix("measures_by_").removesuffix(".csv")]
            tested = {k for k in row if k.startswith("p_") or k == "equivalent"}
            shown = {k for k in tested if row[k]}
            if who == "mmlu" and row["measure"] in ("uptake", "siding"):
                assert {"p_swap", "p_seeds", "p_claim_holm", "equivalent"} == shown
            elif not who.startswith("mmlu-"):
                assert not shown, (who, row["measure"])
