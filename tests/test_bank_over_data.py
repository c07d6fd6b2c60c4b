"""The adapters of a bank on different devices: the same losses, adapters, scores and texts as together on each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as scoring
import training_cases as training
from jax.sharding import PartitionSpec

from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase
from sycojax.parallel.mesh import make_mesh
from sycojax.training.bank import groups
from sycojax.training.batches import empty, pack_step, stack
from sycojax.training.loop import train_bank
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram
from sycojax.weights.checkpoints import Checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

WIDTH = 4
MESHES = [(4, 2, 1), (2, 2, 2)]  # data x fsdp x tensor
CONFIG = dataclasses.replace(training.CONFIG, micro_batch_rows=8, examples_per_step=8)
SCORE = dataclasses.replace(scoring.SCORE, bank_width=WIDTH)


def over_data(base: FrozenBase) -> FrozenBase:
    compute = dataclasses.replace(base.compute, bank_axis="data")
    return dataclasses.replace(base, compute=compute)


def _train(base: FrozenBase, logits_chunk: int = 0) -> tuple[BankProgram, Any, np.ndarray]:
    """Two steps and a validation of three adapters that differ in everything, and an empty lane."""
    program = BankProgram(base, make_optimizer(CONFIG), WIDTH, logits_chunk)
    seeds, values = [3, 4, 5, 0], []
    state = program.start(seeds)
    for step in range(2):
        sizes = (4, 6, 8)
        examples = [
            training.make_examples(size, seed=10 * lane + step, longest=16)
            for lane, size in enumerate(sizes)
        ]
        batches = [*(pack_step(e, CONFIG) for e in examples), empty(CONFIG)]
        host_rows, filled = stack(batches)
        rows = program.place_rows(host_rows)
        active = [True, True, step == 0, False]
        rates = [0.01, 0.02, 0.01, 0.0]
        state, metrics = program.train(state, rows, filled, step, seeds, rates, active)
        values += [metrics.loss, metrics.grad_norm]
    state, losses = program.validate(state, rows, filled, 2, [True, False, True, False])
    return program, state, np.array([*values, losses])


@pytest.fixture(scope="module")
def trained_on_one_device() -> Any:
    return _train(training.make_base())


@pytest.mark.parametrize("shape", MESHES, ids=lambda shape: "x".join(map(str, shape)))
def test_training_is_the_same(
    shape: tuple[int, int, int], trained_on_one_device: Any, tmp_path: Path
) -> None:
    one, expected, values = trained_on_one_device
    _, state, found = _train(over_data(training.make_base(make_mesh(*shape))), logits_chunk=16)
    np.testing.assert_allclose(found, values, rtol=2e-6, atol=1e-7)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        jax.device_get(state),
        jax.device_get(expected),
    )
    leaves = [x for x in jax.tree.leaves(state) if x.ndim > 1]
    assert {leaf.sharding.shard_shape(leaf.shape)[0] for leaf in leaves} == {WIDTH // shape[0]}
    # A checkpoint knows nothing of where its adapters lay.
    with Checkpoints(tmp_path, "run") as checkpoints:
        checkpoints.save(2, state, {})
        checkpoints.wait()
        restored, _ = checkpoints.restore(one.abstract_state()) or (None, None)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), jax.device_get(state))


def test_rows_of_an_adapter_are_where_it_is() -> None:
    program = BankProgram(
        over_data(training.make_base(make_mesh(4, 2, 1))), make_optimizer(CONFIG), 8
    )
    rows = program.place_rows(stack([empty(CONFIG)] * 8)[0])
    assert rows.token_ids.sharding.spec == PartitionSpec("data", None, "fsdp")
    assert rows.token_ids.sharding.shard_shape(rows.token_ids.shape)[:3] == (2, 1, 4)


def test_scores_and_texts_are_the_same() -> None:
    """Of five adapters, four at a time: a full pass and one that is filled up."""
    logprobs, texts = scoring.answers(scoring.make_base(), 5, SCORE)
    base = over_data(scoring.make_base(mesh=make_mesh(4, 2, 1)))
    assert base.compute.axis_of(4) == "data"
    assert base.compute.axis_of(5) is None, (
        "a bank that does not fill the axis has its rows over it"
    )
    found, continuations = scoring.answers(base, 5, SCORE)
    np.testing.assert_allclose(found, logprobs, rtol=5e-7, atol=1e-5)
    assert continuations == texts
    assert len({str(text) for text in texts}) > 1, "the adapters do something"


def test_banks_fill_the_axis() -> None:
    jobs = training.make_jobs() * 3
    config = dataclasses.replace(CONFIG, bank_width=4)
    assert [len(g) for g in groups(jobs, config)] == [3, 3, 3]
    assert [len(g) for g in groups(jobs, config, 4)] == [4, 4, 1]


def test_a_bank_that_cannot_fill_the_axis_is_refused(tmp_path: Path) -> None:
    base = over_data(training.make_base(make_mesh(4, 2, 1)))
    config = dataclasses.replace(CONFIG, bank_width=6)
    with pytest.raises(SycojaxError, match=r"bank_width=6 must be a multiple of mesh data = 4"):
        train_bank(base, training.make_jobs(), config, tmp_path)
    config = dataclasses.replace(CONFIG, bank_width=4, micro_batch_rows=3)
    with pytest.raises(SycojaxError, match=r"micro_batch_rows=3 must be a multiple of mesh fsdp"):
        train_bank(base, training.make_jobs(), config, tmp_path)
