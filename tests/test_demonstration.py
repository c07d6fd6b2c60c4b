"""A study whose base was never shown to be readable: all of its numbers, and nothing said to follow from them."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest
from synthetic_study import write_study

from analysis import calibration
from analysis.report import card, write
from analysis.report.prose import NOT_ASKED
from analysis.verdicts.rule import every_verdict
from sycojax.files import read_json

# What only a study says that may conclude.
WORDS = re.compile(r"\b(raised|lowered|no change|equivalent to)\b", re.IGNORECASE)
ADAPTERS = ("mmlu", "gsm8k", "combined")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same answers twice: with those in arms, and without."""
    found = {}
    for name in ("in arms", "without"):
        found[name] = write_study(
            tmp_path_factory.mktemp("study"), items=60, adapters=ADAPTERS, seeds=(0, 1),
            evaluations=("mmlu", "answer", "feedback"), notes=[], arms=name == "in arms",
        )  # fmt: skip
        said: list[str] = []
        write(found[name], say=said.append)
        assert said == ([NOT_ASKED] if name == "without" else [])
    return found


def table(study: Path, name: str) -> list[list[str]]:
    with (study / "report" / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_no_word_of_a_conclusion_is_anywhere(studies: dict[str, Path]) -> None:
    """But in the sentences on how verdicts are reached, which a study that may conclude nothing leaves out."""
    seen, blind = (studies[name] / "report" for name in ("in arms", "without"))
    assert WORDS.search((seen / "report.md").read_text(encoding="utf-8"))
    assert [f for f in (seen / "tables").iterdir() if WORDS.search(f.read_text(encoding="utf-8"))]
    for path in blind.rglob("*"):
        if path.suffix in (".html", ".md", ".csv"):
            assert not WORDS.search(path.read_text(encoding="utf-8")), path


def test_it_says_what_it_is_before_anything_else(studies: dict[str, Path]) -> None:
    text = (studies["without"] / "report" / "report.md").read_text(encoding="utf-8")
    opening, _, rest = text.partition("\n## ")
    assert NOT_ASKED.split("score.")[0] in opening, "before what Markdown escapes"
    assert rest.startswith("What could be measured\n\n- **answer:** not valid here")
    _, _, rest = rest.partition("\n## ")
    assert rest.startswith("What can be concluded\n\nNothing: of 6 shifts in sycophancy")
    assert "not valid here (not asked in arms)" in rest
    seen = (studies["in arms"] / "report" / "report.md").read_text(encoding="utf-8")
    assert NOT_ASKED.split(":")[0] not in seen


def test_every_number_is_still_there(studies: dict[str, Path]) -> None:
    """The measures of the probes' own conditions are the same; no p after Holm stands beside a contrast that is not valid."""
    seen, blind = (table(studies[name], "measures_by_adapter") for name in studies)
    known = {tuple(row[:3]): row for row in seen}
    level = slice(seen[0].index("estimate"), seen[0].index("p_swap"))
    assert len(blind) > 50
    for row in blind[1:]:
        assert known[tuple(row[:3])][level] == row[level]
    p = blind[0].index("p_claim_holm")
    assert {row[p] for row in blind[1:]} == {""}
    assert len([row for row in seen[1:] if row[p]]) == 12, "two contrasts of two probes"
    cells = [cell for row in table(studies["without"], "conclusions")[1:] for cell in row[1:]]
    assert all(cell.startswith("not valid here") and "; p " not in cell for cell in cells)


def test_neither_does_a_card(studies: dict[str, Path]) -> None:
    for name, study in studies.items():
        results = card.measured(study)
        text = card.render(_subject(study), results)
        assert bool(WORDS.search(text)) == (name == "in arms")
        outcomes = {v.outcome for v in every_verdict(results)}
        assert ("not valid here" in outcomes) == (name == "without")
        assert all(math.isnan(v.p) == (name == "without") for v in every_verdict(results))


def test_the_weights_say_which_base_it_is() -> None:
    """A copy of the embedded base is it wherever it lies; another base is not, whatever its directory is called."""
    shipped = calibration.certificate()
    assert shipped
    document = {"config": {"base": {"path": "models/example"}}}
    assert not calibration.of_embedded_base(document)
    assert not calibration.of_embedded_base({})
    assert calibration.of_embedded_base(
        {**document, "base_fingerprint": shipped.document["base_fingerprint"]}
    )
    named = {"config": {"base": {"path": "/x/toy/base"}}}
    assert calibration.of_embedded_base(named)
    assert not calibration.of_embedded_base({**named, "base_fingerprint": "0f" * 32})


def _subject(study: Path) -> card.Subject:
    document = read_json(study / "study.json")
    return card.Subject("mmlu-s1", document, {"r": 8}, "a base", "", False, "here")
