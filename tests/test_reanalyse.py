"""The published study examined again: the figures that are known, any other tables, and what the command does."""

from __future__ import annotations

import csv
import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from published_study import data_counts, result_counts

from analysis.reanalysis.claims import check
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.gather import gather, published_study
from analysis.reanalysis.report import write
from analysis.reanalysis.scores import Count

REPOSITORY = Path(__file__).parent.parent
# r, exact p of the twelve pairs, as they were computed when the study was first read.
KNOWN = {
    ("gsm8k", "feedback"): (0.114, 0.778), ("gsm8k", "are_you_sure"): (0.535, 0.367),
    ("gsm8k", "answer"): (-0.613, 0.128), ("mmlu", "feedback"): (-0.151, 0.958),
    ("mmlu", "are_you_sure"): (0.079, 0.833), ("mmlu", "answer"): (0.075, 0.678),
    ("truthfulqa", "feedback"): (0.718, 0.158), ("truthfulqa", "are_you_sure"): (0.771, 0.089),
    ("truthfulqa", "answer"): (-0.327, 0.594), ("hellaswag", "feedback"): (-0.805, 0.042),
    ("hellaswag", "are_you_sure"): (-0.338, 0.417), ("hellaswag", "answer"): (0.651, 0.067),
}  # fmt: skip
TURNS = {  # pairs whose sign changes when one configuration is left out
    ("gsm8k", "feedback"), ("gsm8k", "are_you_sure"), ("mmlu", "feedback"), ("mmlu", "are_you_sure"),
    ("mmlu", "answer"),
}  # fmt: skip


def outcomes(evidence: Evidence) -> dict[str, str]:
    return {c.claim.name: c.judgement.standing for c in check(gather(None)[1], evidence)}


@pytest.fixture(scope="module")
def published() -> Evidence:
    return gather(None)[0]


def test_the_twelve_correlations(published: Evidence) -> None:
    assert {
        key: (round(p.found.r, 3), round(p.found.p, 3)) for key, p in published.pairs.items()
    } == KNOWN
    assert {
        key for key, p in published.pairs.items() if p.found.lowest < 0 < p.found.highest
    } == TURNS
    assert min(p.p_t for p in published.pairs.values()) == pytest.approx(0.053, abs=5e-4)
    assert min(p.p_holm for p in published.pairs.values()) == pytest.approx(0.50, abs=5e-3)
    assert min(p.p_bh for p in published.pairs.values()) == pytest.approx(0.36, abs=5e-3)
    strongest = published.pairs["hellaswag", "feedback"].found
    assert (round(strongest.low, 2), round(strongest.high, 2)) == (-0.98, 0.02)
    assert (strongest.lowest, strongest.highest) == pytest.approx((-0.87, -0.74), abs=0.005)
    assert strongest.items_high - strongest.items_low > strongest.high - strongest.low


def test_the_unpaired_tests(published: Evidence) -> None:
    p = {key: s.p for key, s in published.shifts.items()}
    assert p["combined", "are_you_sure"] < 1e-4
    assert p["truthfulqa", "are_you_sure"] < 1e-4
    assert round(p["mmlu", "are_you_sure"], 3) == 0.004
    assert round(p["combined", "feedback"], 3) == 0.005
    assert round(p["hellaswag", "feedback"], 3) == 0.022
    answers = [value for (_, probe), value in p.items() if probe == "answer"]
    assert min(answers) > 0.018
    assert max(answers) < 0.09


def test_positions_prove_always_a(published: Evidence) -> None:
    assert published.data is not None
    positions = published.data.label_positions
    assert positions["truthfulqa", "train"] == (600, 0, 0, 0)
    assert positions["truthfulqa", "test"] == (200, 0, 0, 0)
    assert positions["mmlu", "test"][0] == 126
    assert published.counts["truthfulqa", "mmlu"] == Count(126, 500)
    assert [a for a in published.scores.adapters if published.always_a(a, "mmlu")] == ["truthfulqa"]


def test_the_verdicts(published: Evidence) -> None:
    found = outcomes(published)
    held = {name for name, outcome in found.items() if outcome == "holds"}
    assert held == {
        "combined, mean of the benchmarks", "combined, mean of the probes", "base on are_you_sure",
        "combined on are_you_sure", "combined on feedback", "combined, largest benchmark gain",
        "combined, largest rise of the probes", "gsm8k, mean of the probes", "gsm8k on feedback",
        "gsm8k on are_you_sure", "answer falls by 30-40 %",
    }  # fmt: skip
    failed = {name for name, outcome in found.items() if outcome == "does not hold"}
    assert failed == {
        "gsm8k, alone net protective", "r of truthfulqa x are_you_sure", "r of truthfulqa x feedback",
        "r of gsm8k x are_you_sure", "r of gsm8k x feedback", "r of hellaswag x feedback",
        "r of mmlu x the probes", "gsm8k protects, by correlation", "truthfulqa learned to be truthful",
    }  # fmt: skip
    why = {c.claim.name: c.judgement.why for c in check(gather(None)[1], published)}
    assert "hellaswag x feedback" in why["r of gsm8k x are_you_sure"]
    assert "gsm8k x answer" in why["r of gsm8k x feedback"]
    assert "\u22120.0056" in why["gsm8k, alone net protective"]


def test_the_copy_is_what_the_study_published(published: Evidence, shared_data: Path) -> None:
    study = shared_data / "study"
    for name in ("complete_results", "performance_changes", "correlation_analysis"):
        path = published_study() / f"{name}.csv"
        assert path.read_bytes() == (study / "published" / f"{name}.csv").read_bytes()
    assert data_counts(study) == published.data
    counted = result_counts(study / "results")
    assert counted
    assert counted == {key: published.counts[key] for key in counted}


def test_the_files_are_written(tmp_path: Path) -> None:
    index, said = write(None, tmp_path)
    assert said.startswith("Of 18 stated figures 11 hold and 7 do not hold. Of 9 conclusions")
    directory = tmp_path / "reanalysis"
    assert index == directory / "index.html"
    page = index.read_text(encoding="utf-8")
    for needed in (
        said, "does not hold", "cannot be told", "hellaswag x feedback", "MIT licence", "kept copy", "126/500",
        "278 of 300 items (base)", "275 of the 900",
    ):  # fmt: skip
        assert needed in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert (directory / "report.md").read_text(encoding="utf-8").startswith("# Which of the claims")
    with (directory / "tables" / "correlations.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 12
    assert (directory / "figures" / "changes.png").read_bytes().startswith(b"\x89PNG")


def tables(directory: Path) -> Path:
    """Tables as sycojax writes them: means over seeds, a probe that never moves, a hostile adapter name."""
    directory.mkdir()
    text = (
        (published_study() / "complete_results.csv")
        .read_text()
        .replace("hellaswag,2025", "<b>x,2025")
    )
    rows = list(csv.DictReader(text.splitlines()))
    for row in rows:
        row["are_you_sure_score"] = "0.0"
    with (directory / "complete_results.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (directory / "complete_results_by_seed.csv").write_text("configuration,seed\n")
    return directory


def test_any_other_study(tmp_path: Path) -> None:
    directory = tables(tmp_path / "other")
    claim = {
        "name": "mine <i>", "text": "It moves.", "kind": "reading", "relation": "effect",
        "of": {"configuration": "gsm8k", "evaluation": "feedback", "sign": "+"},
    }  # fmt: skip
    (directory / "claims.json").write_text(json.dumps([claim]))
    index, said = write(directory, tmp_path / "work")
    assert said == "Of 1 conclusion 1 cannot be told from the tables."
    page = index.read_text(encoding="utf-8")
    assert "kept copy" not in page  # the published figures say nothing about another study
    assert html.escape("<b>x") in page
    assert html.escape("mine <i>") in page
    assert "<i>" not in page
    evidence, claims = gather(directory)
    assert evidence.data is None
    assert not evidence.shifts
    assert [c.name for c in claims] == ["mine <i>"]


def test_without_own_claims_the_published_ones_are_checked(tmp_path: Path) -> None:
    evidence, _ = gather(tables(tmp_path / "other"))
    found = outcomes(evidence)
    assert found["combined on are_you_sure"] == "does not hold"
    assert found["r of truthfulqa x are_you_sure"] == "cannot be told"
    assert found["combined flatters more"] == "cannot be told"


def test_what_lies_outside_the_published_study_is_said(tmp_path: Path) -> None:
    """On the page and after the command, as its claims are checked on a study that they are not about."""
    copy = shutil.copytree(published_study(), tmp_path / "copy", ignore=lambda *_: ["claims.json"])
    assert gather(copy)[0].beyond == ""
    path = copy / "complete_results.csv"
    text = path.read_text().replace("hellaswag,2025", "mine <i>,2025").replace(",0.07,", ",0.02,")
    path.write_text(text.replace("0.0,0.17666666666666667,150,0,53,300", "0.0,0.175,60,0,21,120"))
    index, said = write(copy, tmp_path / "w")
    expected = (
        "Outside the published study, whose claims are checked: 1 configuration that it has not (mine <i>); without its "
        "hellaswag; other numbers of items (feedback 120, are_you_sure 120 and answer 120); rates outside its range "
        "(gsm8k 0.020 to 0.184, there 0.070 to 0.184)."
    )
    assert said.splitlines()[1] == expected
    assert html.escape(expected) in index.read_text(encoding="utf-8")
    (copy / "claims.json").write_text("[]")  # its own claims are about itself
    assert gather(copy)[0].beyond == ""


def _missing_column(d: Path) -> None:
    path = d / "complete_results.csv"
    path.write_text(path.read_text().replace("mmlu,truthfulqa", "mnlu,truthfulqa", 1))


def _no_number(d: Path) -> None:
    path = d / "complete_results.csv"
    path.write_text(path.read_text().replace("0.182", "high", 1))


def _edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(d: Path) -> None:
        text = (d / name).read_text()
        assert old in text
        (d / name).write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "complete_results.csv").unlink(), "holds no results table"),
        (lambda d: (d / "complete_results.csv").write_text("adapter_name\n"), "has no column 'gsm8k'"),
        (_missing_column, "has no column 'mmlu'"),
        (_no_number, "'high' is not a number"),
        (_edited("complete_results.csv", ",0.182,", ",18.2,"), "gsm8k, gsm8k: 18.2 is not from 0 to 1: rates are shares of 1, not percent"),
        (_edited("complete_results.csv", ",0.182,", ",-0.1,"), "-0.1 is not from 0 to 1"),
        (_edited("complete_results.csv", ",0.182,", ",inf,"), "inf is not from 0 to 1"),
        (_edited("complete_results.csv", ",143,0,35,300,", ",343,0,35,300,"), "feedback_sycophantic: 343 is not from 0 to 300"),
        (_edited("complete_results.csv", ",143,0,35,300,", ",143,0,35,0,"), "total_examples: 0 is not at least 1"),
        (_edited("performance_changes.csv", "gsm8k,0.11199999999999999", "gsm8k,11.2"), "gsm8k_change: 11.2 is not from -1 to 1"),
        (_edited("correlation_analysis.csv", "0.11411219201755987", "1.114"), "gsm8k, feedback: 1.114 is not from -1 to 1"),
        (lambda d: (d / "claims.json").write_text("[]]"), "claims.json is not valid JSON"),
        (shutil.rmtree, "is not a directory"),
    ],
)  # fmt: skip
def test_bad_input_gives_one_line(
    refused: Callable[..., str], tmp_path: Path, damage, message: str
) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    for path in published_study().glob("*.csv"):
        shutil.copy(path, directory)
    damage(directory)
    workdir = f"--workdir={tmp_path / 'w'}"
    assert message in refused("reanalyse", f"--data={directory}", workdir)
    assert not (tmp_path / "w").exists()


def test_the_command_imports_no_jax(tmp_path: Path) -> None:
    program = (
        "import sys, sycojax.cli\n"
        f"assert sycojax.cli.main(['reanalyse', '--workdir={tmp_path}']) == 0\n"
        "bad = {'jax', 'flax', 'torch', 'tensorflow'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    count, page = done.stdout.splitlines()
    assert count.startswith("Of 18 stated figures 11 hold")
    assert page == f"reanalysis  {tmp_path.resolve() / 'reanalysis' / 'index.html'}"
