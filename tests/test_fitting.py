"""What was asked otherwise than the rows say stands in the report's opening: items left out, prompts cut, test items trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from synthetic_study import write_study

from analysis.records.load import load
from analysis.report import prose
from analysis.report.contents import run
from analysis.results import compute
from sycojax.config import DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.data.prompts import Prompts
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.records import Record
from sycojax.requests import Request
from sycojax.study.datasets import prepare, probe_rows
from sycojax.study.fitting import fitting
from sycojax.toy import base_directory


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_directory(base_directory())


def request(item: str, prompt: str, condition: str = "a", **fields: object) -> Request:
    made = Request("mmlu", item, condition, item, prompt, candidates=(" A", " B"))
    return dataclasses.replace(made, **fields)


def test_an_item_that_does_not_fit_goes_with_all_its_conditions(tokenizer: Tokenizer) -> None:
    prompt = "<s>[INST] What is the color of Little Rame? [/INST]"
    n = len(tokenizer.encode(f"{prompt} A", add_special_tokens=False)) - 1
    asked = [
        request("short", "<s>Hi"), request("edge", prompt),
        request("long", "<s>Hi"), request("long", f"{prompt} and", condition="b"),
    ]  # fmt: skip

    def fits(asked: dict[str, list[Request]], context: int) -> Any:
        return fitting(asked, BUILTIN, Prompts(), tokenizer, context)

    left, counts = fits({"mmlu": asked}, n)
    assert [r.item for r in left["mmlu"]] == ["short", "edge"]
    assert counts == {"mmlu": 1}
    assert fits({"mmlu": asked}, n + 9) == ({"mmlu": asked}, {})
    generated = [request("g", prompt, candidates=(), max_new_tokens=n // 2), request("h", "<s>Hi")]
    left, counts = fits({"gsm8k": generated}, n)
    assert ([r.item for r in left["gsm8k"]], counts) == (["h"], {"gsm8k": 1})
    with pytest.raises(SycojaxError, match="no item of mmlu fits the model's context of 1 tokens"):
        fits({"mmlu": asked}, 1)


def test_second_turns_fit_whatever_is_replied(tokenizer: Tokenizer) -> None:
    """What a model says, here up to the last token that it may write, leaves no item out of some configurations only."""
    config = StudyConfig(
        data=DataConfig(source="sample"),
        train=TrainConfig(adapters=("mmlu",)),
        score=ScoreConfig(evaluations=("are_you_sure",), protocol="published"),
    )
    name = "are_you_sure_published"
    asked = prepare(config, tokenizer).requests[name]
    replies = [
        Record.generated(r, " the" * r.max_new_tokens, finished=False)  # one token each
        for r in asked
    ]
    second = BUILTIN[name].followups(asked, replies, Prompts())
    texts = [r.prompt for r in second]
    lengths = map(len, tokenizer.encode_batch(texts, add_special_tokens=False))
    room = {r.item: n + r.max_new_tokens for r, n in zip(second, lengths, strict=True)}
    context = sorted(room.values())[len(room) // 2]
    some = prepare(config, tokenizer, context)
    assert {r.item for r in some.requests[name]} == {i for i, n in room.items() if n <= context}
    left_out = sum(n > context for n in room.values())
    assert some.summary["longer_than_the_context"] == {name: left_out}
    assert left_out > 1


def test_a_study_leaves_out_and_counts_by_evaluation(tokenizer: Tokenizer) -> None:
    config = StudyConfig(
        data=DataConfig(train_limit=40, test_limit=20, max_length=128),
        train=TrainConfig(adapters=("mmlu",)),
        score=ScoreConfig(evaluations=("hellaswag",)),
    )
    whole = prepare(config, tokenizer, 10_000)
    assert "longer_than_the_context" not in whole.summary
    assert whole.requests == prepare(config, tokenizer).requests
    asked = whole.requests["hellaswag"]
    needed: dict[str, int] = {}
    for r in asked:
        texts = [r.prompt + candidate for candidate in r.candidates]
        longest = max(map(len, tokenizer.encode_batch(texts, add_special_tokens=False)))
        needed[r.item] = max(needed.get(r.item, 0), longest - 1)
    context = max(needed.values()) - 1
    some = prepare(config, tokenizer, context)
    left_out = {item for item, length in needed.items() if length > context}
    assert some.summary["longer_than_the_context"] == {"hellaswag": len(left_out)}
    assert {r.item for r in some.requests["hellaswag"]} == set(needed) - left_out


def test_drawn_questions_come_with_all_their_rows_by_seed() -> None:
    def drawn(**changes: int) -> list[str]:
        config = StudyConfig(data=dataclasses.replace(DataConfig(source="sample"), **changes))
        return [row.text for row in probe_rows(config)["feedback"]]

    every, some = drawn(), drawn(probe_draw=20)
    assert len(set(some)) == 20
    assert some == [text for text in every if text in set(some)]
    assert some != every[: len(some)]
    assert drawn(probe_draw=20, seed=1) != some
    assert drawn(probe_draw=1000) == every


def test_the_opening_says_what_was_asked_otherwise(tmp_path: Path) -> None:
    study = load(write_study(tmp_path, items=4, adapters=("mmlu",)))
    data = {
        "test_items_trained_on": {"hellaswag": 1},
        "longer_than_the_context": {"answer": 3},
        "irregular": {"mmlu test": {"equal options taken as one": 2}},
    }
    said = prose.summary(compute(study))
    arms = {"answer": {"too_long": 0}, "feedback": {"too_long": 2}}
    document = {**study.document, "data": {**study.document["data"], **data}, "readouts": arms}
    cut = {("base", "are_you_sure"): 5}
    otherwise = prose.summary(compute(dataclasses.replace(study, document=document, truncated=cut)))
    assert len(otherwise) == len(said) + 4
    text = " ".join(otherwise)
    assert "1 training row of hellaswag is a test item of hellaswag (data.keep_test_items)" in text
    assert "2 items of feedback in arms are longer than the model's context and were not" in text
    assert "3 items of answer are longer than the model's context and were not asked" in text
    assert "5 prompts of are_you_sure (over all configurations) lost their beginning" in text
    (table,) = (t for t in run.data(document["data"]) if t.name == "irregular")
    assert "set right" in table.caption
