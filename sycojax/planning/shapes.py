"""The architecture of a base without its weights: from its ``config.json``, or known by name."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import huggingface_hub

from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.models.config import LlamaConfig
from sycojax.models.rope import RopeScaling
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


_LLAMA2_7B = _llama2(4096, 11_008, 32, 32, 32)
SHAPES = {
    "llama2_7b": _LLAMA2_7B,
    "llama2_13b": _llama2(5120, 13_824, 40, 40, 40),
    "llama2_70b": _llama2(8192, 28_672, 80, 64, 8),
    "llama3.1_8b": dataclasses.replace(  # Grattafiori et al. 2024, arXiv:2407.21783
        _LLAMA2_7B, vocab_size=128_256, intermediate_size=14_336, num_key_value_heads=8,
        max_position_embeddings=131_072, rope_theta=500_000.0,
        rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 8192), bos_token_id=128_000,
        eos_token_ids=(128_001, 128_008, 128_009),
    ),
    "smollm2_135m": dataclasses.replace(  # Allal et al. 2025, arXiv:2502.02737
        _LLAMA2_7B, vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, head_dim=64, max_position_embeddings=8192,
        rope_theta=100_000.0, tie_word_embeddings=True, bos_token_id=1, eos_token_ids=(2,),
    ),
    "qwen2.5_7b": dataclasses.replace(  # Qwen team 2024, arXiv:2412.15115
        _LLAMA2_7B, model_type="qwen2", qkv_bias=True, vocab_size=152_064, hidden_size=3584,
        intermediate_size=18_944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
        max_position_embeddings=32_768, rms_norm_eps=1e-6, rope_theta=1_000_000.0,
        bos_token_id=151_643, eos_token_ids=(151_645,),
    ),
    "qwen3_8b": dataclasses.replace(  # Qwen team 2025, arXiv:2505.09388
        _LLAMA2_7B, model_type="qwen3", qk_norm=True, vocab_size=151_936, intermediate_size=12_288,
        num_hidden_layers=36, num_key_value_heads=8, max_position_embeddings=40_960, rms_norm_eps=1e-6,
        rope_theta=1_000_000.0, bos_token_id=151_643, eos_token_ids=(151_645,),
    ),
    "mistral_7b": dataclasses.replace(  # version 0.3; Jiang et al. 2023, arXiv:2310.06825
        _LLAMA2_7B, model_type="mistral", vocab_size=32_768, intermediate_size=14_336,
        num_key_value_heads=8, max_position_embeddings=32_768, rope_theta=1_000_000.0,
    ),
}  # fmt: skip
HUB = {
    **{
        f"meta-llama/Llama-2-{size}{kind}-hf": f"llama2_{size}"
        for size in ("7b", "13b", "70b")
        for kind in ("", "-chat")
    },
    "meta-llama/Llama-3.1-8B": "llama3.1_8b",
    "meta-llama/Llama-3.1-8B-Instruct": "llama3.1_8b",
    "meta-llama/Meta-Llama-3.1-8B-Instruct": "llama3.1_8b",
    "Qwen/Qwen2.5-7B": "qwen2.5_7b",
    "Qwen/Qwen2.5-7B-Instruct": "qwen2.5_7b",
    "Qwen/Qwen3-8B": "qwen3_8b",
    "mistralai/Mistral-7B-v0.3": "mistral_7b",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistral_7b",
}


def architecture(path: str, shape: str = "") -> tuple[LlamaConfig, str]:
    """The architecture of ``base.path``, and where it is known from; ``shape`` of ``SHAPES`` goes before it.

    ``base.path`` may also name a config.json by itself. A shape may be written in other ways (Llama-3.1-8B). Never
    fetches anything: a hub id must be in the local cache or one of ``HUB``. Raises ``SycojaxError`` when it is neither.
    """
    if shape:
        found = {_letters(name): name for name in SHAPES}.get(_letters(shape))
        if found is None:
            raise SycojaxError(f"--shape={shape} is not known (known: {', '.join(SHAPES)})")
        return SHAPES[found], found
    path = located(path)
    if path.endswith(".json"):
        raw = read_json(Path(path))
        if not isinstance(raw, dict):
            raise SycojaxError(f"{path} is not a JSON object")
        return LlamaConfig.from_hf(raw, path), path
    if Path(path).exists():
        return load_config(path), path
    try:
        cached = huggingface_hub.try_to_load_from_cache(path, "config.json")
    except huggingface_hub.errors.HFValidationError:
        cached = None
    if not isinstance(cached, str) and path in HUB:
        return SHAPES[HUB[path]], path
    if not isinstance(cached, str):
        raise SycojaxError(
            f"base.path={path} is neither a directory, a GGUF file, a config.json nor a model whose config.json is in the hub's cache; plan "
            f"with --shape=NAME ({', '.join(SHAPES)}) or give a directory that holds config.json"
        )
    return load_config(Path(cached).parent), path


def _letters(name: str) -> str:
    """A name without what people write differently."""
    return re.sub(r"[\W_]", "", name.lower())
