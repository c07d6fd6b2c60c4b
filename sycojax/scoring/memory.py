"""How many configurations an accelerator's memory can decode together, beside the base."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from sycojax.models.base import FrozenBase, abstract, device_bytes
from sycojax.parallel.mesh import device_memory, row_ways

# A share of the memory for what is not counted below: activations and fragmentation.
RESERVE = 0.1
# The share of the memory that the adapters of configurations may take that are asked together.
ADAPTERS = 0.1
# A share of the caches, needed once more: on GPUs the compiler transposes all keys before the steps, half of the caches
# (temporaries in `sycojax plan`). Prompts that are read in between steps need a quarter.
TRANSPOSED = 0.5


def together(base: FrozenBase, count: int, memory: int) -> int:
    """How many of ``count`` configurations to keep at a time on devices of ``memory`` bytes, each of which holds all of them whole."""
    return min(max(int(ADAPTERS * memory // adapter_bytes(base)), 1), count)


def decoding_width(base: FrozenBase, count: int, rows: int, slots: int, memory: int) -> int:
    """How many of ``count`` configurations to decode together in ``memory`` bytes of each device, at least one.

    Counted are the base, its layers once more (decoding copies them out of their stack), all adapters, and the keys and
    values of ``rows`` rows of ``slots`` tokens per configuration.
    """
    weights = device_bytes(base.params) + device_bytes(base.params["layers"])
    adapter, caches = adapter_bytes(base), cache_bytes(base, rows, slots)
    left = (1 - RESERVE) * memory - weights - count * adapter
    width = min(max(int(left // ((1 + TRANSPOSED) * caches + adapter)), 1), count)
    ways = base.compute.bank_ways
    if 1 < ways <= width:
        return width - width % ways
    return math.ceil(count / math.ceil(count / width))  # passes of one size


def float32_fits(base: FrozenBase) -> bool:
    """Whether a bfloat16 base fits once more beside itself in float32; taken for granted where no device says (a CPU)."""
    memory = device_memory(base.mesh.devices.flat)
    return memory is None or 3 * device_bytes(base.params) <= (1 - RESERVE) * memory


def cache_bytes(base: FrozenBase, rows: int, slots: int) -> float:
    """Bytes of the keys and values of ``rows`` rows of ``slots`` tokens that each device holds."""
    tensor, heads = base.mesh.shape["tensor"], base.config.num_key_value_heads
    parts = row_ways(base.mesh) * (tensor if heads % tensor == 0 else 1)
    return rows * slots * slot_bytes(base) / parts


def adapter_bytes(base: FrozenBase) -> int:
    """Bytes of one adapter of ``base.lora``."""
    return total_bytes(abstract(base.config, base.lora).lora)


def slot_bytes(base: FrozenBase) -> int:
    """Bytes of one token's keys and values in all layers."""
    config = base.config
    elements = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    return elements * jnp.dtype(base.compute.dtype).itemsize


def total_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree, or of what would have their shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
