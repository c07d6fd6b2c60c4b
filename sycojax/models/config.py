"""The architecture of a Llama, read from a Hugging Face ``config.json`` and nothing else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

from sycojax.errors import SycojaxError

# Attributes of a Hugging Face Llama config that do not change what the network computes at inference
# or LoRA training. Everything that is in neither this set nor `LlamaConfig.from_hf` is refused.
IGNORED_ATTRIBUTES = frozenset(
    {
        "_attn_implementation_autoset", "_name_or_path", "architectures", "bad_words_ids",
        "begin_suppress_tokens", "chunk_size_feed_forward", "cross_attention_hidden_size",
        "decoder_start_token_id", "diversity_penalty", "do_sample", "dtype", "early_stopping",
        "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "finetuning_task",
        "forced_bos_token_id", "forced_eos_token_id", "id2label", "initializer_range", "is_llama_config",
        "label2id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups",
        "num_beams", "num_return_sequences", "output_attentions", "output_hidden_states",
        "output_scores", "pad_token_id", "prefix", "pretraining_tp", "problem_type",
        "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate",
        "sep_token_id", "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss",
        "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
        "transformers.js_config", "transformers_version", "typical_p", "use_bfloat16", "use_cache", "unsloth_version",
        "unsloth_fixed",
    }
)  # fmt: skip


# The parameters of each type of rotary scaling, as config.json calls them.
ROPE_PARAMETERS = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Frequency scaling of the rotary embedding; ``kind`` is ``"linear"`` or ``"llama3"``."""

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192

    def __post_init__(self) -> None:
        if self.kind == "llama3" and self.high_freq_factor <= self.low_freq_factor:
            raise SycojaxError(
                f"rotary scaling: high_freq_factor={self.high_freq_factor} must exceed "
                f"low_freq_factor={self.low_freq_factor}"
            )

    @classmethod
    def from_hf(cls, raw: Mapping[str, Any], source: str) -> RopeScaling | None:
        """Read ``rope_scaling`` / ``rope_parameters``.

        Raises ``SycojaxError`` on an unknown type and on a parameter that the type does not have.
        """
        kind = raw.get("rope_type", raw.get("type", "default"))
        if kind not in ROPE_PARAMETERS:
            raise SycojaxError(
                f"{source}: rotary scaling type {kind!r} is not supported "
                f"(known: {', '.join(ROPE_PARAMETERS)})"
            )
        unknown = sorted(set(raw) - {"rope_type", "type", "rope_theta", *ROPE_PARAMETERS[kind]})
        if unknown:
            raise SycojaxError(
                f"{source}: rotary scaling {kind!r} has unknown parameters {', '.join(unknown)}"
            )
        if kind == "default":
            return None
        values = {name: _positive(raw, name, source) for name in ROPE_PARAMETERS[kind]}
        context = int(values.pop("original_max_position_embeddings", 8192))
        return cls(kind, **values, original_max_position_embeddings=context)


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """Shape and constants of one Llama. Sizes are counts of elements, not bytes."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    tie_word_embeddings: bool
    bos_token_id: int
    eos_token_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in (
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings",
            "rms_norm_eps", "rope_theta",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise SycojaxError(f"{name}={getattr(self, name)} must be positive")
        if self.num_attention_heads % self.num_key_value_heads:
            raise SycojaxError(
                f"num_attention_heads={self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads={self.num_key_value_heads}"
            )
        if self.head_dim % 2:
            raise SycojaxError(f"head_dim={self.head_dim} must be even for rotary embeddings")

    @property
    def base_parameter_count(self) -> int:
        """Number of parameters without adapters."""
        d, f = self.hidden_size, self.intermediate_size
        q, kv = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        layer = d * q * 2 + d * kv * 2 + 3 * d * f + 2 * d
        head = 0 if self.tie_word_embeddings else self.vocab_size * d
        return self.vocab_size * d + self.num_hidden_layers * layer + d + head

    @classmethod
    def from_hf(cls, raw: Mapping[str, Any], source: str = "config.json") -> LlamaConfig:
        """Build from the parsed ``config.json``.

        Accepts what transformers 4 (``rope_theta``, ``rope_scaling``) and 5 (``rope_parameters``) write.
        Raises ``SycojaxError`` naming the attribute when one is missing, has an unsupported value, or is
        not known: an attribute we do not know may change what the network computes.
        """
        attributes = dict(raw)

        def take(name: str, default: Any = ...) -> Any:
            value = attributes.pop(name, default)
            if value is ...:
                raise SycojaxError(f"{source}: attribute {name!r} is missing")
            return value

        def number(name: str, kind: type, default: Any = ...) -> Any:
            value = take(name, default)
            if not _finite(value) or kind(value) != value:
                raise SycojaxError(f"{source}: {name}={value!r} is not a valid {kind.__name__}")
            return kind(value)

        def require(name: str, *allowed: Any) -> None:
            value = attributes.pop(name, allowed[0])
            if value not in allowed:
                choices = " or ".join(map(repr, allowed))
                raise SycojaxError(f"{source}: {name}={value!r} is not supported (only {choices})")

        if take("model_type") != "llama":
            raise SycojaxError(
                f"{source}: model_type={raw['model_type']!r} is not supported (only 'llama', the architecture of Llama "
                "1 to 3.3 and of models built like them)"
            )
        if "auto_map" in attributes:
            raise SycojaxError(
                f"{source}: asks for code from the hub (auto_map); remote code is never run"
            )
        require("hidden_act", "silu")
        require("attention_bias", False)
        require("mlp_bias", False)
        require("attention_dropout", 0.0)  # would act on LoRA training
        require("quantization_config", None)
        require("pruned_heads", {}, None)
        require("is_decoder", False, True)
        require("is_encoder_decoder", False)
        require("add_cross_attention", False)
        require("rope_interleaved", False)
        require("attn_implementation", None, "eager", "sdpa", "flash_attention_2")
        heads = number("num_attention_heads", int)
        hidden = number("hidden_size", int)
        if attributes.get("head_dim") is None:
            attributes.pop("head_dim", None)
            if heads <= 0 or hidden % heads:
                raise SycojaxError(
                    f"{source}: hidden_size={hidden} is not a multiple of "
                    f"num_attention_heads={heads}, and head_dim is not given"
                )
        if attributes.get("num_key_value_heads") is None:
            attributes.pop("num_key_value_heads", None)
        rope_theta, rope_scaling = _rotary(attributes, source)
        tied = take("tie_word_embeddings", False)
        if not isinstance(tied, bool):
            raise SycojaxError(f"{source}: tie_word_embeddings={tied!r} is neither true nor false")
        bos, eos = number("bos_token_id", int, 1), take("eos_token_id", 2)
        ends = tuple(eos) if isinstance(eos, list | tuple) else (eos,)
        if not all(type(end) is int for end in (bos, *ends)):
            raise SycojaxError(
                f"{source}: eos_token_id={eos!r} is not a token id or a list of them"
            )
        config = cls(
            vocab_size=number("vocab_size", int),
            hidden_size=hidden,
            intermediate_size=number("intermediate_size", int),
            num_hidden_layers=number("num_hidden_layers", int),
            num_attention_heads=heads,
            num_key_value_heads=number("num_key_value_heads", int, heads),
            head_dim=number("head_dim", int, hidden // heads),
            max_position_embeddings=number("max_position_embeddings", int, 2048),
            rms_norm_eps=number("rms_norm_eps", float, 1e-6),
            rope_theta=rope_theta,
            rope_scaling=rope_scaling,
            tie_word_embeddings=tied,
            bos_token_id=bos,
            eos_token_ids=ends,
        )
        unknown = sorted(set(attributes) - IGNORED_ATTRIBUTES)
        if unknown:
            raise SycojaxError(
                f"{source}: unknown attributes {', '.join(unknown)}: they may change what the model "
                "computes, so this checkpoint is refused"
            )
        return config

    def to_hf(self) -> dict[str, Any]:
        """The ``config.json`` that ``from_hf`` reads back, readable by transformers 4 and 5."""
        rotary: dict[str, Any] = {"rope_type": "default"}
        if self.rope_scaling is not None:
            kind = self.rope_scaling.kind
            values = {name: getattr(self.rope_scaling, name) for name in ROPE_PARAMETERS[kind]}
            rotary = {"rope_type": kind, **values}
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": None if self.rope_scaling is None else rotary,
            "rope_parameters": {**rotary, "rope_theta": self.rope_theta},
            "tie_word_embeddings": self.tie_word_embeddings,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": (
                self.eos_token_ids[0] if len(self.eos_token_ids) == 1 else list(self.eos_token_ids)
            ),
        }


def _rotary(attributes: dict[str, Any], source: str) -> tuple[float, RopeScaling | None]:
    """Take theta and scaling out of ``attributes``.

    transformers 4 writes rope_theta and rope_scaling, transformers 5 rope_parameters; a file made for both
    holds the same numbers twice, and must hold the same ones.
    """
    parameters = attributes.pop("rope_parameters", None) or {}
    scaling = attributes.pop("rope_scaling", None) or {}
    top = {"rope_theta": attributes.pop("rope_theta", None)}
    for name, value in (("rope_parameters", parameters), ("rope_scaling", scaling)):
        if not isinstance(value, Mapping):
            raise SycojaxError(f"{source}: {name}={value!r} is not a JSON object")
    given = [d["rope_theta"] for d in (parameters, scaling, top) if d.get("rope_theta") is not None]
    theta = given[0] if given else 10_000.0
    if not _finite(theta) or any(other != theta for other in given):
        raise SycojaxError(f"{source}: rope_theta must be one number, got {given}")
    if parameters and scaling:
        both = [RopeScaling.from_hf(d, source) for d in (parameters, scaling)]
        if both[0] != both[1]:
            raise SycojaxError(f"{source}: rope_parameters and rope_scaling contradict each other")
    return float(theta), RopeScaling.from_hf(parameters or scaling, source)


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive(raw: Mapping[str, Any], name: str, source: str) -> float:
    value = raw.get(name)
    if not _finite(value) or value <= 0:
        raise SycojaxError(f"{source}: rotary scaling needs a positive {name!r}, got {value!r}")
    return float(value)
