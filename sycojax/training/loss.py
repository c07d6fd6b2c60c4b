"""The training objective: a weighted sum of next-token cross-entropies over packed rows.

How the weights are chosen (mean over examples, over tokens, ...) is decided on the host, where whole
examples are at hand (``sycojax.data.encode.loss_weights``); the weights of one optimiser step sum to one,
so neither packing nor the split into micro-batches changes the objective.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sycojax.models.base import Tree, merge
from sycojax.training.cross_entropy import weighted_cross_entropy


class Rows(NamedTuple):
    """Packed rows: int32 [..., T] each, ``loss_weights`` float32 [..., T] aligned to ``target_ids``."""

    token_ids: Any
    target_ids: Any
    positions: Any
    segment_ids: Any
    loss_weights: Any


def loss(
    graph: Any,
    lora: Tree,
    base: Tree,
    rows: Rows,
    dropout_keys: jax.Array | None = None,
    logits_chunk: int = 0,
) -> jax.Array:
    """``sum(loss_weights * -log p(target))`` of rows [B, T]: a float32 scalar.

    ``dropout_keys`` [B] turn LoRA dropout on. ``logits_chunk`` is at how many positions logits exist at a time, of
    those with a weight; 0 = at all of them (see ``cross_entropy``).
    """
    model = merge(graph, lora, base)
    places = rows.token_ids, rows.positions, rows.segment_ids
    hidden = model.hidden(*places, dropout_keys=dropout_keys)
    if logits_chunk:
        c = model.compute
        return weighted_cross_entropy(
            hidden, model.kernel(), rows.target_ids, rows.loss_weights, logits_chunk, c.mesh, c.bank_axis,
            tied=model.tied,
        )  # fmt: skip
    logits = model.logits(hidden)
    target = jnp.take_along_axis(logits, rows.target_ids[..., None], axis=-1)[..., 0]
    return jnp.sum(rows.loss_weights * (jax.nn.logsumexp(logits, axis=-1) - target))


def place_losses(
    graph: Any, lora: Tree, base: Tree, rows: Rows, logits_chunk: int = 0
) -> jax.Array:
    """``-log p(target)`` at every place of rows [B, T], without dropout: float32 [B, T].

    ``logits_chunk`` as in ``loss``, but of all places: a few of every row at a time.
    """
    model = merge(graph, lora, base)
    hidden = model.hidden(rows.token_ids, rows.positions, rows.segment_ids)

    def losses(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        logits = model.logits(part[0])
        target = jnp.take_along_axis(logits, part[1][..., None], axis=-1)[..., 0]
        return jax.nn.logsumexp(logits, axis=-1) - target

    count, length = rows.target_ids.shape
    size = min(max(logits_chunk // count, 1), length) if logits_chunk else length
    parts = -(-length // size)

    def split(x: jax.Array) -> jax.Array:
        """[B, T, ...] -> [parts, B, size, ...]"""
        over = [(0, 0)] * x.ndim
        over[1] = (0, parts * size - length)
        return jnp.moveaxis(jnp.pad(x, over).reshape(count, parts, size, *x.shape[2:]), 1, 0)

    found = jax.lax.map(losses, (split(hidden), split(rows.target_ids)))
    return jnp.moveaxis(found, 0, 1).reshape(count, -1)[:, :length]


def all_place_losses(
    graph: Any, lora: Tree, base: Tree, rows: Rows, count: jax.Array, logits_chunk: int = 0
) -> jax.Array:
    """``place_losses`` of the first ``count`` micro-batches of rows [M, B, T], 0 in the others: float32 [M, B, T]."""

    def body(i: jax.Array, found: jax.Array) -> jax.Array:
        own = place_losses(graph, lora, base, micro_batch(rows, i), logits_chunk)
        return jax.lax.dynamic_update_index_in_dim(found, own, i, 0)

    nothing = jnp.zeros(rows.target_ids.shape, jnp.float32)
    return jax.lax.fori_loop(0, count, body, nothing)


def summed_loss(
    graph: Any, lora: Tree, base: Tree, rows: Rows, count: jax.Array, logits_chunk: int = 0
) -> jax.Array:
    """``loss`` over the first ``count`` micro-batches of rows [M, B, T], without dropout."""

    def body(i: jax.Array, total: jax.Array) -> jax.Array:
        return total + loss(graph, lora, base, micro_batch(rows, i), None, logits_chunk)

    return jax.lax.fori_loop(0, count, body, jnp.zeros((), jnp.float32))


def summed_gradients(
    graph: Any,
    lora: Tree,
    base: Tree,
    rows: Rows,
    count: jax.Array,
    dropout_key: jax.Array,
    logits_chunk: int = 0,
) -> tuple[jax.Array, Tree]:
    """``loss`` and its gradient with respect to ``lora``, summed over micro-batches.

    ``rows`` [M, B, T]; only the first ``count`` micro-batches are computed (int32 scalar, may change
    from call to call without recompiling). Row ``r`` of all M * B drops out by ``fold_in(dropout_key, r)``, so that the
    split into micro-batches changes nothing but rounding.
    """

    size = rows.token_ids.shape[1]

    def body(i: jax.Array, carry: tuple[jax.Array, Tree]) -> tuple[jax.Array, Tree]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(dropout_key, i * size + jnp.arange(size))
        value, gradients = jax.value_and_grad(loss, argnums=1)(
            graph, lora, base, micro_batch(rows, i), keys, logits_chunk
        )
        return carry[0] + value, jax.tree.map(jnp.add, carry[1], gradients)

    start = (jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, lora))
    return jax.lax.fori_loop(0, count, body, start)


def micro_batch(rows: Rows, i: jax.Array | int) -> Rows:
    """Micro-batch ``i`` [B, T] of rows [M, B, T]."""
    return Rows(*(jax.lax.dynamic_index_in_dim(x, i, keepdims=False) for x in rows))
