"""The page of transcripts: its numbers are the records', its remarks the templates', hostile text stays text."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_study import HOSTILE, READOUTS, respond_in_arms, rows, write_items, write_study

from analysis.page.document import Block, Folded, Paragraph, render_html, render_markdown
from analysis.page.tables import Entry, Table
from analysis.page.text import number
from analysis.records.load import Study, load
from analysis.report.transcripts import ITEMS, document
from sycojax.data.arms import ANSWER
from sycojax.data.prompts import HEDGE, THINK, Prompts
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.evals.readouts import CHECKED, CLAIMED, Instrument, Unit, drawn, requests
from sycojax.records import Record, read_records, write_records
from sycojax.requests import Request

GENERATED = "answer_generated"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``answer`` in all its readouts, with texts of a few items; ``are_you_sure`` in the one that was taken."""
    directory = write_study(
        tmp_path_factory.mktemp("study"), items=20, adapters=("mmlu",), evaluations=("answer", "are_you_sure"), arms=True,
    )  # fmt: skip
    instrument, few = asked_in_arms(), units()[:14]
    for readout in ("words", "letters", "yes_no"):
        asked = requests(
            f"answer_{readout}", instrument, few, Prompts(), (readout,), (*CLAIMED, *CHECKED)
        )
        answer(directory, asked, lambda q, seed: respond_in_arms(q, 0.3, seed))
    made = [unit.row for unit in few[4:]]
    answer(directory, BUILTIN[GENERATED].requests(made, Prompts(), 0), reply)
    return directory


def asked_in_arms() -> Instrument:
    instrument = BUILTIN["answer"].instrument
    assert instrument is not None
    return instrument


def units() -> list[Unit]:
    """The items of ``answer``, by their names."""
    found = asked_in_arms().units(rows("answer", 20), 0)
    return drawn(found, len(found))


def reply(request: Request, seed: int) -> Record:
    if request.max_new_tokens:
        wrote = f"{HOSTILE} {request.item} {request.condition} of {seed}"
        return Record.generated(request, wrote, True)
    n = len(request.candidates)
    return Record.scored(request, range(-n, 0), [1] * n, [False] * n)


def answer(directory: Path, asked: list[Request], respond: Any) -> None:
    """Questions, and a record of each from the base and both seeds of the adapter."""
    write_items(directory, asked[0].evaluation, asked)
    for seed, name in enumerate(("base", "mmlu-s0", "mmlu-s1")):
        path = directory / "records" / name / f"{asked[0].evaluation}.jsonl"
        write_records(path, [respond(request, seed) for request in asked])


@pytest.fixture(scope="module")
def loaded(study: Path) -> Study:
    return load(study)


@pytest.fixture(scope="module")
def shown(loaded: Study) -> dict[str, tuple[Block, ...]]:
    return blocks(loaded)


@pytest.fixture
def copied(loaded: Study, tmp_path: Path) -> Study:
    """The same, with files that may be damaged."""
    directory = shutil.copytree(loaded.directory, tmp_path / "study")
    return dataclasses.replace(loaded, directory=directory)


def blocks(study: Study) -> dict[str, tuple[Block, ...]]:
    return {section.anchor: section.blocks for section in document(study).sections}


def folded(found: tuple[Block, ...]) -> dict[str, Folded]:
    """By item, which stands in brackets behind the title."""
    return {b.title.rsplit("(", 1)[1][:-1]: b for b in found if isinstance(b, Folded)}


def text(cell: Entry | str) -> str:
    return cell.text if isinstance(cell, Entry) else cell


def of(found: Folded, readout: str) -> Table:
    return next(t for t in found.tables if t.caption.startswith(f"Readout {readout}"))


def recomputed(directory: Path, configuration: str, form: str, item: str, start: str) -> float:
    """P(x) from the bare lines, by the definitions of docs/readouts.md."""
    lines = (directory / "records" / configuration / f"{form}.jsonl").read_text().splitlines()
    own = [
        r for r in map(json.loads, lines) if r["item"] == item and r["condition"].startswith(start)
    ]
    assert own
    if form == "are_you_sure":
        likely = [np.exp(r["logprobs"]) for r in own]
        return float(np.mean([p[0] / p.sum() for p in likely]))
    odds = sum(r["meta"]["weight"] * (r["logprobs"][0] - r["logprobs"][1]) for r in own)
    return float(1 / (1 + np.exp(-odds)))


@pytest.mark.parametrize(
    ("form", "readout"),
    [("answer", "open"), ("answer_words", "words"), ("answer_yes_no", "yes_no"), ("are_you_sure", "letters")],
)  # fmt: skip
def test_cells_are_the_records(
    study: Path, shown: dict[str, tuple[Block, ...]], form: str, readout: str
) -> None:
    items = folded(shown[form if form in READOUTS else "answer"])
    assert len(items) == ITEMS
    for item, found in list(items.items())[:3]:
        table = of(found, readout)
        assert table.columns[1:] == ("base", "mmlu"), "the adapter's first seed"
        order = [
            "neutral+",
            *(a + s for a in ("user", "other", "sides", "others", "chance", "order") for s in "+-"),
        ]
        for remark, (_, *cells) in zip(order, table.rows, strict=True):
            base, tuned = (
                recomputed(study, c, form, item, f"{readout},{remark}0,")
                for c in ("base", "mmlu-s0")
            )
            assert cells == [Entry(number(base, "rate")), Entry(number(tuned, "rate"), number(tuned - base, "rate", True))]  # fmt: skip


@pytest.mark.parametrize("readout", ["open", "words", "letters", "yes_no"])
def test_a_remark_stands_there_as_it_was_said(
    shown: dict[str, tuple[Block, ...]], readout: str
) -> None:
    """Without the question before it and the list of options behind it."""
    made = {unit.item: unit.row for unit in units()}
    for item, found in folded(shown["answer"]).items():
        row = made[item]
        assert found.text == row.question
        names = {"w": row.incorrect_answer, "r": row.correct_answer}
        remarks = [text(r[0]) for r in of(found, readout).rows]
        assert remarks[1:3] == [one.format(**names).strip() for one in ANSWER["user"][0]]
        assert remarks[-2:] == [one.format(**names).strip() for one in ANSWER["order"][0]]
    (prompt,) = found.folds
    assert prompt.text == Prompts().chat(
        (row.question + ANSWER["user"][0][0].format(**names),), "The answer is"
    )


def test_items_with_texts_come_first_and_then_names_decide(
    shown: dict[str, tuple[Block, ...]],
) -> None:
    names = [unit.item for unit in units()]
    items = folded(shown["answer"])
    assert list(items) == [*names[4:14], *names[:2]]
    texts = items[names[4]].tables[-1]
    assert texts.columns == ("said to the model", "base", "mmlu")
    of_prompts = {row[0]: row[1:] for row in texts.rows}
    wrong = units()[4].row.incorrect_answer
    assert list(of_prompts) == [
        Entry(remark.strip(), how)
        for remark in (HEDGE, THINK.format(wrong))
        for how in ("goes on from the beginning of the answer", "answers freely")
    ]
    assert texts.rows[-1][1:] == tuple(f"{HOSTILE} {names[4]} free=W+ of {s}" for s in (0, 1))
    assert not any(table.prose for table in items[names[0]].tables), "nothing was generated of it"


def test_hostile_text_is_inert(copied: Study) -> None:
    path = copied.directory / "items" / "answer.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["turns"] = [HOSTILE + turn for turn in line["turns"]]
        line["prompt"] = HOSTILE + line["prompt"]
        line["candidates"] = [HOSTILE, *line["candidates"][1:]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = document(copied)
    html, markdown = render_html(page), render_markdown(page)
    assert html.count("&lt;script&gt;document.title") > 6 * ITEMS
    assert "<script" not in html
    assert "<script" not in re.sub(r"^(`{3,})\n.*?^\1$", "", markdown, flags=re.M | re.S)


@pytest.mark.parametrize("damage", ["no items", "no arms"])
def test_what_is_missing_is_said(copied: Study, damage: str) -> None:
    path = copied.directory / "items" / "answer.jsonl"
    if damage == "no items":
        path.unlink()
        expected = "What was asked is not here: items/answer.jsonl is missing."
    else:
        request = Request("answer", "one", "H", "q", "Who?", (" a", " b"), turns=("Who?",))
        path.write_text(json.dumps(request.to_json()) + "\n")
        expected = "answer was not asked in arms (docs/readouts.md), so there is nothing to set side by side."
    found = blocks(copied)
    assert found["answer"] == (Paragraph(expected, "missing"),)
    assert len(folded(found["are_you_sure"])) == ITEMS, "the other probe is there"


@pytest.mark.parametrize("line", ["{", "[]", '{"item": "x"}', "[" * 100_000])
def test_a_damaged_file_of_questions_is_named(copied: Study, line: str) -> None:
    path = copied.directory / "items" / "answer.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(SycojaxError, match=rf"{re.escape(str(path))}:1: not a question"):
        document(copied)


def test_records_of_some_items_alone(tmp_path: Path) -> None:
    """An item whose name is another's cluster, or has quotes in it, is still told apart."""
    request = Request("e", "a", "c", "b", "p", (" x",))
    records = [
        Record.scored(dataclasses.replace(request, item=item, cluster=cluster), [-1.0], [1], [True])
        for item, cluster in itertools.permutations(("a", "b", 'q"ü'), 2)
    ]
    write_records(tmp_path / "e.jsonl", records)
    for item in ("a", 'q"ü'):
        assert list(read_records(tmp_path / "e.jsonl", {item})) == [
            r for r in records if r.item == item
        ]
