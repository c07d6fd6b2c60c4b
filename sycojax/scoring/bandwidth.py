"""What decoding must read from memory: divided by its seconds and the device's bandwidth, the share of the bound."""

from __future__ import annotations

import math
from typing import Any

import jax

from sycojax.models.llama import FrozenBase, abstract
from sycojax.scoring.decode import DecodeCounts


def decode_bytes(base: FrozenBase, counts: DecodeCounts) -> int:
    """Bytes that the steps behind ``counts`` cannot do without reading, over all devices.

    Every step reads the base's weights once and each of its adapters; every token fed to an unfinished row
    reads the keys and values it looks at. Writing the cache, activations and prefill are not counted.
    """
    return (
        counts.decode_steps * weight_bytes(base)
        + counts.decode_step_adapters * _bytes(abstract(base.config, base.lora).lora)
        + counts.decode_step_slots * slot_bytes(base)
    )


def weight_bytes(base: FrozenBase) -> int:
    """Bytes of the base as it is kept, without an embedding table that is only looked up."""
    looked_up = 0 if base.config.tie_word_embeddings else _bytes(base.params["embed_tokens"])
    return _bytes(base.params) - looked_up


def slot_bytes(base: FrozenBase) -> int:
    """Bytes of one token's keys and values in all layers."""
    config = base.config
    dtype = base.params["embed_tokens"]["embedding"].dtype
    return (
        2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * dtype.itemsize
    )


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
