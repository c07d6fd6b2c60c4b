"""What ``sycojax-lm-eval`` is told, and whose answers a file holds; the harness itself is not needed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sycojax.errors import SycojaxError
from sycojax.harness import arguments


@pytest.mark.parametrize(
    ("unknown", "pretrained", "numbers", "message"),
    [
        ({"revision": "main", "b": 1}, "x", {}, r"unknown b, revision \(known: pretrained, adapter"),
        ({}, "", {}, "pretrained=DIR_OR_HUB_ID is missing"),
        ({}, "x", {"fsdp": "two"}, "fsdp='two' is not a whole number"),
        ({}, "x", {"tensor": True}, "tensor=True is not"),
        ({}, "x", {"max_length": 1.5}, "max_length=1.5 is not"),
    ],
)  # fmt: skip
def test_model_args_that_cannot_be(
    unknown: dict[str, Any], pretrained: str, numbers: dict[str, Any], message: str
) -> None:
    with pytest.raises(SycojaxError, match=message):
        arguments.check(unknown, pretrained, **numbers)


def test_model_args_that_can_be(tmp_path: Path) -> None:
    arguments.check({}, tmp_path, fsdp=2, max_length=None)
    assert arguments.path(2024) == "2024"
    assert arguments.path("") is arguments.path(None) is None


def test_a_cache_belongs_to_one_model() -> None:
    answers: dict[str, Any] = {}
    arguments.claim_answers(answers, "a")
    answers["0f"] = (-1.0, True)
    arguments.claim_answers(answers, "a")
    with pytest.raises(SycojaxError, match="answers of another model"):
        arguments.claim_answers(answers, "b")
    # What another program began is nobody's known answers.
    with pytest.raises(SycojaxError, match="answers of another model"):
        arguments.claim_answers({"0f": (-1.0, True)}, "a")
