"""What is known of a study's work and time before it is computed."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_cases as training

from sycojax.cli import plan_here
from sycojax.config import DataConfig, ScoreConfig, StudyConfig
from sycojax.scoring import trial as scoring_trial
from sycojax.scoring.prepare import Encoder
from sycojax.scoring.tree import unique_tokens
from sycojax.study import estimate
from sycojax.study.datasets import prepare
from sycojax.study.inputs import read_inputs
from sycojax.study.work import PADDING, WRITTEN, asked, trained
from sycojax.toy import base_directory
from sycojax.training import trial as training_trial
from sycojax.training.bank import Bank
from sycojax.training.batches import computed_places
from sycojax.training.loop import BankTrainer
from sycojax.weights.huggingface import load_config

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("job", training.make_jobs(), ids=lambda job: job.name)
def test_training_is_counted_as_it_is_done(job: Any) -> None:
    """So few steps are all looked at."""
    bank = Bank([job], training.CONFIG, 1, 0)
    batches = [bank.batch(step) for step in range(bank.total)]
    work = trained(job, training.CONFIG)
    passes = sum(np.count_nonzero(batch.filled) for batch in batches)
    assert (work.steps, work.passes) == (bank.total, passes)
    assert work.tokens == pytest.approx(sum(batch.tokens[0] for batch in batches), rel=0.2)
    due = sum(any(bank.due(step)) for step in range(1, bank.total + 1))
    held_out = bank.validation()[1]
    assert work.forward == (due + 2) * np.count_nonzero(held_out)

    # Cut to quarters of a row, as on a CPU.
    lengths = (4, 8, 12, 16)
    cut = trained(job, training.CONFIG, lengths)
    places = sum(computed_places(batch.filled, lengths) for batch in batches)
    assert (cut.steps, cut.passes) == (work.steps, places / 16)
    assert cut.passes < work.passes
    own = due * computed_places(held_out, lengths) / 16 + 2 * np.count_nonzero(held_out)
    assert cut.forward == pytest.approx(own)


def test_what_is_asked_is_counted_with_its_second_turns() -> None:
    """Of so few items, all: every distinct token, and the turns that will quote an answer."""
    config = StudyConfig(
        data=DataConfig(train_limit=20, test_limit=2, probe_limit=4, max_length=128),
        score=ScoreConfig(evaluations=("gsm8k", "are_you_sure"), audit_items=0),
    )
    given, architecture = read_inputs(config), load_config(base_directory())
    requests = prepare(config, given.tokenizer).requests
    found = asked(requests, config, given, Encoder(given.tokenizer, architecture))
    texts = [r.max_new_tokens for r in requests["gsm8k"] if r.max_new_tokens]
    assert (found.prompts, found.written) == (2, WRITTEN * sum(texts))
    several = [r for rs in requests.values() for r in rs if r.candidates]
    first = Encoder(given.tokenizer, architecture).encode(several)
    alone = PADDING * unique_tokens([c for cs, _ in first for c in cs])
    assert 1.5 * alone < found.tokens < 4 * alone


def test_the_first_piece_is_not_timed_and_work_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(scoring_trial, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))

    def work(pieces: int) -> tuple[float, list[Any], int]:
        done = []

        def run(kept: Any) -> None:
            for n in range(pieces):
                kept.check()
                clock[0] += 0.5 if done else 100.0  # the first compiles
                done.append(n)
                kept.put("", n)

        return *scoring_trial._timed(run), len(done)

    assert work(50) == (0.5, [1, 2, 3], scoring_trial.PIECES + 1)
    assert work(1) == (0.5, [0], 2), "once more where there is but one"


def test_of_two_pieces_one_may_have_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pieces = [0.0], iter([100.0, 30.0, 3.0, 3.0])  # the second waits for another program
    monkeypatch.setattr(scoring_trial, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))

    def run(kept: Any) -> None:
        for n, seconds in enumerate(pieces):
            kept.check()
            clock[0] += seconds
            kept.put("", n)

    assert scoring_trial._timed(run) == (3.0, [1, 2])


def test_a_trial_decodes_as_many_prompts_as_the_study_and_arranges_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step of four rows takes far more than a sixteenth of one of 64."""
    seen: list[Any] = []

    def speed(scorer: Any, requests: Any, bank: Any) -> scoring_trial.Speed:
        seen.extend(r for r in requests if r.max_new_tokens)
        return scoring_trial.Speed(0.0, 0.0, scorer.decoder.rows, request=2.0)

    monkeypatch.setattr(scoring_trial, "speed", speed)
    config = StudyConfig(
        data=DataConfig(train_limit=20, test_limit=40, probe_limit=4, max_length=128),
        score=ScoreConfig(evaluations=("gsm8k", "mmlu"), audit_items=0, decode_batch=16),
    ).changed({"train.adapters": ()})
    _, _, stages = estimate.here(config)
    assert len({r.item for r in seen}) == 16
    given = read_inputs(config)
    data = prepare(config, given.tokenizer)
    longest = max(len(r.prompt) for r in data.requests["gsm8k"] if r.max_new_tokens)
    assert max(len(r.prompt) for r in seen) == longest
    # What is encoded and arranged for all configurations is in the estimate once.
    later = estimate.expected(config, given, data).values()
    assert stages["evaluate"].seconds == 2 * sum(bool(r.candidates) for rs in later for r in rs)


def test_a_trial_leaves_the_adapters_as_they_are(tmp_path: Path) -> None:
    trainer = BankTrainer(training.make_base(), training.make_jobs()[:2], training.CONFIG)
    speed = training_trial.speed(trainer)
    assert speed.each > 0
    assert speed.forward > 0
    assert training.compilations(trainer.program) == (1, 1)
    found = estimate.training_stage(trainer)
    assert found.seconds > 0
    assert found.work.startswith("2 adapters: 7 steps, ")
    assert not list(tmp_path.iterdir())


def test_what_a_plan_for_this_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    base = training.make_base()
    stages = {"train": estimate.Stage(8000.0, "many steps"), "evaluate": estimate.Stage(90.0, "x")}
    monkeypatch.setattr(plan_here, "here", lambda config: (base, ("second wordings",), stages))
    config = StudyConfig(name="mine")
    out = " ".join(plan_here.table(config).split())
    assert "plan mine on this machine: 1 x cpu; mesh data 1 x fsdp 1 x tensor 1" in out
    assert "train 2 h 13 min many steps evaluate 2 min x all 2 h 15 min" in out
    assert "budget" not in out
    short = plan_here.table(config.changed({"score.budget_minutes": 1.0}))
    assert (
        "left out for score.budget_minutes=1: second wordings; what is left takes about 1.5 min"
        in short
    )
