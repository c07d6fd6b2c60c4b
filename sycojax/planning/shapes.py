"""The architecture of a base without its weights: from its ``config.json``, or known by name."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub

from sycojax.errors import SycojaxError
from sycojax.models.config import LlamaConfig
from sycojax.weights.hub import located
from sycojax.weights.huggingface import load_config


def _llama2(hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int) -> LlamaConfig:
    """Llama 2 (Touvron et al. 2023, arXiv:2307.09288)."""
    return LlamaConfig(
        vocab_size=32_000, hidden_size=hidden, intermediate_size=intermediate,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
        head_dim=128, max_position_embeddings=4096, rms_norm_eps=1e-5, rope_theta=10_000.0,
        rope_scaling=None, tie_word_embeddings=False, bos_token_id=1, eos_token_ids=(2,),
    )  # fmt: skip


SHAPES = {
    "llama2_7b": _llama2(4096, 11_008, 32, 32, 32),
    "llama2_13b": _llama2(5120, 13_824, 40, 40, 40),
    "llama2_70b": _llama2(8192, 28_672, 80, 64, 8),
}
HUB = {
    f"meta-llama/Llama-2-{size}{kind}-hf": f"llama2_{size}"
    for size in ("7b", "13b", "70b")
    for kind in ("", "-chat")
}


def architecture(path: str, shape: str = "") -> tuple[LlamaConfig, str]:
    """The architecture of ``base.path``, and where it is known from; ``shape`` of ``SHAPES`` goes before it.

    Never fetches anything: a hub id must be one of ``HUB`` or in the local cache. Raises ``SycojaxError``
    when it is neither.
    """
    if shape:
        if shape not in SHAPES:
            raise SycojaxError(f"--shape={shape} is not known (known: {', '.join(SHAPES)})")
        return SHAPES[shape], shape
    path = located(path)
    if Path(path).is_dir():
        return load_config(path), path
    if path in HUB:
        return SHAPES[HUB[path]], path
    try:
        cached = huggingface_hub.try_to_load_from_cache(path, "config.json")
    except huggingface_hub.errors.HFValidationError:
        cached = None
    if not isinstance(cached, str):
        raise SycojaxError(
            f"base.path={path} is neither a directory nor a model whose config.json is in the hub's cache; plan "
            f"with --shape=NAME ({', '.join(SHAPES)}) or give a directory that holds config.json"
        )
    return load_config(Path(cached).parent), path
