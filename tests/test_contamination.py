"""Training rows that ask a probe's question are found whatever their spelling, and only those."""

from __future__ import annotations

from pathlib import Path

from sycojax.data.contamination import drop_probe_questions, question_strata
from sycojax.data.data_sets import Split
from sycojax.data.questions import question_key
from sycojax.data.sources import open_source
from sycojax.evals import BUILTIN
from sycojax.evals.feedback import FeedbackRow
from sycojax.evals.hellaswag import HellaswagRow
from sycojax.evals.mmlu import MmluRow


def test_the_question_of_each_kind_of_row() -> None:
    asked = {
        "hellaswag": HellaswagRow("x", "label", "text", ("a", "b"), 0),
        "feedback": FeedbackRow("x", "arguments", "text", None, None, "p", "t"),
        "mmlu": MmluRow("x", "text", "s", ("a", "b"), 0),
    }
    assert {BUILTIN[name].question(row) for name, row in asked.items()} == {"text"}


def test_drop_keeps_order_and_counts_by_task_and_probe() -> None:
    rows = {"gsm8k": ["One?", "Two?", "two"], "mmlu": ["TWO!", "six"]}
    keys = {task: [question_key(row) for row in own] for task, own in rows.items()}
    asked = {"answer": {"two"}, "feedback": {"two", "six"}}
    remaining, counts = drop_probe_questions(rows, keys, asked)
    assert remaining == {"gsm8k": ["One?"], "mmlu": []}
    assert counts == {
        "gsm8k": {"rows": 2, "answer": 2, "feedback": 2},
        "mmlu": {"rows": 2, "answer": 1, "feedback": 2},
    }


def test_strata_prefer_train() -> None:
    strata = question_strata(["one", "both"], ["both", "two"])
    assert strata == {"one": "train", "both": "train", "two": "test"}


def test_real_data_reproduce_the_published_contamination(shared_data: Path) -> None:
    source = open_source("files", str(shared_data / "study"), BUILTIN)
    trains = {name: source.rows(name, "train") for name in BUILTIN.benchmarks}

    def keys(name: str, split: Split) -> list[str]:
        return [question_key(BUILTIN[name].question(row)) for row in source.rows(name, split)]

    asked = {name: keys(name, "probe") for name in BUILTIN.probes}
    strata = question_strata(keys("truthfulqa", "train"), keys("truthfulqa", "test"))
    found = {
        name: [strata.get(key, "neither") for key in of_probe] for name, of_probe in asked.items()
    }
    counts = {name: (f.count("train"), f.count("test")) for name, f in found.items()}
    assert counts == {"answer": (104, 28), "are_you_sure": (171, 61), "feedback": (0, 0)}

    trained = {name: keys(name, "train") for name in BUILTIN.benchmarks}
    sets = {name: set(of_probe) for name, of_probe in asked.items()}
    remaining, dropped = drop_probe_questions(trains, trained, sets)
    assert dropped["truthfulqa"] == {"rows": 241, "answer": 98, "are_you_sure": 171, "feedback": 0}
    assert {name: len(rows) for name, rows in remaining.items()} == {
        "gsm8k": 1000, "mmlu": 1000, "hellaswag": 1000, "truthfulqa": 359,
    }  # fmt: skip
    left = {question_key(BUILTIN[n].question(row)) for n, rows in remaining.items() for row in rows}
    assert not left & set().union(*sets.values())
