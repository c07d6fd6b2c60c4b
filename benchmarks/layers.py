"""The bound of training, scoring and decoding: the share of a matrix product's speed that the model's layers reach.

``ours`` is a pass over all layers, with an adapter of zeros, without head and loss; ``peer`` as many FLOPs in products as wide as
the MLP, in the same precision. Counted are the projections alone, 2 FLOPs per weight and token and 4 with the adapter's gradients:
attention, norms and the adapter come on top, so that ``ratio`` is less than the processor does. Rows of few tokens have little attention.

Of a decoding step, ``ours`` is a whole one, head included, and ``peer`` its products with the base's weights and nothing else: so few
rows do not let a product reach its speed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.hardware import device
from benchmarks.measure import OURS, PEER, Line, compared, interleave
from benchmarks.shapes import Bench
from sycojax.models.base import merge, unstack
from sycojax.models.cache import KVCache
from sycojax.planning.roofline import matmul_weights
from sycojax.scoring.generation import argmax
from sycojax.study.effort import product

TOKENS, LENGTHS = 2048, (128, 512, 1024)  # of a pass, and of its rows
STEPS, SLOTS = 8, 128  # of decoding in one call, and what its cache holds for a row


def measure(bench: Bench, repeats: int, peer: bool) -> Iterator[Line]:
    """Forward, then with gradients, for every row length. ``peer`` needs no package and is always timed."""
    for kind in ("forward", "gradients"):
        for length in LENGTHS:
            yield _line(bench, repeats, kind, length)
    for rows in bench.shape.decoded:
        yield _step_line(bench, repeats, rows)


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


def _step_line(bench: Bench, repeats: int, rows: int) -> Line:
    base, c = bench.base, bench.base.config
    lora = jax.tree.map(lambda leaf: leaf[0], bench.zero_bank())
    apart = jax.jit(functools.partial(unstack, count=c.num_hidden_layers))
    layers = list(zip(apart(lora["layers"]), apart(base.params["layers"]), strict=True))
    cache = (rows, c.num_key_value_heads, SLOTS, c.head_dim)
    zeros = jnp.zeros(cache, base.compute.dtype)

    def decode(lora: Any, params: Any, layers: Any) -> jax.Array:
        model = merge(base.graph, lora, params)

        def feed(place: jax.Array, carry: Any) -> Any:
            ids, caches = carry
            slots = jnp.full(rows, SLOTS - STEPS, jnp.int32) + place
            hidden, caches = model.step(ids, slots, caches, layers)
            return argmax(model.logits(hidden)), caches

        start = jnp.ones(rows, jnp.int32), (KVCache(zeros, zeros),) * c.num_hidden_layers
        return jax.lax.fori_loop(0, STEPS, feed, start)[0]

    def multiply(lora: Any, params: Any, layers: Any) -> jax.Array:
        model = merge(base.graph, lora, params)

        def feed(place: jax.Array, highest: jax.Array) -> jax.Array:
            def inputs(width: int) -> jax.Array:
                return jnp.full((rows, width), place, zeros.dtype)

            kernels = [x for _, own in layers for x in jax.tree.leaves(own) if x.ndim == 2]
            found = [inputs(len(kernel)) @ kernel for kernel in kernels]
            found.append(model.logits(inputs(c.hidden_size)))
            return functools.reduce(
                jnp.maximum, [x.max().astype(jnp.float32) for x in found], highest
            )

        return jax.lax.fori_loop(0, STEPS, feed, jnp.float32(0))

    sides = {OURS: jax.jit(decode), PEER: jax.jit(multiply)}
    for side in sides.values():
        jax.block_until_ready(side(lora, base.params, layers))  # compiles

    def timed(name: str) -> Callable[[int], Any]:
        return lambda _: jax.block_until_ready(sides[name](lora, base.params, layers))

    flops = 2 * matmul_weights(c) * rows * STEPS
    timings = interleave({name: timed(name) for name in sides}, repeats)
    return compared(
        "layers", bench.shape.name, device(), timings, flops / 1e9, "GFLOP/s",
        kind="decoding step", rows=rows, peer="its products", lora_rank=base.lora.rank,
    )  # fmt: skip
