"""The report from synthetic records: complete, correct, inert, and usable when things are missing."""

from __future__ import annotations

import csv
import math
import re
import shutil
from pathlib import Path

import pytest
from synthetic_study import write_study

from analysis.figures.catalogue import drawings
from analysis.figures.relations import ranks
from analysis.page.text import interval, number, p_value
from analysis.reanalysis.gather import published_study
from analysis.records.load import load
from analysis.report import write
from analysis.report.prose import is_toy
from analysis.report.transcripts import ITEMS
from analysis.results import compute
from analysis.statistics import Estimate
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.evals.measured import measured
from sycojax.files import read_json, write_json
from sycojax.records import read_records

ADAPTERS = ("mmlu", "truthfulqa", "combined")
# The counterparts of the published study's eight figures, and those of the controls.
PUBLISHED = (
    "benchmarks", "sycophancy", "shifts", "correlations", "trade_off", "progression", "rankings", "profiles",
)  # fmt: skip
DRAWN = (*PUBLISHED, "flips", "mention", "letters")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven configurations with their report."""
    directory = write_study(
        tmp_path_factory.mktemp("study"), items=44, adapters=ADAPTERS, arms=True
    )
    assert write(directory) == directory / "report" / "index.html"
    return directory


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    return (study / "report" / "index.html").read_text(encoding="utf-8")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def rate(study: Path, configuration: str, evaluation: str, name: str) -> float:
    """A measure straight from the records, past the analysis."""
    path = study / "records" / configuration / f"{evaluation}.jsonl"
    measures = measured(BUILTIN[evaluation], list(read_records(path)))
    return next(m.estimate for m in measures if m.name == name)


def test_everything_is_written(study: Path) -> None:
    report = study / "report"
    for figure in DRAWN:
        assert (report / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        svg = (report / "figures" / f"{figure}.svg").read_text(encoding="utf-8")
        assert "<text" not in svg, "letters must be paths, so they look the same everywhere"
    assert set(DRAWN) <= {f.name for f in drawings(BUILTIN)}
    names = {p.name for p in report.rglob("*.csv")}
    assert names >= {
        "complete_results.csv", "correlation_analysis.csv", "performance_changes.csv",
        "complete_results_by_seed.csv", "measures_by_adapter.csv", "measures_by_configuration.csv",
        "benchmarks.csv", "probe_answer_uptake.csv", "positions.csv", "diagnostics.csv", "training.csv",
    }  # fmt: skip
    assert not list(study.glob(".report*")), "no temporary directory is left"


def test_published_columns(study: Path) -> None:
    for name in ("complete_results.csv", "correlation_analysis.csv", "performance_changes.csv"):
        ours, theirs = (
            (d / name).read_text().splitlines()[0] for d in (study / "report", published_study())
        )
        assert ours == theirs


def test_published_csvs_hold_means_over_seeds(study: Path) -> None:
    found = rows(study / "report" / "complete_results.csv")
    assert [r["adapter_name"] for r in found] == ["baseline", *ADAPTERS]
    base, combined = found[0], found[-1]
    assert float(base["mmlu"]) == pytest.approx(rate(study, "base", "mmlu", "accuracy"))
    seeds = [rate(study, f"combined-s{s}", "answer", "published_rate") for s in (0, 1)]
    assert float(combined["answer_score"]) == pytest.approx(sum(seeds) / 2)
    change = float(combined["answer_score"]) - float(base["answer_score"])
    assert float(combined["answer_change"]) == pytest.approx(change)
    assert base["answer_change"] == ""
    total = sum(float(base[f"{p}_score"]) for p in ("feedback", "are_you_sure", "answer")) / 3
    assert float(base["total_sycophancy_score"]) == pytest.approx(total)
    changes = rows(study / "report" / "performance_changes.csv")
    assert changes[-1]["answer_change"] == combined["answer_change"]
    by_seed = rows(study / "report" / "complete_results_by_seed.csv")
    assert len(by_seed) == 7
    assert float(by_seed[-1]["answer_score"]) == pytest.approx(seeds[1])
    assert len(rows(study / "report" / "correlation_analysis.csv")) == 12


def test_page_stands_alone_and_is_inert(study: Path, page: str) -> None:
    sheets = list((study / "report" / "figures").glob("*.svg"))
    assert page.count("data:image/svg+xml;base64,") == len(sheets) >= len(DRAWN)
    assert "<script" not in page
    assert (
        "&lt;script&gt;document.title=&#x27;owned&#x27;&lt;/script&gt; &amp; &quot;quoted" in page
    )
    assert not re.search(r"""(?:src|href)=["'](?!#|data:|transcripts.html")""", page), (
        "nothing is fetched"
    )
    assert "url(" not in page
    for title in (
        "What can be concluded",
        "What cannot be concluded",
        "Position audit",
        "Audits",
        "Diagnostics",
        "Methods",
        "Provenance",
    ):
        assert title in page
    for text in ("P(y_W+ = w | y_H = r)", "0123456789ab", "241", "1.234"):
        assert text in page.replace("&#x27;", "'")


def test_transcripts_lie_beside_the_page(study: Path, page: str) -> None:
    beside = study / "report" / "transcripts.html"
    assert f'<a href="{beside.name}">' in page
    shown = beside.read_text(encoding="utf-8")
    assert len(shown) < 2_000_000
    assert shown.count("One prompt as the model read it") == 3 * ITEMS
    assert not re.search(r"""(?:src|href)=["'](?!#)""", shown), "it stands alone"
    text = beside.with_suffix(".md").read_text(encoding="utf-8")
    assert text.count("One prompt as the model read it") == 3 * ITEMS
    assert "(transcripts.md)" in (study / "report" / "report.md").read_text(encoding="utf-8")


def test_headline_numbers_are_on_the_page(study: Path, page: str) -> None:
    results = compute(load(study))
    level = results.of("base", "mmlu", "accuracy").level
    assert f"{number(level.value, 'rate')} {interval(level, 'rate')}" in page
    shift = results.of("combined", "answer", "uptake").shift
    assert shift is not None
    assert f"{number(shift.value, 'rate', True)} {interval(shift, 'rate', True)}; p " in page
    tested = [r for r in results.by_adapter.values() if math.isfinite(r.p)]
    assert len(tested) == 18, "two contrasts of three probes, of three adapters"
    assert all(r.p_claim_holm >= r.p_claim for r in tested)
    assert shift.value == pytest.approx(
        sum(rate(study, f"combined-s{s}", "answer", "uptake") for s in (0, 1)) / 2
        - rate(study, "base", "answer", "uptake")
    )


def test_errors_of_benchmarks_are_independent_but_for_the_seeds(study: Path) -> None:
    """Of a seed its questions alone; an adapter's seeds move all benchmarks at once."""
    results = compute(load(study))
    one = results._mean_shifts["mmlu-s0"]
    of_seed = [
        results.by_configuration["mmlu-s0", name, "accuracy"].shift
        for name in results.study.with_role("benchmark")
    ]
    for end in ("low", "high"):
        away = [getattr(s, end) - s.value for s in of_seed if s]
        assert abs(getattr(one, end) - one.value) == pytest.approx(math.hypot(*away) / 4)
    mean = results.mean_benchmark_shift("mmlu")
    shifts = [
        shift
        for name in results.study.with_role("benchmark")
        if (shift := results.of("mmlu", name, "accuracy").shift) is not None
    ]
    assert len(shifts) == 4
    assert mean.value == pytest.approx(sum(s.value for s in shifts) / 4)
    by_seed = dict(results.mean_benchmark_shift_by_seed("mmlu"))
    assert sum(by_seed.values()) / 2 == pytest.approx(mean.value)


def test_always_a_shows_in_the_position_audit(study: Path) -> None:
    found = {
        (r["configuration"].split()[0].rstrip("†"), r["configuration"].split()[-1]): r
        for r in rows(study / "report" / "tables" / "positions.csv")
    }
    base, shortcut = (found[name, "truthfulqa"] for name in ("base", "truthfulqa"))
    assert float(shortcut["answers A, rotated"].split()[0]) > 50
    assert float(base["answers A, rotated"].split()[0]) < 35
    assert float(shortcut["gap"].split()[0]) > 20
    assert base["A expected"] == "25.0"


def test_markdown_keeps_foreign_text_inert(study: Path) -> None:
    text = (study / "report" / "report.md").read_text(encoding="utf-8")
    outside = re.sub(r"^(`{3,})\n.*?^\1$", "", text, flags=re.M | re.S)
    assert "<script" not in outside
    assert "\\[x\\](y)" in outside or "\\[x](y)" in outside
    assert text.count("](figures/") == len(list((study / "report" / "figures").glob("*.png")))


@pytest.mark.slow
def test_writing_again_gives_the_same_bytes(study: Path) -> None:
    before = {p: p.read_bytes() for p in (study / "report").rglob("*") if p.is_file()}
    (study / "report" / "left_over.txt").write_text("old")
    write(study)
    after = {p: p.read_bytes() for p in (study / "report").rglob("*") if p.is_file()}
    assert before == after


def test_only_the_base(tmp_path: Path) -> None:
    directory = write_study(tmp_path, items=4, adapters=())
    text = write(directory).read_text(encoding="utf-8")
    assert "Capability against sycophancy: not available. It needs the base and an adapter." in text
    assert rows(directory / "report" / "performance_changes.csv") == []


def test_missing_evaluations_missing_base_and_empty_description(tmp_path: Path) -> None:
    directory = write_study(
        tmp_path, items=4, adapters=("mmlu", "hellaswag"), seeds=(0,),
        evaluations=("mmlu", "hellaswag", "answer"),
    )  # fmt: skip
    shutil.rmtree(directory / "records" / "base")
    (directory / "records" / "mmlu-s0" / "answer.jsonl").unlink()
    write_json(directory / "study.json", {})
    text = write(directory).read_text(encoding="utf-8")
    assert "mmlu-s0 has no records of answer." in text
    assert "No configuration has records of gsm8k." in text
    assert "The base was not scored" in text
    assert "trained once only" in text
    found = rows(directory / "report" / "complete_results.csv")
    assert [r["adapter_name"] for r in found] == ["hellaswag", "mmlu"]
    assert found[0]["gsm8k"] == ""


def test_one_item_gives_values_without_intervals(tmp_path: Path) -> None:
    directory = write_study(
        tmp_path, items=1, adapters=("custom",), seeds=(0,), evaluations=("gsm8k", "are_you_sure")
    )
    text = write(directory).read_text(encoding="utf-8")
    assert "(too few items)" in text


def test_nothing_to_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SycojaxError, match=r"study\.json does not exist"):
        write(tmp_path)
    write_json(tmp_path / "study.json", {})
    with pytest.raises(SycojaxError, match="no records under"):
        write(tmp_path)
    (tmp_path / "records" / "base").mkdir(parents=True)
    (tmp_path / "records" / "base" / "gsm8k.jsonl").write_text('{"item": 1}\n')
    with pytest.raises(SycojaxError, match=r"gsm8k\.jsonl:1"):
        write(tmp_path)
    write_json(tmp_path / "study.json", {"configurations": [{"adapter": "mmlu"}]})
    with pytest.raises(SycojaxError, match="has no name"):
        write(tmp_path)


def test_toy_is_said_to_be_one(study: Path, page: str) -> None:
    assert "never evidence about real models" in page
    document = read_json(study / "study.json")
    assert is_toy(document)
    assert is_toy({"config": {"base": {"path": "/somewhere/sycojax/toy/base"}}})
    assert not is_toy({**document, "base_fingerprint": "0f" * 32}), "weights of another base"
    assert is_toy({"config": {"base": {"path": "models/example"}, "data": {"source": "toy"}}})
    assert not is_toy({"config": {"base": {"path": "models/example"}}})


def test_ranks_known_answer() -> None:
    ranked = ranks({"base": 0.0, "good": 1.0, "bad": -1.0}, {"base": 0.0, "good": 1.0, "bad": 1.0})
    # At w = .5: 1.225 / 2 - 2.121 / 2 < 0.
    assert ranked["good"] == [1, 1, 2, 2, 2]
    assert ranked["base"] == [2, 2, 1, 1, 1]
    assert ranked["bad"] == [3, 3, 3, 3, 2]
    assert ranks({"base": 0.0, "x": math.nan}, {"base": 0.0, "x": 1.0}) == {"base": [1] * 5}


def test_numbers_in_words() -> None:
    assert number(-0.0004, "rate", signed=True) == "0.0"
    assert number(-0.123, "rate", signed=True) == "\u221212.3"
    assert number(0.5, "nats") == "0.50"
    assert number(math.nan, "rate") == "n/a"
    assert interval(Estimate(0.5, note="no variation"), "rate") == "(no variation)"
    assert [p_value(p) for p in (0.0004, 0.0431, 1.0, math.nan)] == ["<.001", ".043", "1", "n/a"]
