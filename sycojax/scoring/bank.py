"""A bank of adapters, taken a few at a time through one compiled function."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sycojax.models.base import FrozenBase, abstract, logical_axes
from sycojax.parallel.mesh import distribute, replicated, shardings


def bank_size(bank: Any) -> int:
    """Number of adapters A of a tree whose leaves are [A, ...]."""
    return jax.tree.leaves(bank)[0].shape[0]


def pass_width(count: int, configured: int, compiled: Collection[int]) -> int:
    """How many adapters go through one pass: a bank that is too small takes a compiled program all the same.

    One adapter always goes alone: that program has no adapter axis and costs nothing extra.
    """
    if count == 1:
        return 1
    return configured if count >= configured or configured in compiled else count


def passes(bank: Any, width: int, base: FrozenBase) -> Iterator[tuple[int, int, Any]]:
    """Yield (first adapter, number of adapters, lora tree on the mesh), ``width`` adapters at a time.

    With width 1 the leaves have no adapter axis; others lie over ``base.compute.axis_of(width)``. The last pass is filled
    up by repeating the last adapter.
    """
    count = bank_size(bank)
    bank = _place(bank, base)
    placement = shardings(
        base.mesh,
        logical_axes(base.config, base.lora).lora,
        bank=width > 1,
        bank_axis=base.compute.axis_of(width),
    )
    for first in range(0, count, width):
        chosen = np.minimum(np.arange(first, first + width, dtype=np.int32), count - 1)
        lora = _take(bank, distribute(chosen, replicated(base.mesh)))
        if width == 1:
            lora = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[1:]), lora)
        yield first, min(width, count - first), jax.device_put(lora, placement)


def abstract_pass(width: int, base: FrozenBase) -> Any:
    """Shapes and shardings of what ``passes`` yields: a lora tree of ``width`` adapters on the mesh."""
    banked = width > 1
    shapes = abstract(base.config, base.lora).lora
    axes = logical_axes(base.config, base.lora).lora
    placement = shardings(base.mesh, axes, bank=banked, bank_axis=base.compute.axis_of(width))
    leading = (width,) * banked
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            (*leading, *leaf.shape), leaf.dtype, sharding=place
        ),
        shapes,
        placement,
    )


def member(bank: Any, index: int, base: FrozenBase) -> Any:
    """The bank that holds adapter ``index`` alone, on the mesh; leaves [1, ...]."""
    chosen = distribute(np.array([index], np.int32), replicated(base.mesh))
    return _take(_place(bank, base), chosen)


def _place(bank: Any, base: FrozenBase) -> Any:
    axes = logical_axes(base.config, base.lora).lora
    return jax.tree.map(distribute, bank, shardings(base.mesh, axes, bank=True))


@jax.jit
def _take(bank: Any, chosen: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: jnp.take(leaf, chosen, axis=0, mode="clip"), bank)
