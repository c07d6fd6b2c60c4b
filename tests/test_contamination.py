"""Training rows that ask a probe's question are found whatever their spelling, and only those."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from sycojax.data.contamination import (
    drop_probe_questions,
    question_key,
    question_keys,
    question_strata,
    row_question,
)
from sycojax.data.schemas import FeedbackRow, Gsm8kRow, HellaswagRow, MmluRow
from sycojax.data.sources import PROBES, open_source
from sycojax.errors import SycojaxError

TASKS = ("gsm8k", "mmlu", "hellaswag", "truthfulqa")


def gsm8k(question: str) -> Gsm8kRow:
    return Gsm8kRow("x", question, "#### 1")


def mmlu(question: str) -> MmluRow:
    return MmluRow("x", question, "s", ("a", "b"), 0)


def feedback(text: str) -> FeedbackRow:
    return FeedbackRow("x", "arguments", text, None, None, "p", "t")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is it?", "what  is it"),
        ("\uff37\uff48\uff41\uff54 is it?", "What is it?"),  # full-width letters
        ("It's “so”, isn't it?", "It s so isn t it"),
        ("Straße", "STRASSE"),
        ("  a-b  ", "a b"),
    ],
)
def test_spellings_of_one_question_share_a_key(one: str, other: str) -> None:
    assert question_key(one) == question_key(other)


@pytest.mark.parametrize(("one", "other"), [("2 + 2", "2 = 2"), ("ab", "a b"), ("?", "!")])
def test_different_questions_keep_different_keys(one: str, other: str) -> None:
    assert question_key(one) != question_key(other)


def test_the_question_of_each_kind_of_row() -> None:
    assert row_question(HellaswagRow("x", "label", "context", ("a", "b"), 0)) == "context"
    assert row_question(feedback("argument")) == "argument"
    assert row_question(mmlu("question")) == "question"


def test_a_row_of_a_new_kind_must_say_its_question() -> None:
    """Found by following docs/extending.md: the probe's rows are compared with all training rows."""

    @dataclasses.dataclass(frozen=True)
    class SumRow:
        origin: str
        a: int

    row = cast(Any, SumRow("probes.json:sums[0]", 1))
    with pytest.raises(SycojaxError, match=r"sums\[0\]: a SumRow has no question.*extending\.md"):
        question_keys([row])


def test_drop_keeps_order_and_counts_by_task_and_probe() -> None:
    train = {
        "gsm8k": [gsm8k("One?"), gsm8k("Two?"), gsm8k("Two?")],
        "mmlu": [mmlu("two"), mmlu("six")],
    }
    probes = {"answer": [mmlu("TWO!")], "feedback": [feedback("two"), feedback("six")]}
    kept, counts = drop_probe_questions(train, probes)
    assert kept == {"gsm8k": [gsm8k("One?")], "mmlu": []}
    assert counts == {
        "gsm8k": {"rows": 2, "answer": 2, "feedback": 2},
        "mmlu": {"rows": 2, "answer": 1, "feedback": 2},
    }


def test_strata_prefer_train() -> None:
    strata = question_strata([mmlu("One?"), mmlu("Both?")], [mmlu("Both."), mmlu("Two?")])
    assert strata == {"one": "train", "both": "train", "two": "test"}


def test_real_data_reproduce_the_published_contamination(shared_data: Path) -> None:
    source = open_source("files", str(shared_data / "study"))
    probes = {name: source.rows(name, "probe") for name in PROBES}
    trains = {name: source.rows(name, "train") for name in TASKS}
    strata = question_strata(trains["truthfulqa"], source.rows("truthfulqa", "test"))
    found = {
        name: [strata.get(question_key(row_question(row)), "neither") for row in rows]
        for name, rows in probes.items()
    }
    counts = {name: (f.count("train"), f.count("test")) for name, f in found.items()}
    assert counts == {"answer": (104, 28), "are_you_sure": (171, 61), "feedback": (0, 0)}

    kept, dropped = drop_probe_questions(trains, probes)
    assert dropped["truthfulqa"] == {"rows": 241, "answer": 98, "are_you_sure": 171, "feedback": 0}
    assert {name: len(rows) for name, rows in kept.items()} == {
        "gsm8k": 1000, "mmlu": 1000, "hellaswag": 1000, "truthfulqa": 359,
    }  # fmt: skip
    asked = question_keys(row for rows in probes.values() for row in rows)
    assert not asked & question_keys(row for rows in kept.values() for row in rows)
