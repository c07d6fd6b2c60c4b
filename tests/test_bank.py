"""On one device: adapters that are computed one after another, as on a CPU, and side by side, as elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as scoring
import training_cases as training

from sycojax.models import bank
from sycojax.training.batches import pack_step, stack
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram

pytestmark = pytest.mark.usefixtures("quick_compilation")

WIDTH, SEEDS = 3, [3, 4, 5]
CONFIG = dataclasses.replace(training.CONFIG, examples_per_step=6)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Within it, as on an accelerator."""

    @contextlib.contextmanager
    def patched() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(bank, "alone_on_cpu", lambda mesh: False)
            yield

    return patched


def _train(poison: float = 0.0) -> tuple[BankProgram, np.ndarray, Any]:
    """A step of adapters with different numbers of rows; ``poison`` weighs what is beyond those of the first."""
    program = BankProgram(training.make_base(), make_optimizer(CONFIG), WIDTH)
    examples = [training.make_examples(n, seed=n, longest=16) for n in (1, 4, 6)]
    rows, filled = stack([pack_step(own, CONFIG) for own in examples])
    assert filled[0, 1] == 0 < filled[2, 1], "the first has fewer micro-batches"
    rows.loss_weights[0, 1] += poison
    placed = program.place_rows(rows)
    state, metrics = program.train(
        program.start(SEEDS), placed, filled, 0, SEEDS, [0.01] * WIDTH, [True] * WIDTH
    )
    return program, filled, jax.device_get((metrics, state.lora))


def test_both_ways_train_alike(beside: Any) -> None:
    with beside():
        together = _train()[2]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), _train()[2], together
    )


def test_passes_are_an_adapters_own_unless_others_are_beside_it(beside: Any) -> None:
    program, filled, (metrics, _) = _train(poison=np.inf)
    assert np.isfinite(metrics.loss).tolist() == [True, True, True]
    np.testing.assert_array_equal(program.computed(filled), filled)
    with beside():
        program, filled, (metrics, _) = _train(poison=np.inf)
        assert np.isfinite(metrics.loss).tolist() == [False, True, True]
        np.testing.assert_array_equal(program.computed(filled), [filled.max(0)] * WIDTH)


def test_both_ways_score_alike(beside: Any) -> None:
    config = dataclasses.replace(scoring.SCORE, bank_width=WIDTH)
    with beside():
        together, _ = scoring.answers(scoring.make_base(), WIDTH, config)
    after, _ = scoring.answers(scoring.make_base(), WIDTH, config)
    np.testing.assert_allclose(after, together, rtol=5e-7, atol=1e-5)
