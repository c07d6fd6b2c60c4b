"""``score.budget_minutes``: what is left out, in which order, and that a workdir keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sycojax.config import DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.errors import SycojaxError
from sycojax.evals.readouts import REWORDED, in_arms
from sycojax.files import read_json
from sycojax.requests import Request, read_requests
from sycojax.scoring import trial
from sycojax.scoring.trial import Speed
from sycojax.study import run as studies
from sycojax.study.budget import ORDER
from sycojax.study.run import run

STUDY = StudyConfig(
    name="budget",
    data=DataConfig(train_limit=20, test_limit=2, probe_limit=30, max_length=128),
    train=TrainConfig(adapters=()),
    score=ScoreConfig(evaluations=("answer",), audit_items=2, readout_items=22, batch_tokens=2048),
)


def within(minutes: float) -> StudyConfig:
    return dataclasses.replace(
        STUDY, score=dataclasses.replace(STUDY.score, budget_minutes=minutes)
    )


@pytest.fixture
def tokens_take_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "speed", lambda *_: Speed(1.0, 1.0, 1, 0.0))


def study(config: StudyConfig, workdir: Path) -> tuple[dict[str, Any], list[str]]:
    """What ``study.json`` says behind the readouts, and what was said."""
    lines: list[str] = []
    run(config, workdir, until="readouts", progress=False, say=lines.append)
    return read_json(workdir / "study.json"), lines


def asked(workdir: Path, evaluation: str) -> list[Request]:
    return list(read_requests(workdir / "items" / f"{evaluation}.jsonl"))


def arms(requests: Sequence[Request]) -> set[str]:
    return {r.condition.split(",")[1].rstrip("+-01") for r in requests if in_arms(r)}


@pytest.mark.slow
def test_a_short_budget_leaves_out_what_claims_can_do_without(
    tmp_path: Path, tokens_take_a_second: None
) -> None:
    whole, _ = study(STUDY, tmp_path / "whole")
    assert whole["budget"] == {}
    done = whole["work"]["readouts"]
    assert done["tokens"] >= done["least"] > 0
    assert done["seconds"] == whole["seconds"]["readouts"]
    short, lines = study(within(1), tmp_path / "short")
    assert short["budget"] == {"minutes": 1, "left_out": list(ORDER)}
    (line,) = [line for line in lines if line.startswith("budget")]
    assert all(one in line for one in ORDER)
    assert "all the same" in line, "nothing that is left can be done in a minute"
    assert "Left out for score.budget_minutes=1: second wordings" in short["notes"][0]
    own, full = (asked(tmp_path / name, "answer") for name in ("short", "whole"))
    assert arms(full) - arms(own) == set(REWORDED)
    assert arms(own) >= {"user", "chance", "sides", "others", "order", "neutral", "other"}
    assert len({r.item for r in own if not in_arms(r)}) == STUDY.score.audit_items
    assert {r.item for r in own} == {r.item for r in full}
    assert not (tmp_path / "short" / "items" / "answer_words.jsonl").exists()


@pytest.mark.slow
def test_only_as_much_is_left_out_as_it_takes_and_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens_take_a_second: None
) -> None:
    found: dict[float, int] = {}
    for minutes in (1, 10**6):
        document, _ = study(within(minutes), tmp_path / str(minutes))
        found[minutes] = len(document["budget"]["left_out"])
    assert found == {1: len(ORDER), 10**6: 0}
    # Continued on a machine that is much faster: what the study asks stays.
    monkeypatch.setattr(trial, "speed", lambda *_: Speed(1e-9, 1e-9, 1, 0.0))
    document, _ = study(within(1), tmp_path / "1")
    assert document["budget"]["left_out"] == list(ORDER)
    assert len(document["notes"]) == 1
    # Another budget is decided anew.
    document, _ = study(within(2), tmp_path / "1")
    assert document["budget"] == {"minutes": 2, "left_out": []}


def test_several_processes_have_no_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies.jax, "process_count", lambda: 2)
    with pytest.raises(SycojaxError, match="needs a trial"):
        run(within(1), tmp_path, until="readouts", progress=False, say=lambda line: None)
