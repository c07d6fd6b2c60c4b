"""On one device: adapters that are computed one after another, as on a CPU, and side by side, as elsewhere."""

from __future__ import annotations

import dataclasses
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
def together(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        monkeypatch.setattr(bank, "alone_on_cpu", lambda mesh: False)
    return request.param


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


@pytest.mark.parametrize("together", [True], indirect=True)
def test_both_ways_train_alike(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = _train()[2]
    monkeypatch.undo()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), _train()[2], beside
    )


@pytest.mark.parametrize("together", [False, True], indirect=True)
def test_passes_are_an_adapters_own_unless_others_are_beside_it(together: bool) -> None:
    program, filled, (metrics, _) = _train(poison=np.inf)
    assert np.isfinite(metrics.loss).tolist() == [not together, True, True]
    expected = np.stack([filled.max(0)] * WIDTH) if together else filled
    np.testing.assert_array_equal(program.computed(filled), expected)


@pytest.mark.parametrize("together", [True], indirect=True)
def test_both_ways_score_alike(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(scoring.SCORE, bank_width=WIDTH)
    beside, _ = scoring.answers(scoring.make_base(), WIDTH, config)
    monkeypatch.undo()
    after, _ = scoring.answers(scoring.make_base(), WIDTH, config)
    np.testing.assert_allclose(after, beside, rtol=5e-7, atol=1e-5)
