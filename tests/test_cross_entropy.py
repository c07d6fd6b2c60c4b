"""The chunked head and loss: equal to whole logits, never whole in memory, and only as much as there are targets."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sycojax.parallel.mesh import make_mesh
from sycojax.training.cross_entropy import weighted_cross_entropy

ROWS, LENGTH, WIDTH, VOCABULARY = 8, 12, 16, 40


def _whole(hidden: Any, kernel: Any, target_ids: Any, weights: Any) -> jax.Array:
    logits = jnp.matmul(hidden, kernel, preferred_element_type=jnp.float32)
    target = jnp.take_along_axis(logits, target_ids[..., None], axis=-1)[..., 0]
    return jnp.sum(weights * (jax.nn.logsumexp(logits, axis=-1) - target))


def _inputs(share: float, dtype: Any = np.float32) -> tuple[Any, ...]:
    rng = np.random.default_rng(3)
    shape = (ROWS, LENGTH)
    return (
        rng.standard_normal((*shape, WIDTH)).astype(dtype),
        rng.standard_normal((WIDTH, VOCABULARY)).astype(dtype),
        rng.integers(0, VOCABULARY, shape).astype(np.int32),
        (rng.random(shape) * (rng.random(shape) < share)).astype(np.float32),
    )


def _both(function: Any, *inputs: Any) -> Any:
    return jax.jit(jax.value_and_grad(function))(*inputs)


@pytest.mark.parametrize("chunk", [7, 96, 1000])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_loss_and_gradient_are_those_of_whole_logits(chunk: int, share: float):
    inputs = _inputs(share)
    got = _both(functools.partial(weighted_cross_entropy, chunk=chunk), *inputs)
    want = _both(_whole, *inputs)
    np.testing.assert_allclose(got[0], want[0], rtol=2e-6)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-5, atol=1e-6)
    # Without a gradient, as in validation, it is the same number.
    alone = jax.jit(functools.partial(weighted_cross_entropy, chunk=chunk))(*inputs)
    np.testing.assert_allclose(alone, got[0], rtol=1e-6)
    # A table of embeddings that is the head, too, is the kernel turned round.
    hidden, kernel, *targets = inputs
    tied = functools.partial(weighted_cross_entropy, chunk=chunk, tied=True)
    found = _both(tied, hidden, kernel.T.copy(), *targets)
    np.testing.assert_allclose(found[0], want[0], rtol=2e-6)
    np.testing.assert_allclose(found[1], want[1], rtol=1e-5, atol=1e-6)


def test_bank_and_mesh_give_the_same():
    """Lanes with different numbers of targets, and rows split over eight devices."""
    few, many = _inputs(0.1), _inputs(0.7)
    lanes = [np.stack([a, b]) for a, b in zip(few, many, strict=True)]
    chunked = functools.partial(weighted_cross_entropy, chunk=5)
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(chunked)))(*lanes)
    for lane, inputs in enumerate((few, many)):
        want = _both(_whole, *inputs)
        np.testing.assert_allclose(values[lane], want[0], rtol=2e-6)
        np.testing.assert_allclose(gradients[lane], want[1], rtol=1e-5, atol=1e-6)
    mesh = make_mesh(2, 2, 2)
    want = _both(_whole, *many)
    for tied in (False, True):
        spread = functools.partial(weighted_cross_entropy, chunk=5, mesh=mesh, tied=tied)
        got = _both(spread, many[0], many[1].T.copy() if tied else many[1], *many[2:])
        np.testing.assert_allclose(got[0], want[0], rtol=2e-6)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-5, atol=1e-6)


def test_chunks_without_a_target_are_not_computed():
    """A hidden state that overflows would turn the sum into NaN, weighted by zero or not."""
    hidden, kernel, target_ids, weights = _inputs(0.0)
    weights[0, :4] = 1.0
    hidden[1:] = np.inf
    got = _both(
        functools.partial(weighted_cross_entropy, chunk=4), hidden, kernel, target_ids, weights
    )
    assert np.isfinite(got[0])
    assert np.isfinite(got[1]).all()
    assert np.isnan(_both(_whole, hidden, kernel, target_ids, weights)[0])


def test_whole_logits_never_exist():
    places, vocabulary, chunk = 2048, 4096, 64
    shapes = (
        jax.ShapeDtypeStruct((4, places // 4, 8), jnp.float32),
        jax.ShapeDtypeStruct((8, vocabulary), jnp.float32),
        jax.ShapeDtypeStruct((4, places // 4), jnp.int32),
        jax.ShapeDtypeStruct((4, places // 4), jnp.float32),
    )

    def temporaries(function: Any) -> int:
        compiled = jax.jit(jax.value_and_grad(function)).lower(*shapes).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    logits = 4 * places * vocabulary
    assert temporaries(_whole) > logits
    assert temporaries(functools.partial(weighted_cross_entropy, chunk=chunk)) < logits / 8


def test_a_table_is_multiplied_as_it_lies():
    """Turned round for the product, it would be copied with every pass."""
    width, vocabulary = 256, 4096
    shapes = (
        jax.ShapeDtypeStruct((1, 64, width), jnp.float32),
        jax.ShapeDtypeStruct((vocabulary, width), jnp.float32),
        jax.ShapeDtypeStruct((1, 64), jnp.int32),
        jax.ShapeDtypeStruct((1, 64), jnp.float32),
    )
    tied = functools.partial(weighted_cross_entropy, chunk=16, tied=True)
    compiled = jax.jit(jax.value_and_grad(tied)).lower(*shapes).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * width * vocabulary
