"""What a stage computed against the least that any scheme could, and how fast: the gap between a run and its machine.

FLOPs are those of the layers' projections alone, 2 per weight and token and 4 in training (``planning.roofline``): the head, attention
and adapters come on top, so a share of the product's speed is a lower bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sycojax.models.base import FrozenBase
from sycojax.models.config import LlamaConfig

ROWS, TRIES, AT_ONCE = 2048, 3, 4  # of the product that is timed


def product(base: FrozenBase) -> tuple[Callable[[], jax.Array], float]:
    """A product of ``ROWS`` tokens, as wide as the base's MLP and in its precision, and its FLOPs."""
    c, dtype = base.config, base.compute.dtype
    a = jnp.ones((ROWS, c.hidden_size), dtype)
    b = jnp.ones((c.hidden_size, c.intermediate_size), dtype)
    multiply = jax.jit(jnp.matmul)
    jax.block_until_ready(multiply(a, b))
    return lambda: multiply(a, b), 2.0 * ROWS * c.hidden_size * c.intermediate_size


def product_speed(base: FrozenBase) -> float:
    """FLOP/s of ``product`` on all devices of the base's mesh: the best of a few."""
    (multiply, flops), best = product(base), float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        jax.block_until_ready([multiply() for _ in range(AT_ONCE)])
        best = min(best, (time.perf_counter() - start) / AT_ONCE)
    return flops / best * base.mesh.size


def of_training(summaries: Mapping[str, Mapping[str, Any]], c: LlamaConfig) -> dict[str, float]:
    """The effort of training, from the ``training.json`` of each adapter; ``least``: their tokens without padding."""
    computed = sum(one["processed_tokens"] for one in summaries.values())
    least = sum(one["tokens"] for one in summaries.values())
    return {"tokens": computed, "least": least, "flops": 4 * c.projection_parameter_count * computed}  # fmt: skip


def of_scoring(counts: Mapping[str, Any], c: LlamaConfig) -> dict[str, float]:
    """The effort of scoring. ``least``: the distinct tokens of log-likelihoods, and the tokens read and written of generated texts."""
    computed = counts["padded_tokens"] + counts["padded_prompt_tokens"] + counts["decode_step_rows"]
    least = counts["unique_tokens"] + counts["prompt_tokens"] + counts["generated_tokens"]
    return {"tokens": computed, "least": least, "flops": 2 * c.projection_parameter_count * computed}  # fmt: skip
