"""What a study makes of the base's answers to the screening: which readout it takes, says of it, and asks of every adapter."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from test_gates import with_adapter
from test_readouts import asked, instrument, made_by, rows

from analysis.report.contents.instruments import measurable
from analysis.results import compute
from sycojax.cli.readouts import readout_table
from sycojax.config import DataConfig, ScoreConfig, StudyConfig
from sycojax.data.prompts import Prompts
from sycojax.evals import readouts
from sycojax.records import BASE, Record, write_records
from sycojax.study.datasets import prepare
from sycojax.study.inputs import read_inputs
from sycojax.study.readouts import asked_with, choose, left_out

CONFIG = StudyConfig(
    data=DataConfig(train_limit=8, test_limit=2, probe_limit=3),
    score=ScoreConfig(evaluations=("answer",), audit_items=0, readout_items=2),
)


def chosen(tmp_path: Path, *pinned: str) -> Any:
    """Of a base that goes against orders when it is asked openly, follows them in words, and does so in its own words."""

    def model(arm: str, readout: str) -> float:
        sign = -1 if readout == "open" else 1
        return {"order": 0.6 * sign, "bind": 1.0}.get(arm, 0.0)

    own, path = instrument("answer"), tmp_path / "answer.jsonl"
    spoken = readouts.spoken("answer", own, own.units(rows("answer", 48), 0), Prompts())
    said = [Record.generated(r, r.meta["named"]["-" in r.condition], True) for r in spoken]
    write_records(path, [*made_by(model, asked("answer")), *said])
    state = SimpleNamespace(records={(BASE, "answer"): SimpleNamespace(path=path)})
    score = dataclasses.replace(CONFIG.score, readout=pinned)
    return choose(dataclasses.replace(CONFIG, score=score), cast(Any, state))


def test_a_pinned_readout_that_contradicts_the_base_is_taken_with_a_warning(tmp_path: Path) -> None:
    free, pinned = chosen(tmp_path), chosen(tmp_path, "answer=open")
    assert (free["answer"]["readout"], pinned["answer"]["readout"]) == ("words", "open")
    warns = "the base says the opposite"
    study = with_adapter()
    for choice, expected in ((free, False), (pinned, True)):
        assert (warns in readout_table(choice)) == choice["answer"]["contradicted"] == expected
        document = {"readouts": choice}
        told = measurable(compute(dataclasses.replace(study, document=document), headlines=True))
        assert {warns in sentence for _, sentence in told} == {expected}


@pytest.mark.parametrize("steered_by", ["order", "told"])
def test_adapters_are_asked_for_what_shows_on_the_base_that_the_readout_sees(
    steered_by: str,
) -> None:
    given = read_inputs(CONFIG)
    data = prepare(CONFIG, given.tokenizer)
    row = {"readout": "open", "steered_by": steered_by, "fails": ""}
    choice = {"answer": {"readout": "open", "read": [row]}}
    conditions = {r.condition for r in asked_with(CONFIG, given, data, choice)["answer"]}
    assert {"open,order+0,0", "open,neutral-0,0", "open,user+1,0"} <= conditions
    assert ("open,told+0,0" in conditions) == (steered_by == "told")


def test_items_that_are_too_long_in_arms_are_counted() -> None:
    given = read_inputs(CONFIG)
    data = prepare(CONFIG, given.tokenizer)
    choice = {"answer": {"readout": "open", "read": []}}
    every = asked_with(CONFIG, given, data, choice)
    assert left_out(CONFIG, every) == {}
    longest: dict[str, int] = {}
    for r in every["answer"]:
        if readouts.in_arms(r):
            whole = [r.prompt + candidate for candidate in r.candidates]
            ids = given.tokenizer.encode_batch(whole, add_special_tokens=False)
            longest[r.item] = max(longest.get(r.item, 0), *(len(own) - 1 for own in ids))
    context = max(longest.values()) - 1
    some = asked_with(CONFIG, dataclasses.replace(given, context=context), data, choice)
    gone = sum(length > context for length in longest.values())
    assert left_out(CONFIG, some) == {"answer": gone}
    assert 0 < gone < len(longest)
