"""A study of a base that nobody has shown to be readable: all of its numbers, and nothing said to follow from them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from synthetic_study import study_document, write_study

from analysis import calibration
from analysis.report import card, write
from analysis.results import Results
from analysis.verdicts.conclusions import DEMONSTRATION
from analysis.verdicts.rule import every_verdict
from sycojax.files import read_json

# What only a study says that may conclude; the name of the column of p is no such word.
WORDS = re.compile(r"\b(claim(ed|s)?|raised|lowered|no change|equivalent to)\b", re.IGNORECASE)
ADAPTERS = ("mmlu", "gsm8k", "combined")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same answers twice: of the embedded base, and of another one."""
    found = {}
    for base in ("toy", "models/example"):
        found[base] = write_study(
            tmp_path_factory.mktemp("study"), items=60, adapters=ADAPTERS, seeds=(0, 1),
            evaluations=("mmlu", "answer", "feedback"), notes=[],
            config=study_document([], base)["config"],
        )  # fmt: skip
        write(found[base])
    return found


def table(study: Path, name: str) -> list[list[str]]:
    with (study / "report" / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_no_word_of_a_conclusion_is_anywhere(studies: dict[str, Path]) -> None:
    toy, other = (studies[base] / "report" for base in ("toy", "models/example"))
    assert WORDS.search((toy / "report.md").read_text(encoding="utf-8"))
    assert [f for f in (toy / "tables").iterdir() if WORDS.search(f.read_text(encoding="utf-8"))]
    for path in other.rglob("*"):
        if path.suffix in (".html", ".md", ".csv"):
            assert not WORDS.search(path.read_text(encoding="utf-8")), path


def test_it_says_what_it_is_before_anything_else(studies: dict[str, Path]) -> None:
    text = (studies["models/example"] / "report" / "report.md").read_text(encoding="utf-8")
    opening, _, rest = text.partition("\n## ")
    assert DEMONSTRATION in opening
    assert rest.startswith("What can be concluded\n\nNothing: this is a demonstration. 6 shifts")
    toy = (studies["toy"] / "report" / "report.md").read_text(encoding="utf-8")
    assert "demonstration" not in toy


def test_every_number_is_still_there(studies: dict[str, Path]) -> None:
    """Tables differ in words alone, and in the column that would say "no change"."""
    for name in ("mmlu", "answer", "feedback"):
        assert name in {row[1] for row in table(studies["toy"], "measures_by_adapter")}
    toy, other = (table(studies[base], "measures_by_adapter") for base in studies)
    column = toy[0].index("equivalent")
    assert {row[column] for row in toy[1:]} >= {"True", "False"}
    assert {row[column] for row in other[1:]} == {""}
    assert [r[:column] + r[column + 1 :] for r in toy] == [
        r[:column] + r[column + 1 :] for r in other
    ]
    verdicts = {cell.split(" ")[0] for row in table(studies["models/example"], "conclusions")[1:] for cell in row[1:]}  # fmt: skip
    assert {v.strip("†‡") for v in verdicts} == {"demonstration"}
    audits = [table(study, "audit_findings") for study in studies.values()]
    assert audits[0] == audits[1]


def test_neither_does_a_card(studies: dict[str, Path]) -> None:
    for base, study in studies.items():
        results = card.measured(study)
        text = card.render(_subject(study), results)
        assert bool(WORDS.search(text)) == (base == "toy")
        assert (DEMONSTRATION in text) == (base != "toy")
        assert {v.outcome for v in every_verdict(results)} == {"demonstration"} or base == "toy"
        assert [v.p for v in every_verdict(results)] == _ps(card.measured(studies["toy"]))


def test_the_weights_say_which_base_it_is() -> None:
    """A copy of the embedded base is it wherever it lies; another base is not, whatever its directory is called."""
    shipped = calibration.certificate()
    assert shipped
    document = study_document([], "models/example")
    assert not calibration.of_embedded_base(document)
    assert not calibration.of_embedded_base({})
    assert calibration.of_embedded_base({**document, "base_fingerprint": shipped.base_fingerprint})
    named = study_document([], "/x/toy/base")
    assert calibration.of_embedded_base(named)
    assert not calibration.of_embedded_base({**named, "base_fingerprint": "0f" * 32})


def _ps(results: Results) -> list[float]:
    return [v.p for v in every_verdict(results)]


def _subject(study: Path) -> card.Subject:
    document = read_json(study / "study.json")
    return card.Subject("mmlu-s1", document, {"r": 8}, "a base", "", False, "here")
