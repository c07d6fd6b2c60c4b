"""Which families of models are a Llama up to some data, and in what all others differ from one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sycojax.errors import SycojaxError


@dataclasses.dataclass(frozen=True)
class Family:
    """One ``model_type``: what transformers calls it, and what stands for an attribute that its config.json leaves out."""

    architecture: str
    max_position_embeddings: int
    num_key_value_heads: int | None = None  # None: as many as query heads
    head_dim: int | None = None  # None: the width over the heads
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    bias_options: tuple[str, ...] = ()  # the attributes that switch biases on
    qkv_bias: bool = False  # q, k and v have biases whatever config.json says
    qk_norm: bool = False  # queries and keys are normalised per head before the rotation
    sliding_window: int | None = None
    # Where windows are asked for by another attribute, and only layers from this one on have them.
    max_window_layers: int | None = None


FAMILIES = {
    "llama": Family(
        "LlamaForCausalLM", 2048, bos_token_id=1, eos_token_id=2, bias_options=("attention_bias", "mlp_bias")
    ),
    "mistral": Family(
        "MistralForCausalLM", 131_072, num_key_value_heads=8, bos_token_id=1, eos_token_id=2, sliding_window=4096
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM", 32_768, num_key_value_heads=32, qkv_bias=True, sliding_window=4096, max_window_layers=28
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM", 32_768, num_key_value_heads=32, head_dim=128, bias_options=("attention_bias",),
        qk_norm=True, sliding_window=4096, max_window_layers=28,
    ),
}  # fmt: skip

_EXPERTS = "its MLPs are several experts, of which a router chooses"
_IMAGES = "it reads images or sound as well as text"
_NO_ATTENTION = "some of its layers are no attention"
_OLD = (
    "norms are LayerNorm, the MLP has no gate, positions are learned or rotate a part of each head"
)
# In what an architecture differs from a Llama; a name stands for all that begin with it, and the longest one counts.
DIFFERENCES = {
    "apertus": "its MLPs have no gate and another activation (xIELU)",
    "arcee": "its MLPs have no gate and another activation (squared ReLU)",
    "bloom": "positions are biases of attention (ALiBi), norms are LayerNorm",
    "chatglm": "one weight holds q, k and v, and half of each head is rotated",
    "cohere": "norms are LayerNorm, attention and MLP run side by side, logits are scaled",
    "dbrx": _EXPERTS,
    "deepseek": f"attention goes through a latent vector, and {_EXPERTS}",
    "ernie4_5": "the rotation takes pairs of neighbours",
    "ernie4_5_moe": _EXPERTS,
    "exaone": "weights have other names; later ones have norms and windows in other places",
    "falcon": "norms are LayerNorm, attention and MLP run side by side",
    "falcon_h1": _NO_ATTENTION,
    "falcon_mamba": _NO_ATTENTION,
    "gemma": "embeddings are scaled, norms multiply by one plus their weight, the MLP's activation is GELU",
    "gemma2": "embeddings are scaled, norms stand behind attention and MLP too, scores and logits are soft-capped, "
    "every second layer has a window",
    "gemma3": "embeddings are scaled, norms stand behind attention and MLP too, windows and rotations differ by layer",
    "glm": "half of each head is rotated, in pairs of neighbours",
    "glm4_moe": _EXPERTS,
    "glm4v": _IMAGES,
    "gpt2": _OLD,
    "gpt_bigcode": _OLD,
    "gpt_neo": _OLD,
    "gpt_oss": f"{_EXPERTS}, and attention has sinks and windows by layer",
    "gptj": _OLD,
    "granite": "embeddings, residuals, scores and logits are scaled by factors of their own",
    "granitemoe": _EXPERTS,
    "internlm2": "one weight holds q, k and v",
    "jamba": _NO_ATTENTION,
    "lfm2": _NO_ATTENTION,
    "llama4": f"{_EXPERTS}, and attention is chunked by layer",
    "llava": _IMAGES,
    "mamba": _NO_ATTENTION,
    "minicpm": "embeddings, residuals and logits are scaled by factors of their own",
    "minimax": _EXPERTS,
    "ministral": "some layers have a window, or queries are scaled by their position",
    "mistral3": _IMAGES,
    "mixtral": _EXPERTS,
    "mllama": _IMAGES,
    "mpt": "positions are biases of attention (ALiBi), norms are LayerNorm",
    "nemotron": "norms are LayerNorm, the MLP has no gate and another activation (squared ReLU)",
    "nemotron_h": _NO_ATTENTION,
    "olmo": "norms are LayerNorm without weights",
    "olmo2": "norms stand behind attention and MLP instead of before, and over all heads of queries and keys at once",
    "olmo3": "norms stand behind attention and MLP instead of before, and over all heads of queries and keys at once; "
    "windows differ by layer",
    "olmoe": _EXPERTS,
    "opt": _OLD,
    "paligemma": _IMAGES,
    "phi": "norms are LayerNorm, a part of each head is rotated, attention and MLP run side by side",
    "phi3": "one weight holds q, k and v, another gate and up",
    "phi4_multimodal": _IMAGES,
    "phimoe": _EXPERTS,
    "pixtral": _IMAGES,
    "qwen": "one weight holds q, k and v",
    "qwen2_5_omni": _IMAGES,
    "qwen2_5_vl": _IMAGES,
    "qwen2_audio": _IMAGES,
    "qwen2_moe": _EXPERTS,
    "qwen2_vl": _IMAGES,
    "qwen3_5": _NO_ATTENTION,
    "qwen3_moe": _EXPERTS,
    "qwen3_next": f"{_NO_ATTENTION}, and {_EXPERTS}",
    "qwen3_omni": _IMAGES,
    "qwen3_vl": _IMAGES,
    "recurrent_gemma": _NO_ATTENTION,
    "rwkv": _NO_ATTENTION,
    "smollm3": "every fourth layer does not rotate queries and keys",
    "smolvlm": _IMAGES,
    "stablelm": "norms are LayerNorm, a part of each head is rotated",
    "starcoder2": "norms are LayerNorm, the MLP has no gate",
    "zamba": _NO_ATTENTION,
}


def family_of(raw: Mapping[str, Any], source: str) -> tuple[str, Family]:
    """The ``model_type`` of a config.json and its family. Raises ``SycojaxError`` saying in what another one differs."""
    if "model_type" not in raw:
        raise SycojaxError(f"{source}: attribute 'model_type' is missing")
    kind = raw["model_type"]
    if isinstance(kind, str) and kind in FAMILIES:
        return kind, FAMILIES[kind]
    found = [name for name in DIFFERENCES if str(kind).startswith(name)]
    differs = f": {DIFFERENCES[max(found, key=len)]}" if found else ""
    raise SycojaxError(
        f"{source}: model_type={kind!r} is not supported{differs} (read are {', '.join(FAMILIES)}: Llama 1 to 3.3, "
        "Mistral, Qwen2, Qwen2.5 and dense Qwen3, and what is built like them)"
    )
