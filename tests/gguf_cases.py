"""GGUF files of tiny models, written by the ``gguf`` package as llama.cpp's converter writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import tiny_models as tiny
from gguf import GGMLQuantizationType as Kind

from sycojax.models.config import LlamaConfig

# Grouped heads of 64 and rows of a whole super-block of 256, which the K types need.
GROUPED = LlamaConfig(
    vocab_size=320, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, head_dim=64, max_position_embeddings=512,
    rms_norm_eps=1e-5, rope_theta=10_000.0, rope_scaling=None, tie_word_embeddings=False,
    bos_token_id=1, eos_token_ids=(2,),
)  # fmt: skip
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
# Blocks that the package reads and does not write: random bits with scales of a usual size, and where the scales lie.
SCALES = {Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}


def write(
    path: Path,
    config: LlamaConfig,
    weights: Mapping[str, np.ndarray],
    kind: Kind | Mapping[str, Kind] = Kind.F32,
    architecture: str = "llama",
    tokenizer: Path | None = None,
    **metadata: Any,
) -> Path:
    """A file with ``weights`` (by Hugging Face names), matrices in blocks of ``kind`` (by module, or all alike)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if architecture == "qwen3":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if tokenizer is None:
        add_letters(writer, config)
    else:
        add_tokenizer(writer, tokenizer, config.vocab_size)
    for key, value in metadata.items():
        full = key.replace("__", ".").replace("ARCH", architecture)
        add = {
            bool: writer.add_bool,
            int: writer.add_uint32,
            float: writer.add_float32,
            str: writer.add_string,
        }
        (writer.add_array if isinstance(value, list) else add[type(value)])(full, value)
    for name, value in weights.items():
        add_tensor(writer, config, name, value, kind, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tensor(
    writer: gguf.GGUFWriter, config: LlamaConfig, name: str, value: np.ndarray,
    kind: Kind | Mapping[str, Kind], architecture: str,
) -> None:  # fmt: skip
    if name not in ("rope_freqs.weight",):
        parts = name.split(".")
        module = ".".join(parts[3:-1] if parts[1] == "layers" else parts[:-1])
        name = f"{NAMES[module]}.{parts[-1]}"
        if parts[1] == "layers":
            name = f"blk.{parts[2]}.{name}"
        heads = {
            "self_attn.q_proj": config.num_attention_heads,
            "self_attn.k_proj": config.num_key_value_heads,
        }
        if architecture == "llama" and module in heads:
            value = permuted(value, heads[module])
        if value.ndim == 2:
            chosen = kind.get(module, Kind.F32) if isinstance(kind, Mapping) else kind
            writer.add_tensor(name, blocks(name, value, chosen), raw_dtype=chosen)
            return
    writer.add_tensor(name, value.astype(np.float32))


def permuted(value: np.ndarray, heads: int) -> np.ndarray:
    """Rows as llama.cpp orders those of q and k."""
    halves = value.reshape(heads, 2, value.shape[0] // heads // 2, *value.shape[1:])
    return halves.swapaxes(1, 2).reshape(value.shape)


def blocks(name: str, value: np.ndarray, kind: Kind) -> np.ndarray:
    if kind not in SCALES:
        return np.ascontiguousarray(gguf.quantize(value.astype(np.float32), kind))
    shape = gguf.quant_shape_to_byte_shape(value.shape, kind)
    random = np.random.RandomState(len(name)).randint(0, 256, shape, np.uint8)
    size = gguf.GGML_QUANT_SIZES[kind][1]
    scale = np.frombuffer(np.float16(0.002).tobytes(), np.uint8)
    for at in SCALES[kind]:
        view = random.reshape(-1, size)
        view[:, at : at + 2] = scale
    return random


def add_letters(writer: gguf.GGUFWriter, config: LlamaConfig) -> None:
    """A SentencePiece vocabulary of single letters."""
    texts = ["<unk>", "<s>", "</s>", "▁"]
    texts += [chr(i) for i in range(33, 127)] + [f"[{i}]" for i in range(config.vocab_size)]
    texts = texts[: config.vocab_size]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores([-float(i) for i in range(len(texts))])
    writer.add_token_types([2, 3, 3] + [1] * (len(texts) - 3))
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_ids[0])


def add_tokenizer(
    writer: gguf.GGUFWriter, directory: Path, rows: int, pre: str = "", texts: Sequence[str] = ()
) -> None:
    """A byte-level tokenizer.json as llama.cpp's converter writes it; rows without a token are unused ones."""
    file = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    config = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    names = {i: t for t, i in file["model"]["vocab"].items()}
    kinds = dict.fromkeys(names, 1)
    for token in file["added_tokens"]:
        names[token["id"]] = token["content"]
        kinds[token["id"]] = 3 if token["special"] else 4
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre or config["pre"])
    writer.add_token_list([names.get(i, f"[PAD{i}]") for i in range(max(rows, max(names) + 1))])
    writer.add_token_types([kinds.get(i, 5) for i in range(max(rows, max(names) + 1))])
    merges = file["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    ids = {t: i for i, t in names.items()}
    for role, add in (
        ("bos_token", writer.add_bos_token_id),
        ("eos_token", writer.add_eos_token_id),
    ):
        if config.get(role) is not None:
            add(ids[config[role]])
    if "add_bos_token" in config:
        writer.add_add_bos_token(config["add_bos_token"])
    if "chat_template" in config:
        writer.add_chat_template(config["chat_template"])


def tiny_weights(config: LlamaConfig = GROUPED) -> dict[str, np.ndarray]:
    return tiny.tensors(config)
