"""What is computed for one adapter, computed for every adapter of a bank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from sycojax.models.compute import Compute
from sycojax.parallel.mesh import alone_on_cpu


def side_by_side(width: int, compute: Compute) -> bool:
    """Whether the adapters of a bank are computed together.

    On one CPU device they go one after another: three at SmolLM2-135M's shape took longer together, by a sixth in training and by half in
    scoring (benchmarks/README.md).
    """
    return width > 1 and not alone_on_cpu(compute.mesh)


def over_bank(function: Callable[..., Any], width: int, compute: Compute) -> Callable[..., Any]:
    """``function`` of one adapter -> of a bank, whose arguments and results have a leading axis of ``width``.

    Adapters that are ``side_by_side`` are vmapped, and laid over ``compute.axis_of(width)``. A bank of one is indexed: it costs nothing.
    """

    def one_by_one(*arguments: Any) -> Any:
        return jax.lax.map(lambda own: function(*own), arguments)

    def alone(*arguments: Any) -> Any:
        single = jax.tree.map(lambda x: x[0], arguments)
        return jax.tree.map(lambda x: x[None], function(*single))

    if width == 1:
        return alone
    if side_by_side(width, compute):
        return jax.vmap(function, spmd_axis_name=compute.axis_of(width))
    return one_by_one
