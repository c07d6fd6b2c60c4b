"""One optimiser step against plain arithmetic, and over micro-batches and devices."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_cases import CONFIG, make_base, make_examples

from sycojax.models.base import FrozenBase, initial_lora, merge
from sycojax.training.batches import pack_step
from sycojax.training.loss import Rows, loss, place_losses, summed_gradients, summed_loss
from sycojax.training.optimizer import apply_update, make_optimizer

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def base() -> FrozenBase:
    return make_base(dropout=0.0)


@pytest.fixture(scope="module")
def lora(base: FrozenBase) -> Any:
    """An adapter that does something: a fresh one has lora_b = 0."""
    fresh = initial_lora(base.config, base.lora, jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + 0.1 * rng.standard_normal(x.shape).astype(np.float32), fresh)


@pytest.fixture(scope="module")
def gradients(base: FrozenBase) -> Any:
    return jax.jit(lambda lora, rows, filled, key: summed_gradients(
        base.graph, lora, base.params, rows, filled, key
    ))  # fmt: skip


def _config(**changes) -> Any:
    return dataclasses.replace(CONFIG, **changes)


def test_loss_is_the_mean_over_examples_of_each_ones_mean_cross_entropy(base, lora):
    examples = make_examples(3, seed=2)
    rows = Rows(*(x.reshape(-1, x.shape[-1]) for x in pack_step(examples, CONFIG).rows))
    got = jax.jit(lambda: loss(base.graph, lora, base.params, rows))()

    # The reference: one example per row, from position 0, nothing behind it.
    ids = np.zeros((3, CONFIG.row_length), np.int32)
    for row, example in enumerate(examples):
        ids[row, : len(example.token_ids)] = example.token_ids
    places = np.broadcast_to(np.arange(CONFIG.row_length), ids.shape)
    model = merge(base.graph, lora, base.params)
    logits = np.asarray(model.logits(model.hidden(ids, places, np.ones_like(ids))), np.float64)
    want = []
    for row, example in enumerate(examples):
        at = np.arange(len(example.token_ids))
        entropy = np.log(np.exp(logits[row, at]).sum(-1)) - logits[row, at, example.target_ids]
        want.append(entropy[example.loss_mask].mean())
    assert float(got) == pytest.approx(np.mean(want), rel=2e-6)


def test_gradients_do_not_depend_on_the_split_into_micro_batches(lora):
    """Nor does what is dropped out, which follows the rows."""
    base, key = make_base(dropout=0.5), jax.random.key(0)

    @jax.jit
    def gradients(lora, rows, filled, key):
        return summed_gradients(base.graph, lora, base.params, rows, filled, key)

    examples = make_examples(4, seed=3, longest=16)
    small, large = (pack_step(examples, _config(micro_batch_rows=n)) for n in (1, 4))
    assert [np.count_nonzero(split.filled) for split in (small, large)] == [3, 1]
    one, other = (gradients(lora, split.rows, split.filled, key) for split in (small, large))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), one, other)


def test_only_counted_micro_batches_are_computed(lora, gradients):
    batch = pack_step(make_examples(4, seed=3, longest=16), _config(micro_batch_rows=1))
    key = jax.random.key(0)
    # Poison behind the count must not be touched: inf * 0 would be NaN.
    poisoned = batch.rows._replace(loss_weights=batch.rows.loss_weights.copy())
    poisoned.loss_weights[2:] = np.inf
    filled = np.array([16, 16, 0, 0])
    value, _ = gradients(lora, poisoned, filled, key)
    assert np.isfinite(value)
    assert np.isinf(gradients(lora, poisoned, np.array([16, 16, 16, 0]), key)[0])


def test_a_pass_is_cut_behind_what_it_holds(lora):
    """The numbers are those of whole rows, dropout included, and nothing behind the cut is touched."""
    base, key = make_base(dropout=0.5), jax.random.key(0)

    def gradients(lora, rows, filled, lengths):
        return summed_gradients(base.graph, lora, base.params, rows, filled, key, 0, lengths)

    jitted = jax.jit(gradients, static_argnums=3)
    batch = pack_step(make_examples(4, seed=3, longest=16), _config(micro_batch_rows=1))
    filled, cuts = jnp.asarray(batch.filled), (4, 8, 12, 16)
    assert {*np.searchsorted(cuts, filled[:3])} > {3}, "some are cut, some are whole"
    whole, cut = (jitted(lora, batch.rows, filled, lengths) for lengths in ((), cuts))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), whole, cut)
    validated = [
        summed_loss(base.graph, lora, base.params, batch.rows, filled, 0, lengths)
        for lengths in ((), cuts)
    ]
    np.testing.assert_allclose(*validated, rtol=1e-6)

    short = int(np.argmin(filled[:3]))
    poisoned = batch.rows._replace(loss_weights=batch.rows.loss_weights.copy())
    poisoned.loss_weights[short, 0, -1] = np.inf
    assert np.isfinite(jitted(lora, poisoned, filled, cuts)[0])
    assert np.isinf(jitted(lora, poisoned, filled, ())[0])

    # In a bank the cut is that of all adapters, so that one branch runs and not all.
    bank = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), (lora, batch.rows))
    both = jax.jit(jax.vmap(lambda lora, rows: gradients(lora, rows, filled, cuts)))
    assert "stablehlo.case" in both.lower(*bank).as_text()
    first = jax.tree.map(lambda x: x[0], both(*bank))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), first, cut)


def test_update_is_clipped_adamw():
    config = _config(clip_norm=0.5, weight_decay=0.1)
    optimizer = make_optimizer(config)
    p = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]])}
    state, rate = optimizer.init(p), 0.01
    steps = [np.array([3.0, 0.0, -4.0]), np.array([0.1, 0.2, 0.1])]  # norms 5 (clipped) and 0.24
    m = v = np.zeros(3)
    want = np.array([1.0, -2.0, 0.5])
    for t, raw in enumerate(steps, 1):
        g = {"a": jnp.asarray(raw[:2], jnp.float32), "b": jnp.asarray(raw[2:, None], jnp.float32)}
        p, state = apply_update(optimizer, p, state, g, jnp.float32(rate))
        clipped = raw * min(1.0, 0.5 / np.linalg.norm(raw))
        m, v = 0.9 * m + 0.1 * clipped, 0.999 * v + 0.001 * clipped**2
        direction = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        want = want - rate * (direction + 0.1 * want)
    got = np.concatenate([np.asarray(p["a"]), np.asarray(p["b"])[0]])
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("chunk", [0, 6])
def test_losses_by_place_add_up_to_the_loss(base: FrozenBase, lora: Any, chunk: int) -> None:
    """Whole logits, and those of three of a row's sixteen places at a time, of which the last part is padding."""
    rows = Rows(*(x[0] for x in pack_step(make_examples(4, 1), CONFIG).rows))
    found = place_losses(base.graph, lora, base.params, rows, chunk)
    assert found.shape == rows.target_ids.shape
    whole = loss(base.graph, lora, base.params, rows)
    np.testing.assert_allclose(jnp.sum(found * rows.loss_weights), whole, rtol=1e-5)
