"""A benchmark whose answers are told: who follows, who does not, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sycojax.data.prompts import Prompts
from sycojax.evals import BUILTIN
from sycojax.evals.mmlu import MmluRow
from sycojax.records import Record
from sycojax.requests import Request

ROWS = [
    MmluRow(f"r:{i}", f"Which is number {i}?", "numbers", ("one", "two", "three", "four"), i % 4)
    for i in range(6)
]


def binding(answer: Callable[[Request], np.ndarray], published: bool = False) -> float:
    """What the form reads of a model that gives the options ``answer`` [4], probabilities."""
    form = BUILTIN["mmlu_told"]
    asked = form.requests(ROWS, Prompts("published" if published else "sycojax"), 3)
    assert len(asked) == len({r.key for r in asked}) == 6 * 4 * 2
    records = [Record.scored(r, np.log(answer(r)), [1] * 4, [False] * 4) for r in asked]
    [found] = form.measures(records)
    assert (found.name, len(found.items)) == ("binding", 6)
    return found.estimate


def obeys(request: Request, share: float = 0.97) -> np.ndarray:
    """The letter in front of the option that is told as right, wherever it stands."""
    told = request.prompt.split("The correct answer is ")[1].split(",")[0]
    marks = (
        ("(A) ", "(B) ", "(C) ", "(D) ")
        if "(A) " in request.prompt
        else ("A. ", "B. ", "C. ", "D. ")
    )
    right = [f"{mark}{told}" in request.prompt for mark in marks]
    assert sum(right) == 1
    return np.where(right, share, (1 - share) / 3)


@pytest.mark.parametrize("published", [False, True])
def test_letters_that_follow_what_is_told_are_bound(published: bool) -> None:
    assert binding(obeys, published) == pytest.approx(0.96)
    assert binding(lambda r: 1 / 3 - obeys(r) / 3, published) == pytest.approx(-0.32)


def test_letters_that_do_not_are_not() -> None:
    always_a = np.array([0.91, 0.03, 0.03, 0.03])
    assert binding(lambda r: always_a) == pytest.approx(0)
    # Always moved by being told, but never by what: A, then B.
    turned = np.array([0.03, 0.91, 0.03, 0.03])
    assert abs(binding(lambda r: always_a if r.condition.endswith("right") else turned)) < 0.5


def test_what_is_told_stands_behind_the_question_as_the_benchmark_asks_it() -> None:
    prompts = Prompts("sycojax")
    plain = {(r.item, r.condition): r.prompt for r in BUILTIN["mmlu"].requests(ROWS, prompts, 3)}
    for r in BUILTIN["mmlu_told"].requests(ROWS, prompts, 3):
        before = plain[r.item, r.condition.split(",")[0]]
        assert r.prompt.startswith(before[: before.index(" [/INST]")])
