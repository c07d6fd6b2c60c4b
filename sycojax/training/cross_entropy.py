"""The head and its loss at the positions that have one, a chunk of them at a time.

In completion training most targets have no weight, and whole logits [rows * T, vocabulary] are the largest array
of a step. Here the positions with weight are moved to the front, and only as many chunks of logits are computed as
they fill: never two at the same time. The gradient with respect to the hidden states is taken in the same pass,
while a chunk's logits are there (the idea of Hsu et al. 2024, arXiv:2410.10989), so nothing is computed twice.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sycojax.models import head
from sycojax.parallel.mesh import batch_axes, row_ways


class Targets(NamedTuple):
    """Per position [G, N]: int32 target and float32 weight."""

    token_ids: Any
    weights: Any


def weighted_cross_entropy(
    hidden: jax.Array,
    kernel: jax.Array,
    target_ids: jax.Array,
    weights: jax.Array,
    chunk: int,
    mesh: Mesh | None = None,
    bank_axis: str | None = None,
    *,
    tied: bool = False,
) -> jax.Array:
    """``sum(weights * -log softmax(hidden @ kernel)[target])``, a float32 scalar.

    ``hidden`` [B, T, D]; ``kernel`` [D, V] ([V, D] where ``tied``), frozen: its gradient is not computed (zero);
    ``target_ids`` int32 and ``weights`` float32 [B, T]. ``chunk`` positions at a time, per device of the batch axes of
    ``mesh``: each of them chooses among its own rows, and all compute as many chunks as the one with the most positions.
    ``bank_axis``: the mesh axis that a bank, of which this is one adapter, is laid over.
    """
    axes = batch_axes(bank_axis)
    ways = 1 if mesh is None else row_ways(mesh, bank_axis)
    groups = 1 if hidden.shape[0] % ways else ways

    def grouped(x: jax.Array) -> jax.Array:
        x = x.reshape(groups, -1, *x.shape[2:])
        return x if mesh is None or groups == 1 else _constrain(x, mesh, axes)

    kernel = head.whole(kernel, tied, mesh)  # once, not once per chunk
    targets = Targets(grouped(target_ids), grouped(weights))
    return _chunked(chunk, tied, grouped(hidden), kernel, targets)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _chunked(
    chunk: int, tied: bool, hidden: jax.Array, kernel: jax.Array, targets: Targets
) -> jax.Array:
    return _over_chunks(chunk, tied, hidden, kernel, targets, gradient=False)[0]


def _chunked_forward(
    chunk: int, tied: bool, hidden: jax.Array, kernel: jax.Array, targets: Targets
) -> Any:
    return _over_chunks(chunk, tied, hidden, kernel, targets, gradient=True)


def _chunked_backward(chunk: int, tied: bool, gradient: jax.Array, cotangent: jax.Array) -> Any:
    return (gradient * cotangent).astype(gradient.dtype), None, None


_chunked.defvjp(_chunked_forward, _chunked_backward)


def _over_chunks(
    chunk: int,
    tied: bool,
    hidden: jax.Array,
    kernel: jax.Array,
    targets: Targets,
    *,
    gradient: bool,
) -> tuple[jax.Array, jax.Array | None]:
    """The loss of hidden [G, N, D], and its gradient with respect to it where asked for."""
    groups, count, _ = hidden.shape
    counted = targets.weights != 0
    # Stable, so that positions stay in order: a row's logits are summed in the order of its text.
    order = jnp.argsort(~counted, axis=1, stable=True)
    chunks = (jnp.max(jnp.sum(counted, axis=1)) + chunk - 1) // chunk
    padded = -(-count // chunk) * chunk
    at_front = jnp.pad(order, ((0, 0), (0, padded - count)))
    real = jnp.arange(padded) < count

    def body(i: jax.Array, carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        total, gradients = carry
        at = jax.lax.dynamic_slice_in_dim(at_front, i * chunk, chunk, axis=1)
        h = jnp.take_along_axis(hidden, at[..., None], axis=1)
        target = jnp.take_along_axis(targets.token_ids, at, axis=1)
        weight = jnp.take_along_axis(targets.weights, at, axis=1)
        weight = jnp.where(jax.lax.dynamic_slice_in_dim(real, i * chunk, chunk), weight, 0.0)
        logits = head.logits(h, kernel, tied)
        normaliser = jax.nn.logsumexp(logits, axis=-1)
        chosen = jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
        total += jnp.sum(weight * (normaliser - chosen))
        if gradient:
            # d/dlogits = weight * (softmax - onehot), rounded to the weights' dtype for the matmul.
            is_target = jnp.arange(logits.shape[-1]) == target[..., None]
            pull = weight[..., None] * (jnp.exp(logits - normaliser[..., None]) - is_target)
            back = head.pulled_back(pull.astype(h.dtype), kernel, tied)
            gradients = jax.lax.dynamic_update_slice_in_dim(
                gradients, back.astype(h.dtype), i * chunk, axis=1
            )
        return total, gradients

    nothing = jnp.zeros((groups, padded, hidden.shape[2]), hidden.dtype) if gradient else None
    total, gradients = jax.lax.fori_loop(0, chunks, body, (jnp.zeros((), jnp.float32), nothing))
    if gradients is None:
        return total, None
    back = jnp.argsort(order, axis=1)
    return total, jnp.take_along_axis(gradients, back[..., None], axis=1)


def _constrain(x: jax.Array, mesh: Mesh, *axes: Any) -> jax.Array:
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(*axes)))
