"""Which examples a step sees, what the learning rate is, and that packing loses nothing."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from training_cases import CONFIG, make_examples, make_jobs

from sycojax.parallel.mesh import make_mesh
from sycojax.training.bank import Bank, groups
from sycojax.training.batches import (
    computed_places,
    pack_step,
    pass_lengths,
    step_indices,
    total_steps,
)
from sycojax.training.optimizer import learning_rates


def _all_steps(count: int, seed: int, **changes) -> list[list[int]]:
    config = dataclasses.replace(CONFIG, **changes)
    return [step_indices(count, s, seed, config) for s in range(total_steps(count, config))]


def test_every_epoch_sees_every_example_once_and_fractions_end_early():
    steps = _all_steps(10, seed=3, epochs=2.5, examples_per_step=4)
    assert [len(step) for step in steps] == [4, 4, 4, 4, 4, 4, 1]
    order = [i for step in steps for i in step]
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20], "each epoch has its own order"
    assert len(set(order[20:])) == 5


def test_order_is_a_function_of_the_seed_and_not_of_packing():
    assert _all_steps(10, seed=3) == _all_steps(10, seed=3, row_length=64, micro_batch_rows=8)
    assert _all_steps(10, seed=3) != _all_steps(10, seed=4)


def test_packing_a_step_keeps_every_token_and_every_weight():
    examples = make_examples(CONFIG.examples_per_step, seed=1)
    batch = pack_step(examples, CONFIG)
    used = batch.rows.segment_ids > 0
    want = np.sort(np.concatenate([e.token_ids for e in examples]))
    np.testing.assert_array_equal(np.sort(batch.rows.token_ids[used]), want)
    assert batch.tokens == len(want)
    assert batch.rows.loss_weights.sum() == pytest.approx(1, abs=1e-6)
    assert np.count_nonzero(batch.rows.loss_weights) == sum(e.loss_mask.sum() for e in examples)
    np.testing.assert_array_equal(batch.filled, used.sum(-1).max(-1))
    assert sorted(batch.filled > 0, reverse=True) == list(batch.filled > 0), "empty ones are last"


def test_shape_of_a_step_does_not_depend_on_its_examples():
    shapes = {
        pack_step(make_examples(n, seed=n, longest=longest), CONFIG).rows.token_ids.shape
        for n, longest in ((1, 3), (4, 4), (4, 16))
    }
    assert shapes == {(2, CONFIG.micro_batch_rows, CONFIG.row_length)}


def test_passes_are_cut_to_quarters_on_a_cpu_and_never_on_an_accelerator():
    mesh = make_mesh(devices=jax.devices()[:1])
    assert pass_lengths(512, mesh) == (128, 256, 384, 512)
    assert pass_lengths(1024, mesh) == (256, 512, 768, 1024)
    assert pass_lengths(200, mesh) == (128, 200), "whole blocks of attention"
    assert pass_lengths(128, mesh) == (128,)
    assert pass_lengths(512, AbstractMesh((1,), ("data",))) == (512,)
    assert computed_places(np.array([512, 500, 130, 1, 0]), (128, 256, 384, 512)) == 1408


def test_cosine_rate_by_its_formula():
    config = dataclasses.replace(CONFIG, learning_rate=2e-4, warmup_steps=4)
    want = [s / 4 for s in range(4)]
    want += [0.5 * (1 + math.cos(math.pi * (s - 4) / 16)) for s in range(4, 20)]
    np.testing.assert_allclose(learning_rates(config, 20), 2e-4 * np.array(want), rtol=1e-5)


def test_constant_rate_stays_at_its_peak_and_no_warmup_starts_there():
    config = dataclasses.replace(CONFIG, learning_rate=1.0, warmup_steps=2, schedule="constant")
    np.testing.assert_allclose(learning_rates(config, 5), [0, 0.5, 1, 1, 1])
    config = dataclasses.replace(CONFIG, learning_rate=1.0, warmup_steps=0)
    assert learning_rates(config, 5)[0] == 1
    config = dataclasses.replace(config, schedule="constant")
    np.testing.assert_array_equal(learning_rates(config, 5), [1] * 5)


def test_warmup_longer_than_the_run_warns_and_never_peaks():
    config = dataclasses.replace(CONFIG, learning_rate=1.0, warmup_steps=10)
    with pytest.warns(UserWarning, match="ends at 40%"):
        rates = learning_rates(config, 5)
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3, 0.4], rtol=1e-6)


def test_groups_are_even_and_hold_similar_lengths():
    jobs = make_jobs()
    config = dataclasses.replace(CONFIG, bank_width=2)
    assert [[j.name for j in g] for g in groups(jobs, config)] == [
        ["gsm8k-s0", "mmlu-s0"],
        ["mmlu-s1"],
    ]
    six = [dataclasses.replace(jobs[0], name=str(i)) for i in range(6)]
    sizes = [len(g) for g in groups(six, dataclasses.replace(config, bank_width=4))]
    assert sizes == [3, 3], "no lane stays empty where an even split exists"


def test_a_bank_pauses_the_finished_and_fills_the_empty_lane():
    bank = Bank(make_jobs()[:2], CONFIG, width=3, validation_rows=1)
    assert bank.steps == [4, 7]
    batch = bank.batch(5)
    assert batch.active == [False, True, False]
    assert batch.tokens[0] == batch.tokens[2] == 0 < batch.tokens[1]
    assert not batch.rows.loss_weights[0].any()
    assert bank.due(3) == [True, True, False]
    assert bank.due(4) == [True, False, False]
    assert bank.due(6) == [False, True, False]
    assert bank.due(7) == [False, True, False]
