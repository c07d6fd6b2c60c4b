"""Scoring and decoding a bank: its adapters go through one compiled function in passes of a fixed width."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
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
    """How many of ``count`` adapters go through one pass; ``compiled`` are the widths that have a program already.

    One adapter goes alone, in the program without an adapter axis, which costs nothing extra. Fewer than the
    ``configured`` width are filled up to it where it is compiled, since padding is cheaper than another program;
    elsewhere they make a pass of their own size.
    """
    if count == 1:
        return 1
    return configured if count >= configured or configured in compiled else count


def passes(bank: Any, width: int, base: FrozenBase) -> Iterator[tuple[int, int, Callable[[], Any]]]:
    """Yield (first adapter, number of adapters, what gives their lora tree on the mesh), ``width`` adapters at a time.

    With width 1 the leaves have no adapter axis; others lie over ``base.compute.axis_of(width)``. The last pass is
    filled up by repeating the last adapter. Nothing is placed before it is asked for.
    """
    count, placement = bank_size(bank), _placement(width, base)
    placed = functools.cache(lambda: _placed(bank, base))

    def lora(first: int) -> Any:
        chosen = np.minimum(np.arange(first, first + width, dtype=np.int32), count - 1)
        taken = _take(placed(), distribute(chosen, replicated(base.mesh)))
        if width == 1:
            taken = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[1:]), taken)
        return jax.device_put(taken, placement)

    for first in range(0, count, width):
        yield first, min(width, count - first), functools.cache(functools.partial(lora, first))


def abstract_pass(width: int, base: FrozenBase) -> Any:
    """Shapes and shardings of what ``passes`` yields: a lora tree of ``width`` adapters on the mesh."""
    leading = (width,) if width > 1 else ()
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            (*leading, *leaf.shape), leaf.dtype, sharding=place
        ),
        abstract(base.config, base.lora).lora,
        _placement(width, base),
    )


def member(bank: Any, index: int, base: FrozenBase) -> Any:
    """The bank that holds adapter ``index`` alone, on the mesh; leaves [1, ...]."""
    chosen = distribute(np.array([index], np.int32), replicated(base.mesh))
    return _take(_placed(bank, base), chosen)


def _placement(width: int, base: FrozenBase) -> Any:
    """Where the adapters of one pass lie."""
    axes, axis = logical_axes(base.config, base.lora).lora, base.compute.axis_of(width)
    return shardings(base.mesh, axes, bank=width > 1, bank_axis=axis)


def _placed(bank: Any, base: FrozenBase) -> Any:
    """The whole bank on the mesh, every adapter on all devices of its mesh axis."""
    axes = logical_axes(base.config, base.lora).lora
    return jax.tree.map(distribute, bank, shardings(base.mesh, axes, bank=True))


@jax.jit
def _take(bank: Any, chosen: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: jnp.take(leaf, chosen, axis=0, mode="clip"), bank)
