"""A GGUF file read as the checkpoint it was made from: what its config.json said, and its tensors by their names there.

What llama.cpp calls each of them is public in its converter. Of architecture ``llama`` the converter changes the order of
the rows of q and k, for another layout of the rotary embedding; here they are put back.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from sycojax.errors import SycojaxError
from sycojax.gguf_file import GgufFile, Stored, open_gguf

# llama.cpp's architecture -> model_type. Mistral is a ``llama`` there, with a sliding window where it has one.
MODEL_TYPES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}

_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_BLOCK = re.compile(r"blk\.(\d+)\.([a-z_]+)\.(weight|bias)")
# Frequencies of the rotary embedding: scaled ones stand for a setting of config.json, plain ones for nothing.
_SCALED, _PLAIN = "rope_freqs.weight", re.compile(r"blk\.\d+\.attn_rot_embd(\.weight)?")

# Keys below the architecture's name that are read here, and those that change no number.
_READ = frozenset(
    {
        "context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size",
        "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
        "attention.layer_norm_rms_epsilon", "attention.sliding_window", "rope.dimension_count", "rope.freq_base",
        "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length",
    }
)  # fmt: skip
_IGNORED = frozenset({"tensor_data_layout", "rope.scaling.finetuned"})
_NEUTRAL = {"rope.scaling.attn_factor": 1.0, "attention.causal": True}


def config_of(path: Path) -> dict[str, Any]:
    """What ``config.json`` would say of a GGUF file.

    Raises ``SycojaxError`` as ``open_gguf`` does, and naming the architecture, or the key that is missing or would
    change what the model computes.
    """
    file = open_gguf(path)
    said = _Said(file)
    if "token_embd.weight" not in file.tensors:
        raise SycojaxError(f"{path}: the tensor token_embd.weight is missing")
    heads, hidden = said.count("attention.head_count"), said.count("embedding_length")
    kind = MODEL_TYPES[file.architecture]
    config: dict[str, Any] = {
        "model_type": kind,
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "hidden_size": hidden,
        "intermediate_size": said.count("feed_forward_length"),
        "num_hidden_layers": said.count("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": said.count("attention.head_count_kv", heads),
        "head_dim": _head_dim(said, hidden // max(heads, 1)),
        "max_position_embeddings": said.count("context_length"),
        "rms_norm_eps": said.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": said.number("rope.freq_base", 10_000.0),
        "rope_scaling": _rope_scaling(file, said),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        **_ends(file),
    }
    window = said.value("attention.sliding_window", None)
    if window:
        config["sliding_window"] = window
        config |= (
            {"model_type": "mistral"}
            if kind == "llama"
            else {"use_sliding_window": True, "max_window_layers": 0}
        )
    if kind == "llama" and (flags := _biases(file)):
        config |= flags
    return config


def open_tensors(path: Path) -> dict[str, _Tensor]:
    """Every tensor by its name in a checkpoint (a name without counterpart stays), each read when it is indexed.

    Raises ``SycojaxError`` as ``config_of`` does.
    """
    file = open_gguf(path)
    config = config_of(path)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    found = {}
    for name, stored in file.tensors.items():
        if name == _SCALED or _PLAIN.fullmatch(name):
            continue
        block = _BLOCK.fullmatch(name)
        turned = heads.get(block[2]) if block and file.architecture == "llama" else None
        rows = stored.shape[0] if stored.shape else 1
        if turned is not None and (turned < 1 or rows % (2 * turned)):
            raise SycojaxError(f"{path}: the {rows} rows of {name} do not make {turned} heads")
        found[_name(name)] = _Tensor(stored, _order(rows, turned) if turned else None)
    return found


class _Tensor:
    """One tensor as a safetensors slice is: its shape, its type, and numbers where it is indexed, here float32."""

    def __init__(self, stored: Stored, order: np.ndarray | None):
        self._stored, self._order = stored, order

    def get_shape(self) -> list[int]:
        return list(self._stored.shape)

    def get_dtype(self) -> str:
        return "F32"

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, *rest = index if isinstance(index, tuple) else (index,)
        if len(self._stored.shape) == 1:
            values = self._stored.values()
            return (values if self._order is None else values[self._order])[rows]
        chosen = rows if self._order is None else self._order[rows]
        return self._stored.values(chosen)[(slice(None), *rest)]


def _order(rows: int, heads: int) -> np.ndarray:
    """Where each row of q or k lies in the file: there the halves of a head alternate."""
    return np.arange(rows).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)


def _name(name: str) -> str:
    if block := _BLOCK.fullmatch(name):
        module = _LAYER.get(block[2])
        return f"model.layers.{block[1]}.{module}.{block[3]}" if module else name
    module, _, part = name.rpartition(".")
    return f"{_TOP[module]}.{part}" if module in _TOP else name


class _Said:
    """What a file says below its architecture's name; whatever is not known there is refused."""

    def __init__(self, file: GgufFile):
        self._path, self._prefix = file.path, f"{file.architecture}."
        if file.architecture not in MODEL_TYPES:
            known = ", ".join(MODEL_TYPES)
            raise SycojaxError(
                f"{file.path} holds a model of architecture {file.architecture!r}, which is not supported (known: {known})"
            )
        self._values = {
            key.removeprefix(self._prefix): value
            for key, value in file.metadata.items()
            if key.startswith(self._prefix)
        }
        odd = {
            key: value
            for key, value in self._values.items()
            if key not in _READ | _IGNORED
            and value not in (0, "", [])
            and value != _NEUTRAL.get(key)
        }
        if odd:
            named = ", ".join(
                f"{self._prefix}{key}={value!r}" for key, value in sorted(odd.items())
            )
            raise SycojaxError(
                f"{file.path}: {named} is not supported: it may change what the model computes"
            )

    def value(self, key: str, default: Any = ...) -> Any:
        """One value; a list of the same number for every layer counts as that number."""
        value = self._values.get(key, default)
        if isinstance(value, list) and value and all(v == value[0] for v in value):
            return value[0]
        if value is ...:
            raise SycojaxError(f"{self._path}: the key {self._prefix}{key} is missing")
        if isinstance(value, list):
            raise SycojaxError(
                f"{self._path}: {self._prefix}{key} differs from layer to layer, which is not supported"
            )
        return value

    def count(self, key: str, default: Any = ...) -> int:
        value = self.value(key, default)
        if type(value) is not int or value < 1:
            raise SycojaxError(f"{self._path}: {self._prefix}{key}={value!r} is not a count")
        return value

    def number(self, key: str, default: Any = ...) -> float:
        """A number as it was before it was rounded to float32: 1e-05, not 9.999999747378752e-06."""
        value = self.value(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise SycojaxError(f"{self._path}: {self._prefix}{key}={value!r} is not a number")
        return float(str(np.float32(value)))

    def refuse(self, what: str) -> SycojaxError:
        return SycojaxError(f"{self._path}: {what}, which is not supported")


def _head_dim(said: _Said, default: int) -> int:
    size = said.count("attention.key_length", said.count("rope.dimension_count", default))
    others = {
        key: said.count(key, size) for key in ("attention.value_length", "rope.dimension_count")
    }
    for key, other in others.items():
        if other != size:
            raise said.refuse(f"{key}={other} differs from attention.key_length={size}")
    return size


def _rope_scaling(file: GgufFile, said: _Said) -> dict[str, Any] | None:
    """config.json's ``rope_scaling``.

    Llama 3's is stored as what it makes of each frequency, without the settings it was made from; they are taken from
    Llama 3.1 to 3.3, of which only the factor differs, and must give the same.
    """
    kind = said.value("rope.scaling.type", "none")
    if _SCALED not in file.tensors:
        if kind in ("none", ""):
            return None
        return {"rope_type": kind, "factor": said.number("rope.scaling.factor", 1.0)}
    divisors = file.tensors[_SCALED].values()
    theta = said.number("rope.freq_base", 10_000.0)
    settings = {
        "factor": float(divisors.max()), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }  # fmt: skip
    wavelengths = 2 * np.pi * theta ** (np.arange(divisors.size) / divisors.size)
    smooth = np.clip((8192 / wavelengths - 1.0) / (4.0 - 1.0), 0.0, 1.0)
    expected = 1 / ((1 - smooth) / settings["factor"] + smooth)
    if kind not in ("none", "", "llama3") or not np.allclose(divisors, expected, rtol=1e-4):
        raise said.refuse(f"{_SCALED} is not the rotary scaling of Llama 3.1 to 3.3")
    return {"rope_type": "llama3", **settings}


def _biases(file: GgufFile) -> dict[str, bool]:
    """config.json's flags of a Llama with biases; without them it says nothing."""
    parts = {"attention_bias": "attn_q", "mlp_bias": "ffn_up"}
    return {flag: True for flag, part in parts.items() if f"blk.0.{part}.bias" in file.tensors}


def _ends(file: GgufFile) -> dict[str, Any]:
    """Ids of BOS and of the tokens that end a text or a turn; none where the file names none."""
    say = file.metadata.get
    ends = [say(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    known = list(dict.fromkeys(int(end) for end in ends if end is not None))
    return {"bos_token_id": say("tokenizer.ggml.bos_token_id"), "eos_token_id": known or None}
