"""The training objective: a weighted sum of next-token cross-entropies over packed rows.

How the weights are chosen (mean over examples, over tokens, ...) is decided on the host, where whole
examples are at hand (``sycojax.data.encode.loss_weights``); the weights of one optimiser step sum to one,
so neither packing nor the split into micro-batches changes the objective.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    graph: Any, lora: Tree, base: Tree, rows: Rows, filled: jax.Array, logits_chunk: int = 0
) -> jax.Array:
    """``place_losses`` of the micro-batches of rows [M, B, T] that are ``filled`` [M], 0 in the others: float32 [M, B, T]."""

    def body(i: jax.Array, found: jax.Array) -> jax.Array:
        own = place_losses(graph, lora, base, micro_batch(rows, i), logits_chunk)
        return jax.lax.dynamic_update_index_in_dim(found, own, i, 0)

    nothing = jnp.zeros(rows.target_ids.shape, jnp.float32)
    return jax.lax.fori_loop(0, jnp.count_nonzero(filled), body, nothing)


def summed_loss(
    graph: Any,
    lora: Tree,
    base: Tree,
    rows: Rows,
    filled: jax.Array,
    logits_chunk: int = 0,
    lengths: Sequence[int] = (),
) -> jax.Array:
    """``loss`` over the micro-batches of rows [M, B, T], without dropout; ``filled`` and ``lengths`` as in ``summed_gradients``."""

    def own(part: Rows, i: jax.Array) -> jax.Array:
        return loss(graph, lora, base, part, None, logits_chunk)

    return _summed(own, rows, filled, lengths)


def summed_gradients(
    graph: Any,
    lora: Tree,
    base: Tree,
    rows: Rows,
    filled: jax.Array,
    dropout_key: jax.Array,
    logits_chunk: int = 0,
    lengths: Sequence[int] = (),
) -> tuple[jax.Array, Tree]:
    """``loss`` and its gradient with respect to ``lora``, summed over micro-batches.

    ``rows`` [M, B, T]; ``filled`` int32 [M] is how many tokens the fullest row of each holds, and may change from call to
    call without recompiling: micro-batches of 0, which stand last, are not computed, and each other is cut to the shortest
    of ``lengths`` that holds it, of which the last is T (none: all are of T). Row ``r`` of all M * B drops out by
    ``fold_in(dropout_key, r)``, so that neither the split into micro-batches nor the cut changes anything but rounding.
    """
    size = rows.token_ids.shape[1]

    def own(part: Rows, i: jax.Array) -> tuple[jax.Array, Tree]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(dropout_key, i * size + jnp.arange(size))
        return jax.value_and_grad(loss, argnums=1)(graph, lora, base, part, keys, logits_chunk)

    return _summed(own, rows, filled, lengths)


def _summed(
    of: Callable[[Rows, jax.Array], Any], rows: Rows, filled: jax.Array, lengths: Sequence[int]
) -> Any:
    """The tree ``of(micro-batch i, i)``, summed over the micro-batches that hold something."""
    lengths = tuple(lengths) or (rows.token_ids.shape[-1],)

    def cut(length: int) -> Callable[[jax.Array], Any]:
        return lambda i: of(Rows(*(x[:, :length] for x in micro_batch(rows, i))), i)

    def body(i: jax.Array, total: Any) -> Any:
        which = jnp.searchsorted(jnp.asarray(lengths), filled[i])
        return jax.tree.map(jnp.add, total, jax.lax.switch(which, [*map(cut, lengths)], i))

    shapes = jax.eval_shape(cut(lengths[-1]), jnp.int32(0))
    start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.fori_loop(0, jnp.count_nonzero(filled), body, start)


def micro_batch(rows: Rows, i: jax.Array | int) -> Rows:
    """Micro-batch ``i`` [B, T] of rows [M, B, T]."""
    return Rows(*(jax.lax.dynamic_index_in_dim(x, i, keepdims=False) for x in rows))
