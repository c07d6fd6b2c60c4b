"""The bound of training and scoring: the share of a matrix product's speed that the model's layers reach.

``ours`` is a pass over all layers, with an adapter of zeros, without head and loss; ``peer`` as many FLOPs in products as wide as
the MLP, in the same precision. Counted are the projections alone, 2 FLOPs per weight and token and 4 with the adapter's gradients:
attention, norms and the adapter come on top, so that ``ratio`` is less than the processor does. Rows of few tokens have little attention.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.hardware import device
from benchmarks.measure import OURS, PEER, Line, compared, interleave
from benchmarks.shapes import Bench
from sycojax.models.base import merge
from sycojax.study.effort import product

TOKENS, LENGTHS = 2048, (128, 512, 1024)  # of a pass, and of its rows


def measure(bench: Bench, repeats: int, peer: bool) -> Iterator[Line]:
    """Forward, then with gradients, for every row length. ``peer`` needs no package and is always timed."""
    for kind in ("forward", "gradients"):
        for length in LENGTHS:
            yield _line(bench, repeats, kind, length)


def _line(bench: Bench, repeats: int, kind: str, length: int) -> Line:
    base, shape = bench.base, (TOKENS // length, length)
    c = base.config
    ids = jax.random.randint(jax.random.key(0), shape, 0, c.vocab_size)
    places, ones = jnp.broadcast_to(jnp.arange(length), shape), jnp.ones(shape, jnp.int32)
    lora = jax.tree.map(lambda leaf: leaf[0], bench.zero_bank())

    def forward(lora: Any, params: Any) -> jax.Array:
        return merge(base.graph, lora, params).hidden(ids, places, ones)

    def loss(lora: Any, params: Any) -> jax.Array:
        return jnp.sum(forward(lora, params).astype(jnp.float32) ** 2)

    layers = jax.jit(forward if kind == "forward" else jax.grad(loss))
    multiply, each = product(base)
    flops = (2 if kind == "forward" else 4) * c.projection_parameter_count * TOKENS
    count = round(flops / each)

    def ours(_: int) -> Any:
        return jax.block_until_ready(layers(lora, base.params))

    def products(_: int) -> Any:
        return jax.block_until_ready([multiply() for _ in range(count)])

    ours(0)  # compiles
    timings = interleave({OURS: ours, PEER: products}, repeats)
    return compared(
        "layers", bench.shape.name, device(), timings, flops / 1e9, "GFLOP/s",
        kind=kind, row_length=length, peer="products", lora_rank=base.lora.rank,
    )  # fmt: skip
