"""Tiny random Llamas that JAX and torch build bit-identically, and the inputs that the comparisons share.

Everything is drawn by ``numpy.random.RandomState``, whose streams are frozen, from a seed that is the
checksum of the name: no weight depends on the order in which they are made.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from sycojax.models.config import LlamaConfig, RopeScaling

MHA = LlamaConfig(
    vocab_size=512,
    hidden_size=64,
    intermediate_size=176,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=16,
    max_position_embeddings=4096,
    rms_norm_eps=1e-5,  # Llama 2
    rope_theta=10_000.0,
    rope_scaling=None,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_ids=(2,),
)
GQA = dataclasses.replace(MHA, num_key_value_heads=2)
TIED = dataclasses.replace(
    GQA,
    rms_norm_eps=1e-6,
    rope_theta=500_000.0,
    max_position_embeddings=2048,
    tie_word_embeddings=True,
)
# As Llama 3.1, but with a context so short that all three bands of frequencies occur in a head of 16.
LLAMA3 = dataclasses.replace(
    GQA, rope_theta=500_000.0, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 64)
)
LINEAR = dataclasses.replace(MHA, rope_scaling=RopeScaling("linear", 2.0))
# The families that differ from a Llama by data, each with something else that real ones have: few layers, so that
# training and scoring them is quick.
_SMALL = dataclasses.replace(GQA, num_hidden_layers=2, vocab_size=112)
FAMILIES = {
    # A window that no text of the tests is longer than, and heads that are wider together than the model.
    "mistral": dataclasses.replace(
        _SMALL, model_type="mistral", head_dim=24, sliding_window=128
    ),
    "qwen2": dataclasses.replace(
        _SMALL, model_type="qwen2", qkv_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-6
    ),
    "qwen3": dataclasses.replace(
        _SMALL, model_type="qwen3", qk_norm=True, head_dim=32, rms_norm_eps=1e-6, rope_theta=1e6
    ),
    "qwen3-tied": dataclasses.replace(
        _SMALL, model_type="qwen3", qk_norm=True, qkv_bias=True, o_bias=True, tie_word_embeddings=True
    ),
    "biased": dataclasses.replace(
        _SMALL, num_key_value_heads=4, qkv_bias=True, o_bias=True, mlp_bias=True,
        rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 64),
    ),
}  # fmt: skip
CONFIGS = {"mha": MHA, "gqa": GQA, "tied": TIED, "llama3": LLAMA3, "linear": LINEAR}

# The recipe of the 20 training steps.
RANK, ALPHA, STEPS, WARMUP, LEARNING_RATE, WEIGHT_DECAY = 16, 32, 20, 4, 2e-4, 0.01


def draw(name: str, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Normal numbers of standard deviation ``scale``, float32, a function of the name and the shape."""
    state = np.random.RandomState(zlib.crc32(name.encode()))
    return (state.standard_normal(shape) * scale).astype(np.float32)


def tensors(config: LlamaConfig) -> dict[str, np.ndarray]:
    """Weights by checkpoint name, [out, in]. Norm weights differ from 1, so that none can be left out."""
    c, d = config, config.hidden_size
    q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    shapes = {"model.embed_tokens": (c.vocab_size, d), "model.norm": (d,)}
    if not c.tie_word_embeddings:
        shapes["lm_head"] = (c.vocab_size, d)
    for i in range(c.num_hidden_layers):
        for module, shape in {
            "input_layernorm": (d,),
            "post_attention_layernorm": (d,),
            "self_attn.q_proj": (q, d),
            "self_attn.k_proj": (kv, d),
            "self_attn.v_proj": (kv, d),
            "self_attn.o_proj": (d, q),
            "mlp.gate_proj": (c.intermediate_size, d),
            "mlp.up_proj": (c.intermediate_size, d),
            "mlp.down_proj": (d, c.intermediate_size),
        }.items():
            shapes[f"model.layers.{i}.{module}"] = shape
    weights = {}
    for name, (size, mean) in _vectors(c).items():
        weights[name] = mean + draw(name, (size,), 0.2)
    for module, shape in shapes.items():
        if len(shape) == 1:
            weights[f"{module}.weight"] = 1 + draw(module, shape, 0.1)
        else:
            scale = 0.3 if module in ("lm_head", "model.embed_tokens") else shape[1] ** -0.5
            weights[f"{module}.weight"] = draw(module, shape, scale)
    return weights


def _vectors(c: LlamaConfig) -> dict[str, tuple[int, float]]:
    """Size and mean of the biases, and of the norms of queries and keys, by checkpoint name."""
    q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    own: dict[str, tuple[int, float]] = {}
    if c.qkv_bias:
        own |= {
            f"self_attn.{name}_proj.bias": (n, 0) for name, n in (("q", q), ("k", kv), ("v", kv))
        }
    if c.o_bias:
        own["self_attn.o_proj.bias"] = (c.hidden_size, 0)
    if c.mlp_bias:
        own |= {f"mlp.{name}_proj.bias": (c.intermediate_size, 0) for name in ("gate", "up")}
        own["mlp.down_proj.bias"] = (c.hidden_size, 0)
    if c.qk_norm:
        own |= {f"self_attn.{name}_norm.weight": (c.head_dim, 1) for name in "qk"}
    layers = range(c.num_hidden_layers)
    return {f"model.layers.{i}.{name}": said for i in layers for name, said in own.items()}


def write(directory: Path, config: LlamaConfig, shards: int = 2, dtype: str = "float32") -> Path:
    """A checkpoint directory in Hugging Face layout: one file, or shards with an index."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config.to_hf()))
    weights = {name: w.astype(dtype) for name, w in tensors(config).items()}
    names = sorted(weights)
    if shards == 1:
        safetensors.numpy.save_file(
            weights, directory / "model.safetensors", metadata={"format": "pt"}
        )
        return directory
    index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())}, "weight_map": {}}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: weights[name] for name in names[shard::shards]}
        safetensors.numpy.save_file(part, directory / file, metadata={"format": "pt"})
        index["weight_map"].update(dict.fromkeys(part, file))
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def prompts(config: LlamaConfig) -> list[np.ndarray]:
    """Two token sequences, long enough for rotary angles of several turns."""
    state = np.random.RandomState(7)
    return [state.randint(3, config.vocab_size, size=n).astype(np.int32) for n in (96, 33)]


def adapter(config: LlamaConfig, rank: int = RANK, b_scale: float = 0.0) -> dict[str, np.ndarray]:
    """An adapter on all projections in PEFT's names: A uniform as PEFT draws it, B normal or zero."""
    out = {}
    for name, weight in tensors(config).items():
        if not name.endswith("_proj.weight"):
            continue
        key = f"base_model.model.{name.removesuffix('.weight')}"
        fan_out, fan_in = weight.shape
        state = np.random.RandomState(zlib.crc32(key.encode()))
        a = state.uniform(-1, 1, size=(rank, fan_in)) / np.sqrt(fan_in)
        out[f"{key}.lora_A.weight"] = a.astype(np.float32)
        out[f"{key}.lora_B.weight"] = draw(f"{key}.B", (fan_out, rank), b_scale)
    return out


def write_adapter(
    directory: Path, config: LlamaConfig, targets: Sequence[str], rank: int, b_scale: float, **settings: Any
) -> Path:  # fmt: skip
    """``adapter`` on ``targets`` alone as PEFT saves it; ``settings`` are those of adapter_config.json."""
    directory.mkdir(parents=True, exist_ok=True)
    whole = {"peft_type": "LORA", "r": rank, "target_modules": list(targets), **settings}
    (directory / "adapter_config.json").write_text(json.dumps(whole))
    values = adapter(config, rank, b_scale).items()
    kept = {name: value for name, value in values if name.split(".")[-3] in targets}
    file = directory / "adapter_model.safetensors"
    safetensors.numpy.save_file(kept, file, metadata={"format": "pt"})
    return directory


@dataclasses.dataclass(frozen=True)
class Text:
    """One training example: the loss counts the tokens from ``start`` on."""

    token_ids: np.ndarray
    start: int


def training_batches(config: LlamaConfig) -> list[list[Text]]:
    """Four examples of different length for each of the 20 steps; completions of 1 to 12 tokens."""
    state = np.random.RandomState(11)
    batches = []
    for _ in range(STEPS):
        batch = []
        for _ in range(4):
            length, completion = state.randint(14, 40), state.randint(1, 13)
            ids = state.randint(3, config.vocab_size, size=length).astype(np.int32)
            batch.append(Text(ids, length - completion))
        batches.append(batch)
    return batches


def digest(name: str, value: np.ndarray) -> np.ndarray:
    """Three numbers of a tensor: its norm and two projections on fixed directions (float64).

    They change when any entry does, so the golden file need not hold whole tensors.
    """
    flat = value.astype(np.float64).ravel()
    state = np.random.RandomState(zlib.crc32(name.encode()) ^ 1)
    directions = state.standard_normal((2, flat.size))
    return np.concatenate([[np.linalg.norm(flat)], directions @ flat])
