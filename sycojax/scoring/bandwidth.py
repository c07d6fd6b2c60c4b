"""The bytes that decoding cannot do without reading; over its seconds, to be compared with the device's bandwidth."""

from __future__ import annotations

from sycojax.models.base import FrozenBase
from sycojax.scoring.decode import DecodeCounts
from sycojax.scoring.memory import adapter_bytes, slot_bytes, total_bytes


def decode_bytes(base: FrozenBase, counts: DecodeCounts) -> int:
    """Bytes that the steps behind ``counts`` cannot do without reading, over all devices.

    Every step reads the base's weights once and each of its adapters; every token fed to an unfinished row
    reads the keys and values it looks at. Writing the cache, activations and prefill are not counted.
    """
    return (
        counts.decode_steps * weight_bytes(base)
        + counts.decode_step_adapters * adapter_bytes(base)
        + counts.decode_step_slots * slot_bytes(base)
    )


def weight_bytes(base: FrozenBase) -> int:
    """Bytes of the base as it is stored, without an embedding table that is only looked up."""
    looked_up = 0 if base.config.tie_word_embeddings else total_bytes(base.params["embed_tokens"])
    return total_bytes(base.params) - looked_up
