"""Whole runs of a tiny bank: compiled once, equal to training alone, and the same after any interruption."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import training_cases
from training_cases import CONFIG, make_base, make_jobs

from sycojax.errors import Diverged, SycojaxError
from sycojax.models.base import FrozenBase, zero_lora
from sycojax.training import loop
from sycojax.training.batches import pack_rows, step_indices
from sycojax.training.loop import TrainedAdapter, train_bank
from sycojax.training.loss import Rows, loss
from sycojax.training.step import BankProgram

pytestmark = pytest.mark.usefixtures("quick_compilation")

Train = Callable[..., list[TrainedAdapter]]


@pytest.fixture(scope="module")
def base() -> FrozenBase:
    return make_base()


@pytest.fixture(scope="module")
def programs() -> Iterator[dict[int, BankProgram]]:
    """The compiled program per width. The tests share them, since compiling is nearly all of their time."""
    made: dict[int, BankProgram] = {}

    def shared(base: FrozenBase, optimizer: Any, width: int, chunk: int) -> BankProgram:
        if width not in made:
            made[width] = BankProgram(base, optimizer, width, chunk)
        return made[width]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "BankProgram", shared)
        yield made


@pytest.fixture(scope="module")
def uninterrupted(base, programs, tmp_path_factory) -> tuple[list[TrainedAdapter], Path]:
    """The three jobs in banks of two, without any interruption."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    before = jax.tree.map(np.array, base.params)
    trained = train_bank(base, make_jobs(), CONFIG, directory)
    assert training_cases.compilations(programs[2]) == (1, 1), "all adapters share one compilation"
    jax.tree.map(np.testing.assert_array_equal, before, base.params)
    return trained, directory


def _lines(adapter: TrainedAdapter) -> list[dict[str, Any]]:
    return [{k: v for k, v in x.items() if k != "tokens_per_second"} for x in adapter.history]


def _assert_identical(got: list[TrainedAdapter], want: list[TrainedAdapter]) -> None:
    for one, other in zip(got, want, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.lora, other.lora)
        assert _lines(one) == _lines(other)
        for field in (
            "name", "best_step", "best_loss", "steps", "tokens", "processed_tokens", "held_out",
        ):  # fmt: skip
            assert getattr(one, field) == getattr(other, field), field


def test_results_are_complete(uninterrupted):
    trained, directory = uninterrupted
    assert [a.name for a in trained] == ["mmlu-s1", "gsm8k-s0", "mmlu-s0"]
    assert [a.steps for a in trained] == [4, 7, 5]
    for adapter in trained:
        assert [line["step"] for line in adapter.history] == list(range(1, adapter.steps + 1))
        validation = {
            x["step"]: x["validation_loss"] for x in adapter.history if "validation_loss" in x
        }
        assert sorted(validation) == sorted({*range(3, adapter.steps, 3), adapter.steps})
        assert adapter.best_loss == min(validation.values()) == validation[adapter.best_step]
        assert 0 < adapter.tokens < adapter.processed_tokens
    # One and a half epochs of 10 examples: the tokens of exactly those 15.
    job = make_jobs()[0]
    seen = [job.train[i] for step in range(4) for i in step_indices(10, step, job.seed, CONFIG)]
    assert len(seen) == 15
    assert trained[0].tokens == sum(len(example.token_ids) for example in seen)
    events = list(directory.rglob("events.out.tfevents.*"))
    assert {path.parent.name for path in events} == {a.name for a in trained}


def test_losses_of_held_out_examples_are_those_of_the_base_and_of_what_is_written(
    base, uninterrupted
):
    """Every example weighs the same in the validation loss, so that it is the mean of theirs."""
    nothing = zero_lora(base.config, base.lora)
    of_base = jax.jit(lambda rows: loss(base.graph, nothing, base.params, rows))
    for job, adapter in zip(make_jobs(), uninterrupted[0], strict=True):
        found = adapter.held_out
        assert found is not None
        assert found.items == tuple(f"toy/{example.item}" for example in job.validation)
        assert np.mean(found.adapter) == pytest.approx(adapter.best_loss, rel=1e-5)
        for example, before in zip(job.validation, found.base, strict=True):
            rows = Rows(*(x[0] for x in pack_rows([example], CONFIG).rows))
            assert before == pytest.approx(float(of_base(rows)), rel=1e-5)


def test_equal_seeds_start_equal_and_training_moves_them(uninterrupted, programs):
    trained, _ = uninterrupted
    start = programs[2].start([0, 0])
    jax.tree.map(lambda x: np.testing.assert_array_equal(x[0], x[1]), start.lora)
    moved = jax.tree.map(lambda x, y: float(np.abs(x[0] - y).max()), start.lora, trained[1].lora)
    assert min(jax.tree.leaves(moved)) > 1e-4


def test_an_adapter_in_a_bank_equals_the_adapter_alone(base, programs, uninterrupted, tmp_path):
    alone = train_bank(base, make_jobs(), dataclasses.replace(CONFIG, bank_width=1), tmp_path)
    assert training_cases.compilations(programs[1]) == (1, 1)
    for one, banked in zip(alone, uninterrupted[0], strict=True):
        assert one.best_step == banked.best_step
        assert one.tokens == banked.tokens
        for x, y in zip(one.history, banked.history, strict=True):
            assert x["loss"] == pytest.approx(y["loss"], rel=1e-6)
            assert x["grad_norm"] == pytest.approx(y["grad_norm"], rel=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), one.lora, banked.lora
        )


@pytest.mark.slow
def test_adapters_of_a_bank_may_have_their_own_rate_and_length(base, programs, tmp_path):
    own = dataclasses.replace(
        CONFIG, learning_rate=3e-3, schedule="constant", warmup_steps=0, epochs=1.0, bank_width=1
    )
    first, second, _ = make_jobs()
    together = [first, dataclasses.replace(second, config=own)]
    banked = train_bank(base, together, CONFIG, tmp_path / "bank")
    assert training_cases.compilations(programs[2]) == (1, 1), "rates are numbers, not programs"
    (alone,) = train_bank(base, [second], own, tmp_path / "alone")
    assert [a.steps for a in banked] == [4, 5]
    assert [x["learning_rate"] for x in alone.history] == [pytest.approx(3e-3)] * 5
    assert alone.best_step == banked[1].best_step
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), alone.lora, banked[1].lora
    )
    # A run with another rate is another run, though the bank's own settings are the same.
    other = dataclasses.replace(second, config=dataclasses.replace(own, learning_rate=2e-3))
    with pytest.raises(SycojaxError, match="another run"):
        train_bank(base, [first, other], CONFIG, tmp_path / "bank")
    strange = dataclasses.replace(second, config=dataclasses.replace(CONFIG, clip_norm=0.5))
    with pytest.raises(SycojaxError, match=f"{second.name} has settings that its bank cannot have"):
        train_bank(base, [first, strange], CONFIG, tmp_path / "strange")


def test_a_finished_run_is_read_back(base, uninterrupted, monkeypatch):
    trained, directory = uninterrupted
    monkeypatch.setattr(BankProgram, "train", None)
    _assert_identical(train_bank(base, make_jobs(), CONFIG, directory), trained)


def test_sigterm_stops_after_the_step_and_the_run_continues(
    base, programs, uninterrupted, tmp_path, monkeypatch
):
    train = BankProgram.train

    def train_and_signal(self, state, rows, filled, step, *rest):
        if step == 4:
            signal.raise_signal(signal.SIGTERM)
        return train(self, state, rows, filled, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(BankProgram, "train", train_and_signal)
        with pytest.raises(SycojaxError, match="SIGTERM after step 5 of 7"):
            train_bank(base, make_jobs(), CONFIG, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handler is put back"
    resumed = _steps_taken(monkeypatch)
    _assert_identical(train_bank(base, make_jobs(), CONFIG, tmp_path), uninterrupted[0])
    assert resumed[:2] == [5, 6], "continued, not repeated"
    assert training_cases.compilations(programs[2]) == (1, 1), (
        "a restored state needs no other program"
    )


def test_sigkill_while_saving_loses_nothing(base, uninterrupted, tmp_path, monkeypatch):
    here = Path(training_cases.__file__)
    environment = {
        **os.environ,
        "PYTHONPATH": str(here.parent.parent),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    killed = subprocess.run(
        [sys.executable, str(here), str(tmp_path), "4"],
        env=environment, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    # A line cut short in the log must not matter either.
    log = tmp_path / "gsm8k-s0+1" / "metrics.jsonl"
    with log.open("a") as stream:
        stream.write('{"adapter": "gsm8k-s0", "step"')
    resumed = _steps_taken(monkeypatch)
    _assert_identical(train_bank(base, make_jobs(), CONFIG, tmp_path), uninterrupted[0])
    assert resumed[0] in (2, 4), "from the checkpoint being written, or from the one before"
    for line in log.read_text().splitlines():
        json.loads(line)


def _steps_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    taken: list[int] = []
    train = BankProgram.train

    def recorded(self, state, rows, filled, step, *rest):
        taken.append(step)
        return train(self, state, rows, filled, step, *rest)

    monkeypatch.setattr(BankProgram, "train", recorded)
    return taken


@pytest.mark.parametrize(
    "change", [{"learning_rate": 3e-3}, {"epochs": 2.0}, {"loss_average": "token"}]
)
def test_a_checkpoint_of_other_settings_is_refused(base, uninterrupted, change):
    with pytest.raises(SycojaxError, match="checkpoint of another run"):
        train_bank(base, make_jobs(), dataclasses.replace(CONFIG, **change), uninterrupted[1])


def test_a_checkpoint_of_other_data_or_another_base_is_refused(base, uninterrupted):
    _, directory = uninterrupted
    jobs = make_jobs()
    jobs[1] = dataclasses.replace(jobs[1], train=jobs[1].train[::-1])
    with pytest.raises(SycojaxError, match="checkpoint of another run"):
        train_bank(base, jobs, CONFIG, directory)
    norm = {"scale": base.params["norm"]["scale"].at[0].add(1e-6)}
    other = dataclasses.replace(base, params={**base.params, "norm": norm})
    with pytest.raises(SycojaxError, match="checkpoint of another run"):
        train_bank(other, make_jobs(), CONFIG, directory)


def test_a_loss_that_is_not_finite_names_adapter_step_and_items(base, programs, tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=1e30, warmup_steps=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, printing such numbers
        with pytest.raises(
            SycojaxError, match=r"adapter gsm8k-s0, step 2: loss .* toy/6-\d+, toy/6-"
        ):
            train_bank(base, make_jobs(), config, tmp_path)
    saved = tmp_path / "gsm8k-s0+1" / "checkpoints"
    assert not any(path.name.isdigit() for path in saved.iterdir()), "nothing broken is kept"


@pytest.mark.slow
def test_the_others_of_its_bank_are_what_they_are_without_it(base, tmp_path):
    """To the byte in a bank as wide, as docs/faults.md tells; it alone has a rate at which weights are no numbers."""
    first, second, third = make_jobs()
    wild = dataclasses.replace(CONFIG, learning_rate=1e30, warmup_steps=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(Diverged) as lost:
            train_bank(
                base, [first, dataclasses.replace(second, config=wild)], CONFIG, tmp_path / "both"
            )
    assert lost.value.adapter == second.name
    without = train_bank(base, [first, third], CONFIG, tmp_path / "without")[0]
    (sound,) = lost.value.others
    assert sound.name == without.name == first.name
    jax.tree.map(np.testing.assert_array_equal, sound.lora, without.lora)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": []}, "mmlu-s1 has no training examples"),
        ({"validation": []}, "mmlu-s1 has no validation examples"),
        ({"name": "mmlu-s0"}, "names repeat"),
        ({"seed": -1}, "seed -1 is not in"),
    ],
)
def test_jobs_that_cannot_be_trained(base, tmp_path, change, message):
    jobs = make_jobs()
    jobs[0] = dataclasses.replace(jobs[0], **change)
    with pytest.raises(SycojaxError, match=message):
        train_bank(base, jobs, CONFIG, tmp_path)


def test_examples_that_the_model_cannot_read(base, tmp_path):
    """An id without an embedding, and a text longer than the attention window."""
    for change, message in (
        ({"vocab_size": 40}, r"training example toy .*: token id 4\d has no embedding"),
        ({"sliding_window": 10}, r"example toy .*: 1\d tokens, .* look back over 10 "),
    ):
        other = dataclasses.replace(base, config=dataclasses.replace(base.config, **change))
        with pytest.raises(SycojaxError, match=message):
            train_bank(other, make_jobs(), CONFIG, tmp_path)
