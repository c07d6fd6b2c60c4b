"""The architecture of a Llama, read from a Hugging Face ``config.json`` and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from sycojax.errors import SycojaxError

# Attributes of a Hugging Face Llama config that do not change what the network computes at inference
# or LoRA training. Everything that is in neither this set nor `LlamaConfig.from_hf` is refused.
IGNORED_ATTRIBUTES = frozenset(
    {
        "_name_or_path", "architectures", "attention_dropout", "bad_words_ids",
        "begin_suppress_tokens", "chunk_size_feed_forward", "cross_attention_hidden_size",
        "decoder_start_token_id", "diversity_penalty", "do_sample", "dtype", "early_stopping",
        "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "finetuning_task",
        "forced_bos_token_id", "forced_eos_token_id", "id2label", "initializer_range", "label2id",
        "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups",
        "num_beams", "num_return_sequences", "output_attentions", "output_hidden_states",
        "output_scores", "pad_token_id", "prefix", "pretraining_tp", "problem_type",
        "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate",
        "sep_token_id", "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss",
        "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
        "transformers_version", "typical_p", "use_bfloat16", "use_cache", "pruned_heads",
        "is_decoder", "is_encoder_decoder", "add_cross_attention", "unsloth_version", "unsloth_fixed",
    }
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Frequency scaling of the rotary embedding; ``kind`` is ``"linear"`` or ``"llama3"``."""

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192

    @classmethod
    def from_hf(cls, raw: Mapping[str, Any], source: str) -> RopeScaling | None:
        """Read ``rope_scaling`` / ``rope_parameters``. Raises ``SycojaxError`` on an unknown type."""
        kind = raw.get("rope_type", raw.get("type", "default"))
        if kind == "default":
            return None
        if kind == "linear":
            return cls("linear", _positive(raw, "factor", source))
        if kind == "llama3":
            return cls(
                "llama3",
                _positive(raw, "factor", source),
                _positive(raw, "low_freq_factor", source),
                _positive(raw, "high_freq_factor", source),
                int(_positive(raw, "original_max_position_embeddings", source)),
            )
        raise SycojaxError(
            f"{source}: rotary scaling type {kind!r} is not supported (known: default, linear, llama3)"
        )


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

        def require(name: str, allowed: tuple[Any, ...]) -> None:
            value = attributes.pop(name, allowed[0])
            if value not in allowed:
                raise SycojaxError(f"{source}: {name}={value!r} is not supported (only {allowed})")

        require("model_type", ("llama",))
        require("hidden_act", ("silu",))
        require("attention_bias", (False,))
        require("mlp_bias", (False,))
        require("quantization_config", (None,))
        require("attn_implementation", (None, "eager", "sdpa", "flash_attention_2"))
        if "auto_map" in attributes:
            raise SycojaxError(
                f"{source}: asks for code from the hub (auto_map); remote code is never run"
            )
        heads = int(take("num_attention_heads"))
        hidden = int(take("hidden_size"))
        parameters = attributes.pop("rope_parameters", None) or {}
        scaling = attributes.pop("rope_scaling", None) or {}
        theta = parameters.get("rope_theta", attributes.pop("rope_theta", 10_000.0))
        attributes.pop("rope_theta", None)
        head_dim = take("head_dim", None)
        kv_heads = take("num_key_value_heads", None)
        eos = take("eos_token_id", 2)
        config = cls(
            vocab_size=int(take("vocab_size")),
            hidden_size=hidden,
            intermediate_size=int(take("intermediate_size")),
            num_hidden_layers=int(take("num_hidden_layers")),
            num_attention_heads=heads,
            num_key_value_heads=heads if kv_heads is None else int(kv_heads),
            head_dim=hidden // heads if head_dim is None else int(head_dim),
            max_position_embeddings=int(take("max_position_embeddings", 2048)),
            rms_norm_eps=float(take("rms_norm_eps", 1e-6)),
            rope_theta=float(theta),
            rope_scaling=RopeScaling.from_hf({**parameters, **scaling}, source),
            tie_word_embeddings=bool(take("tie_word_embeddings", False)),
            bos_token_id=int(take("bos_token_id", 1)),
            eos_token_ids=tuple(eos) if isinstance(eos, list | tuple) else (int(eos),),
        )
        unknown = sorted(set(attributes) - IGNORED_ATTRIBUTES)
        if unknown:
            raise SycojaxError(
                f"{source}: unknown attributes {', '.join(unknown)}: they may change what the model "
                "computes, so this checkpoint is refused"
            )
        return config


def _positive(raw: Mapping[str, Any], name: str, source: str) -> float:
    value = raw.get(name)
    if not isinstance(value, int | float) or value <= 0:
        raise SycojaxError(f"{source}: rotary scaling needs a positive {name!r}, got {value!r}")
    return float(value)
