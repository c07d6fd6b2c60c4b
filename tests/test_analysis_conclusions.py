"""What the report says may be believed: claims by one rule, doubt that follows the numbers, strata, calibration."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from synthetic_study import ask, stratify, write_study

from analysis import calibration
from analysis.audits import Audit
from analysis.figures import catalogue, strata
from analysis.figures.picture import picture
from analysis.page.document import Paragraph, render_html
from analysis.records.load import load
from analysis.report import csvs, sections, write
from analysis.report.contents import audited, controls
from analysis.results import Result, Results, compute
from analysis.statistics import Estimate
from analysis.verdicts import conclusions, rule
from analysis.verdicts.doubt import OF_BASE, OWN, Doubt
from analysis.verdicts.rule import verdicts
from sycojax.evals import BUILTIN
from sycojax.evals.measured import measured, spread_of
from sycojax.files import read_json, write_json
from sycojax.records import Record, read_records

NOTHING = Doubt((), frozenset())
UP, WIDE, TINY = (
    Estimate(*ends, items=80, clusters=80)
    for ends in ((0.2, 0.1, 0.3), (0.2, -0.1, 0.5), (0.001, -0.01, 0.01))
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two probes, three adapters, two seeds; the questions of ``answer`` lie in three strata."""
    directory = write_study(
        tmp_path_factory.mktemp("study"), items=44, adapters=("mmlu", "gsm8k", "combined"),
        evaluations=("mmlu", "answer", "feedback"), arms=True,
    )  # fmt: skip
    stratify(directory, "answer")
    return directory


@pytest.fixture(scope="module")
def results(study: Path) -> Results:
    return compute(load(study))


def with_results(results: Results, found: dict[str, Result]) -> Results:
    """The results with other numbers for the soft headline of ``answer``, by adapter."""
    names = ("uptake", "uptake_matched")
    keys = {(adapter, "answer", name): found[adapter] for adapter in found for name in names}
    return dataclasses.replace(results, by_adapter={**results.by_adapter, **keys})


def failed(group: str, evaluation: str) -> Audit:
    return Audit(
        "echo", "Echo", group, evaluation, 1.0, 0.5, 1.5, "never", "fail", "It copies.", (evaluation,)
    )  # fmt: skip


def test_only_the_claim_makes_a_claim(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an interval without 0, not a small p of the items alone, not even both."""
    monkeypatch.setattr(
        rule, "_of_orders", lambda *_: []
    )  # that of the answers, not of these numbers
    level = Estimate(0.3, 0.2, 0.4)
    changed = with_results(
        results,
        {
            "mmlu": Result(level, UP, p=0.001, p_claim_holm=0.06, mde=0.1, equivalent=False),
            "gsm8k": Result(level, TINY, p=0.5, p_claim_holm=1.0, mde=0.02, equivalent=True),
            "combined": Result(level, UP, p=0.001, p_claim_holm=0.04, mde=0.1, equivalent=False),
        },
    )  # fmt: skip
    found = {v.adapter: v for v in verdicts(changed, changed.tested[0])}
    outcomes = {name: v.outcome for name, v in found.items()}
    assert outcomes == {"mmlu": "open", "gsm8k": "no change", "combined": "raised"}
    said = dict(conclusions.can(changed, NOTHING))["answer, uptake:"]
    assert "raised by combined +20.0 points [+10.0, +30.0] (p = .040)" in said
    assert "No change (the shift lies within ±5 points): gsm8k" in said
    assert "Cannot be told: mmlu (a single test would find 10.0 points with 80 % power)" in said
    assert "1 of " not in conclusions.counted(changed).partition(",")[0]
    few = dataclasses.replace(UP, clusters=12)
    none = Result(level, dataclasses.replace(TINY, clusters=50), p_claim_holm=1.0, equivalent=None)
    short = with_results(
        changed, {"combined": Result(level, few, p_claim_holm=0.04), "gsm8k": none}
    )
    assert (
        "Too few items: gsm8k and combined"
        in dict(conclusions.can(short, NOTHING))["answer, uptake:"]
    )
    assert " rest on " in dict(conclusions.cannot(short, NOTHING))["Too few items:"]
    cells = {row[0]: row[1] for row in conclusions.table(changed, NOTHING).rows}
    assert cells["combined"].strong == "text"  # type: ignore[union-attr]
    assert cells["mmlu"].strong == ""  # type: ignore[union-attr]
    lowered = Result(level, Estimate(-0.2, -0.3, -0.1, 80, 80), p_claim_holm=0.04, equivalent=False)
    assert (
        "lowered by mmlu \u221220.0 points"
        in dict(conclusions.can(with_results(changed, {"mmlu": lowered}), NOTHING))[
            "answer, uptake:"
        ]
    )


def test_the_spread_of_every_adapter_is_matched_to_the_bases(study: Path, results: Results) -> None:
    def read(name: str, spread: float | None = None) -> dict[str, float]:
        records = list(read_records(study / "records" / name / "answer.jsonl"))
        spreads.append(spread_of(BUILTIN["answer"], records))
        return {m.name: m.estimate for m in measured(BUILTIN["answer"], records, spread)}

    spreads: list[float] = []
    base = read("base")
    assert base["uptake_matched"] == base["uptake"]
    assert results.of("base", "answer", "uptake_matched").level.value == base["uptake"]
    adapter = read("mmlu-s0", spreads[0])
    found = results.by_configuration["mmlu-s0", "answer", "uptake_matched"].level.value
    assert found == adapter["uptake_matched"] != adapter["uptake"]


def test_doubt_follows_the_number(results: Results) -> None:
    audits = (failed("mmlu", "answer"), failed("base", "feedback"))
    found = Doubt(audits, frozenset({("mmlu", "answer"), ("base", "feedback")}))
    assert found.of_level("mmlu", "answer") == OWN == found.of_shift("mmlu", "answer")
    assert found.of_shift("combined", "answer") == ""
    assert found.of_level("combined", "feedback") == ""
    assert found.of_shift("combined", "feedback") == OF_BASE
    cells = {row[0]: row[1:] for row in conclusions.table(results, found).rows}
    assert OWN in cells["mmlu"][0].text  # type: ignore[union-attr]
    assert OWN not in cells["combined"][0].text  # type: ignore[union-attr]
    assert OF_BASE in cells["combined"][2].text  # type: ignore[union-attr]
    said = dict(conclusions.cannot(results, found))["Failed audits:"]
    assert said.startswith("Echo (mmlu on answer; base on feedback). ")
    assert (
        found.caption(results.groups, ["answer"])
        == f"{OWN} In doubt after a failed audit: answer (mmlu)."
    )
    assert found.footnote(["combined"], ["answer"]) == ""
    verdict = audited.sentences(found).rows[0][2]
    assert (verdict.text, verdict.tone) == ("fail", "bad")  # type: ignore[union-attr]


def test_doubt_is_seen_on_the_page_and_in_the_files(results: Results) -> None:
    """In tables, in captions, and as a column of the CSV."""
    pictures = {f.name: Paragraph("") for f in catalogue.drawings(BUILTIN)}
    clean = render_html(sections.document(results, NOTHING, pictures))
    assert OWN not in clean
    assert "Not calibrated: " in clean
    found = Doubt((failed("mmlu", "answer"),), frozenset({("mmlu", "answer")}))
    marked = render_html(sections.document(results, found, pictures))
    assert marked.count(OWN) > 10
    assert "It copies." in marked
    text = csvs.every_measure(results, found)["measures_by_configuration.csv"]
    read = list(csv.DictReader(text.splitlines()))
    doubted = {(r["configuration"], r["evaluation"]) for r in read if r["in_doubt"] == "True"}
    assert doubted == {("mmlu-s0", "answer"), ("mmlu-s1", "answer")}


def test_strata_are_drawn_and_tabled(results: Results) -> None:
    assert strata.split(results) == ("answer",)
    table = controls.strata(results, NOTHING, ("answer",))
    assert [row[0].text for row in table.rows] == ["base", "mmlu", "gsm8k", "combined"]  # type: ignore[union-attr]
    seen = results.seen_minus_unseen["combined", "answer", "uptake"]
    shown = table.rows[-1][-1]
    assert shown.text.replace("\u2212", "-") == f"{seen.value * 100:+.1f}"  # type: ignore[union-attr]
    drawn = picture("strata", "Strata", "Look.", strata.draw, results, NOTHING)
    (sheet,) = drawn.sheets
    assert sheet.svg.startswith(b"<?xml")
    assert sheet.png.startswith(b"\x89PNG")


def test_one_seed_is_said(results: Results) -> None:
    study = results.study
    once = tuple(c for c in study.configurations if c.seed in (None, 0))
    single = dataclasses.replace(results, study=dataclasses.replace(study, configurations=once))
    assert (
        "every adapter was trained once only"
        in dict(conclusions.cannot(single, NOTHING))["One seed:"]
    )
    assert "Few seeds:" in dict(conclusions.cannot(results, NOTHING))


def test_calibration_is_shown_for_its_base_only(study: Path) -> None:
    shipped = calibration.certificate()
    assert shipped is not None, "the package ships a certificate"
    document = read_json(study / "study.json")
    assert calibration.read(study, document) == (None, "")
    same = {key: shipped.document[key] for key in ("base_fingerprint", "basis", "config")}
    write_json(study / "study.json", {**document, **same})
    page = write(study).read_text(encoding="utf-8")
    write_json(study / "study.json", document)
    assert "Measured against planted deference" in page
    assert "Not calibrated: " not in page
    assert (study / "report" / "figures" / "calibration.png").is_file()


def test_published_rates_stand_beside_ours(tmp_path: Path) -> None:
    """A model that always writes "B" is right in a quarter of the items, and is always parsed."""
    directory = write_study(
        tmp_path, items=8, adapters=("gsm8k",), seeds=(0,), evaluations=("mmlu",)
    )
    assert not controls.published(compute(load(directory))).rows
    for name in ("base", "gsm8k-s0"):
        ask(directory, name, "mmlu_published", 8, lambda r: Record.generated(r, "B", True))
    results = compute(load(directory))
    table = controls.published(results)
    by_name = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [r["configuration"].text for r in by_name] == ["base", "gsm8k"]  # type: ignore[union-attr]
    assert by_name[1]["published rate"].text == "25.0"  # type: ignore[union-attr]
    assert by_name[1]["its shift"].text == "0.0"  # type: ignore[union-attr]
    assert by_name[1]["not parsed"].text == "0.0"  # type: ignore[union-attr]
    hard = results.of("gsm8k", "mmlu", "accuracy").level.value
    assert by_name[1]["hard headline"].text == f"{hard * 100:.1f}"  # type: ignore[union-attr]
