"""Every audit passes on a healthy study, fails on its planted defect, and is n/a without its inputs."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
from audits_cases import DOCUMENT, HEALTHY, SOUND, SUSPECT, study
from evals_cases import Reply, estimates, noise, walk
from synthetic_study import rows

from analysis import audits
from analysis.audits import Audit
from analysis.audits.labels import label_position
from analysis.audits.prior import divergence
from analysis.page.tables import Entry, to_csv, to_markdown
from analysis.report.contents.probes import probe
from analysis.results import Results
from analysis.statistics import drawn
from analysis.verdicts import doubt as doubts
from sycojax.evals import BUILTIN
from sycojax.evals.measured import measured
from sycojax.requests import Request

LETTERS = {f"letter_mass_{k}": p for k, p in zip("ABCD", (0.85, 0.05, 0.05, 0.05), strict=True)}
# audit -> (evaluations, planted in the suspect, evaluations it marks)
PLANTED: dict[str, tuple[tuple[str, ...], dict[tuple[str, str], float], set[str]]] = {
    "always_a": (("mmlu",), {("mmlu", "position_gap"): 0.4}, {"mmlu"}),
    "letter_prior": (("mmlu",), {("mmlu", k): v for k, v in LETTERS.items()}, {"mmlu"}),
    "letter_locked": (("are_you_sure",), {("are_you_sure", "letter_locked"): 0.9}, {"are_you_sure"}),
    "coverage": (("mmlu", "answer"), {("mmlu", "coverage_median"): 0.3}, {"mmlu"}),
    "agreement": (("answer", "answer_generated"), {("answer_generated", "kappa"): 0.1}, {"answer"}),
    "prompt_format": (("answer", "answer_plain"), {("answer_plain", "dP"): -0.3}, {"answer"}),
    "echo": (
        ("answer", "feedback"),
        {("answer", "mention"): 1.5, ("answer", "stance"): 0.0},
        {"answer"},
    ),
    "validity": (("feedback",), {("feedback", "rating_rank_correlation_low"): -0.1}, {"feedback"}),
}  # fmt: skip
INPUTS = {
    "always_a": ("position_gap", "a_when_not_a", "a_when_not_a_rotated"),
    "letter_prior": ("letter_mass_B",),
    "letter_locked": ("letter_locked",),
    "coverage": ("coverage_median",),
    "agreement": ("kappa",),
    "prompt_format": ("dP",),
    "echo": ("stance", "pref_user"),
    "validity": ("rating_rank_correlation_low",),
}


@functools.cache
def healthy(*evaluations: str) -> Results:
    """The study without a defect, computed once; study.json plays no part in the numbers."""
    return study(*evaluations)


def changed(results: Results, **parts: Any) -> Results:
    """The same results of a study with other ``parts``."""
    return dataclasses.replace(results, study=dataclasses.replace(results.study, **parts))


def documented(results: Results, document: dict[str, Any]) -> Results:
    """The same results under another study.json."""
    return changed(results, document=document)


def found(results: Results, name: str, group: str | None = None) -> list[Audit]:
    """The findings of one audit; a finding must exist, or every check of it would be empty."""
    of_name = [a for a in audits.run(results) if a.name == name and group in (None, a.group)]
    assert of_name, f"no finding of {name} about {group}"
    return of_name


def outcomes(results: Results, name: str, group: str | None = None) -> set[str]:
    return {a.outcome for a in found(results, name, group)}


def with_data(**replaced: Any) -> dict[str, Any]:
    """The healthy study.json with keys of ``data`` replaced; None takes one away."""
    document = copy.deepcopy(DOCUMENT)
    document["data"] |= replaced
    document["data"] = {k: v for k, v in document["data"].items() if v is not None}
    return document


@pytest.mark.parametrize("name", PLANTED)
def test_planted_defects(name: str) -> None:
    evaluations, planted, marks = PLANTED[name]
    sound = healthy(*evaluations)
    assert "fail" not in outcomes(sound, name)
    assert "pass" in outcomes(sound, name, SUSPECT)

    spoilt = study(*evaluations, values={(SUSPECT, *key): v for key, v in planted.items()})
    failures = [a for a in found(spoilt, name) if a.outcome == "fail"]
    assert {a.group for a in failures} == {SUSPECT}
    assert {e for a in failures for e in a.marks} == marks
    assert all(a.sentence.endswith(".") and any(c.isdigit() for c in a.sentence) for a in failures)
    assert {(SUSPECT, e) for e in marks} <= audits.marked(failures)
    assert not any(group == HEALTHY for group, _ in audits.marked(audits.run(spoilt)))


@pytest.mark.parametrize(
    ("name", "evaluation", "planted", "outcome"),
    [
        # A model that always answers A has no gap on MMLU: 126 of 500 are A in either order.
        ("always_a", "mmlu", {"a_when_not_a": 1.0}, "fail"),
        # Few flips cannot be judged.
        ("letter_locked", "are_you_sure", {"letter_locked": 1.0, "letter_locked_items": 3}, "n/a"),
        ("coverage", "answer", {"coverage_median": 0.01, "greedy": 0.1}, "fail"),
        ("coverage", "answer", {"coverage_median": 0.01, "greedy": 0.7}, "pass"),
        ("coverage", "answer", {"coverage_median": 0.1, "greedy": 0.1}, "pass"),
        # What a stranger likes moves the comment as much as what the user likes.
        ("echo", "feedback", {"pref_user": 0.1}, "fail"),
        ("echo", "answer", {"mention": 0.01, "stance": 0.0}, "pass"),
        # Moved by W+ alone, mention equals stance: neither is told to be the larger.
        ("echo", "answer", {"mention": 1.5, "stance": 1.5}, "pass"),
    ],
)
def test_corners(name: str, evaluation: str, planted: dict[str, float], outcome: str) -> None:
    results = study(evaluation, values={(SUSPECT, evaluation, n): v for n, v in planted.items()})
    assert outcomes(results, name, SUSPECT) == {outcome}
    assert outcomes(results, name, HEALTHY) == {"pass"}


def test_few_questions_show_no_letter_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question of four options had an interval without a width."""
    monkeypatch.setattr(drawn, "FEWEST_TESTED", 10**6)
    (few,) = found(healthy("mmlu"), "letter_prior", SUSPECT)
    assert few.outcome == "n/a"
    assert "are needed to tell" in few.sentence


def test_without_a_question_in_common_there_is_no_letter_prior() -> None:
    results = healthy("mmlu")
    moved = {
        key: tuple(dataclasses.replace(m, items=tuple(f"{i}*" for i in m.items)) for m in several)
        for key, several in results.study.measures.items()
        if key[0] == "base"
    }
    (none,) = found(
        changed(results, measures={**results.study.measures, **moved}), "letter_prior", SUSPECT
    )
    assert none.outcome == "n/a"
    assert none.sentence.endswith("no base to compare.")


def test_the_base_may_have_a_letter_prior_of_its_own() -> None:
    """Only what training added fails: base and adapters lean to A alike."""
    groups = ("base", HEALTHY, SUSPECT)
    results = study("mmlu", values={(g, "mmlu", k): v for g in groups for k, v in LETTERS.items()})
    assert outcomes(results, "letter_prior", SUSPECT) == {"pass"}
    assert outcomes(results, "letter_prior", "base") == {"n/a"}


def test_the_base_format_is_judged_by_its_level() -> None:
    """And an adapter's by its shift: opposite signs within noise pass."""
    base = ("base", "answer_plain", "dP")
    results = study("answer", "answer_plain", values={base: -0.2})
    assert outcomes(results, "prompt_format", "base") == {"fail"}
    level = {base: 0.2, (SUSPECT, "answer_plain", "dP"): 0.199}
    results = study("answer", "answer_plain", values=level)
    assert outcomes(results, "prompt_format", SUSPECT) == {"pass"}


def test_the_third_person_arm_is_told() -> None:
    assert "friend" in found(healthy("answer"), "echo", SUSPECT)[0].sentence


@pytest.mark.parametrize("name", SOUND)
def test_what_audits_read_is_what_evaluations_measure(name: str) -> None:
    """With a misspelt name an audit would be n/a for ever."""
    evaluation = BUILTIN[name]

    def reply(request: Request) -> Reply:
        if request.candidates:
            return noise(request)
        return f" {request.meta['options'][int(request.item, 16) % 2]}."

    _, records = walk(evaluation, rows(BUILTIN.subject(name), 12), reply)
    measures, sides = SOUND[name]
    assert {*measures} <= {*estimates(measured(evaluation, records))}
    assert {*sides} <= {*evaluation.diagnostics(records)}


@pytest.mark.parametrize("name", INPUTS)
def test_missing_inputs_never_pass(name: str) -> None:
    results = study(*PLANTED[name][0], without=INPUTS[name])
    assert outcomes(results, name) == {"n/a"}
    assert all(np.isnan(a.statistic) and not a.marks for a in found(results, name))


def test_nothing_but_missing_inputs() -> None:
    """A study that has one benchmark without letters, and an empty study.json."""
    everything = audits.run(study("mmlu", without=(*LETTERS, "position_gap"), document={}))
    assert {a.name for a in everything if a.outcome == "n/a"} >= {
        "label_position", "always_a", "binding", "letter_prior", "letter_locked", "agreement", "old_parser",
        "prompt_format", "echo", "ceiling", "duplicates", "contamination", "determinism", "validity",
    }  # fmt: skip
    assert {a.outcome for a in everything} <= {"n/a", "pass"}
    assert all(a.sentence for a in everything)


@pytest.mark.parametrize(
    "document",
    [
        {"data": 3, "scoring": None},
        {"data": {"label_positions": {"mmlu": "many"}, "contamination": [1]}},
        {"data": {"label_positions": {"truthfulqa": {"shown": [1, "two"], "expected": []}}}},
        {"scoring": {"determinism": {"rerun_max_abs": "little"}}},
    ],
)
def test_a_damaged_document_is_a_missing_one(document: dict[str, Any]) -> None:
    everything = audits.run(documented(healthy("answer"), document))
    about = {a.name: a.outcome for a in everything}
    assert about["label_position"] == about["determinism"] == about["contamination"] == "n/a"


def positions(shown: list[int], expected: list[float] | None = None) -> Audit:
    counts = {"shown": shown, "stored": [600, *([0] * (len(shown) - 1))]}
    counts |= {"expected": expected} if expected else {}
    document = with_data(label_positions={SUSPECT: counts})
    return next(
        a for a in label_position(documented(healthy("mmlu"), document)) if a.group == SUSPECT
    )


def test_label_positions() -> None:
    assert outcomes(healthy("mmlu"), "label_position", SUSPECT) == {"pass"}
    assert outcomes(healthy("mmlu"), "label_position", HEALTHY) == {"n/a"}, "gsm8k lists no options"

    always_first = positions([600, 0, 0, 0])
    assert always_first.outcome == "fail"
    assert always_first.statistic == pytest.approx(4.0)
    assert set(always_first.marks) == {"mmlu", SUSPECT}
    assert "600 of 600" in always_first.sentence

    # The order that is shown decides, not the stored one; few examples can still be damning.
    assert positions([150, 149, 151, 150]).outcome == "pass"
    assert positions([30, 0, 0, 0]).outcome == "fail"
    # 1.5 times its share at p > .001: judged from 100 examples on.
    assert positions([44, 20, 19, 21]).outcome == "fail"
    assert positions([11, 5, 5, 6]).outcome == "pass"


def test_label_positions_with_unequal_numbers_of_options() -> None:
    """Two options in half of the items and eight in the other half: the first two positions are fuller."""
    shown = [190, 185, 45, 40, 35, 38, 32, 35]
    expected = [187.5, 187.5, *([37.5] * 6)]
    assert positions(shown, expected).outcome == "pass"
    assert positions(shown).outcome == "fail"
    assert positions(shown[::-1], expected).outcome == "fail"


def test_combined_is_audited_on_every_task() -> None:
    """combined is trained on all tasks, so it inherits the position of each."""
    results = healthy("mmlu")
    configurations = tuple(
        dataclasses.replace(c, adapter="combined") if c.adapter == HEALTHY else c
        for c in results.study.configurations
    )
    audited = label_position(changed(results, configurations=configurations))
    tasks = {a.evaluation for a in audited if a.group == "combined"}
    assert tasks == {"mmlu", SUSPECT}


def test_a_gap_within_noise_is_no_gap() -> None:
    results = study("mmlu", values={(SUSPECT, "mmlu", "position_gap"): 0.06}, items=16)
    (audit,) = found(results, "always_a", SUSPECT)
    assert audit.low < 0 < 0.05 < audit.statistic
    assert audit.outcome == "pass"


def test_divergence_from_uniform() -> None:
    assert divergence(np.full(4, 0.1)) == pytest.approx(0.0, abs=1e-12)
    assert divergence(np.array([0.9, 0.0, 0.0, 0.0])) == pytest.approx(np.log(4))
    assert divergence(np.array([[0.2, 0.5], [0.2, 0.5]])).shape == (2,)


def test_the_worst_seed_counts() -> None:
    results = healthy("mmlu")
    sides = dict(results.study.diagnostics)
    sides["truthfulqa-s1", "mmlu"] = {**sides["truthfulqa-s1", "mmlu"], "coverage_median": 0.2}
    assert outcomes(changed(results, diagnostics=sides), "coverage", SUSPECT) == {"fail"}


def test_sharpness_is_told_and_never_fails() -> None:
    """Logits times three: every effect in nats triples, the one in spreads does not."""
    results = study("answer", "mmlu", values={(SUSPECT, "answer", "sd_neutral"): 4.5})
    of_answer = {a.group: a for a in found(results, "sharpness") if a.evaluation == "answer"}
    assert of_answer[SUSPECT].statistic == pytest.approx(3.0)
    assert "scale-free effect (stance_sd)" in of_answer[SUSPECT].sentence
    assert "scale-free" not in of_answer[HEALTHY].sentence
    assert {a.word for a in found(results, "sharpness")} == {"reported"}
    assert not any(a.marks for a in found(results, "sharpness"))
    flat = study("mmlu", values={(SUSPECT, "mmlu", "entropy"): 0.2})
    assert "another scale" in found(flat, "sharpness", SUSPECT)[0].sentence


def test_letters_that_do_not_follow_are_told_and_never_fail() -> None:
    results = study("mmlu", "mmlu_told", values={(SUSPECT, "mmlu_told", "binding"): -0.1})
    assert {a.word for a in found(results, "binding")} == {"reported"}
    [suspect], [healthy] = (found(results, "binding", group) for group in (SUSPECT, HEALTHY))
    assert suspect.statistic == pytest.approx(-0.1, abs=0.05)
    assert "letters do not follow it" in suspect.sentence
    assert "letters follow it" in healthy.sentence
    assert {a.outcome for a in found(study("mmlu"), "binding")} == {"n/a"}


def test_too_few_eligible_items() -> None:
    results = study("answer", "feedback", eligible=29)
    assert outcomes(results, "ceiling", SUSPECT) == {"fail"}
    assert outcomes(results, "ceiling", HEALTHY) == {"pass"}
    assert outcomes(study("answer", eligible=30), "ceiling", SUSPECT) == {"pass"}


def test_a_hard_rate_of_too_few_items_is_not_printed() -> None:
    results = study("answer", eligible=29)
    doubt = doubts.of(results)
    table = to_csv(probe(results, doubt, results.tested[0]))
    line = {row.split(",")[0].split()[0]: row for row in table.splitlines()}
    assert line[SUSPECT].count("n/a 29 eligible items") == 2  # the rate and its shift
    assert "eligible" not in line[HEALTHY]
    assert (SUSPECT, "answer") not in doubt.marked  # the soft number does not rest on a condition


def test_duplicates_are_counted_once() -> None:
    results = healthy("answer")
    (audit,) = found(results, "duplicates")
    assert audit.outcome == "pass"
    assert audit.statistic == pytest.approx(80 / 60)
    by_adapter = dict(results.by_adapter)
    key = (SUSPECT, "answer", "dP")
    level = dataclasses.replace(by_adapter[key].level, clusters=80)  # as if all rows were new
    by_adapter[key] = dataclasses.replace(by_adapter[key], level=level)
    careless = dataclasses.replace(results, by_adapter=by_adapter)
    assert outcomes(careless, "duplicates") == {"fail"}


def test_contamination_by_counts() -> None:
    assert outcomes(healthy("answer"), "contamination") == {"pass"}, "the rows were dropped"
    kept = documented(healthy("answer"), with_data(contaminated_rows_dropped=None))
    assert outcomes(kept, "contamination", SUSPECT) == {"fail"}
    assert outcomes(kept, "contamination", HEALTHY) == {"pass"}
    counted = with_data(
        trained_on_probe={SUSPECT: {"answer": 12}, HEALTHY: {"answer": 0}}, contamination=None
    )
    told = documented(healthy("answer"), counted)
    assert outcomes(told, "contamination", SUSPECT) == {"fail"}
    assert outcomes(told, "contamination", HEALTHY) == {"pass"}
    assert "12 of its questions" in found(told, "contamination", SUSPECT)[0].sentence


@pytest.mark.parametrize(("push", "outcome"), [(0.5, "fail"), (0.0, "pass")])
def test_contamination_by_contrast(push: float, outcome: str) -> None:
    """Nothing is known about the training data; the adapter moved on seen questions only."""
    plain = documented(healthy("answer"), {})
    strata = {}
    for c in plain.study.configurations:
        measure = plain.study.measure(c.name, "answer", "dP")
        assert measure
        for stratum, part in (("train", slice(0, 40)), ("neither", slice(40, 80))):
            moved = push if stratum == "train" and c.adapter == SUSPECT else 0.0
            strata[c.name, "answer", stratum] = (
                dataclasses.replace(
                    measure,
                    items=measure.items[part],
                    clusters=measure.clusters[part],
                    numerator=measure.numerator[:, part] + moved,
                    denominator=measure.denominator[:, part],
                ),
            )
    results = study("answer", document={}, strata=strata)
    assert outcomes(results, "contamination", SUSPECT) == {outcome}


@pytest.mark.parametrize(
    ("again", "alone", "outcome"),
    [
        (0.0, 3e-5, "pass"),
        (0.02, 0.0, "fail"),
        (0.0, 0.5, "fail"),
        (float("nan"), 0.0, "fail"),
        (None, 0.0, "n/a"),
    ],
)
def test_determinism(again: float | None, alone: float, outcome: str) -> None:
    determinism = {"items": 20, "rerun_max_abs": again, "alone_max_abs": alone}
    results = documented(healthy("answer", "mmlu"), {"scoring": {"determinism": determinism}})
    assert outcomes(results, "determinism") == {outcome}
    if outcome == "fail":
        marked = audits.marked(audits.run(results))
        assert {(g, e) for g in ("base", HEALTHY, SUSPECT) for e in ("answer", "mmlu")} <= marked


def test_base_against_base() -> None:
    assert outcomes(healthy("mmlu", "are_you_sure"), "base_null") == {"pass"}
    results = study("mmlu", "are_you_sure", values={("base", "mmlu", "rotation_null"): 0.3})
    by_evaluation = {a.evaluation: a.outcome for a in found(results, "base_null")}
    assert by_evaluation == {"mmlu": "fail", "are_you_sure": "pass"}
    assert outcomes(study("mmlu", without=("rotation_null",)), "base_null") == {"n/a"}


def test_the_old_parser_never_gates() -> None:
    planted = {(SUSPECT, "answer_generated", "parsed_published"): 0.0}
    results = study("answer", "answer_generated", values=planted)
    assert {a.word for a in found(results, "old_parser")} == {"reported"}
    assert found(results, "old_parser", SUSPECT)[0].statistic == pytest.approx(1.0)
    assert outcomes(healthy("answer"), "old_parser") == {"n/a"}


def test_table_and_marks() -> None:
    results = study("mmlu", "answer", "feedback", values={(SUSPECT, "mmlu", "position_gap"): 0.4})
    everything = audits.run(results)
    shown = audits.table(everything)
    assert shown.columns == ("Audit", "base", HEALTHY, SUSPECT, "whole study")
    by_title = {row[0]: row for row in shown.rows}
    assert len(by_title) == len(audits.AUDITS)
    gap = by_title["Always-A gap"]
    assert [c.text for c in gap[1:5] if isinstance(c, Entry)] == ["pass", "pass", "fail", "\u2014"]
    assert isinstance(gap[3], Entry)
    assert gap[3].note == "mmlu"
    assert "fail" in to_csv(shown)
    assert "**fail**" in to_markdown(shown)
    assert audits.marked(everything) == {(SUSPECT, "mmlu")}
