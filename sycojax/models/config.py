"""The architecture of a Llama or one of its family, read from a Hugging Face ``config.json`` and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from sycojax.errors import SycojaxError
from sycojax.models.attributes import Attributes
from sycojax.models.families import FAMILIES, Family, family_of
from sycojax.models.rope import RopeScaling, read_rotary, write_rotary


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """Shape and constants of one Llama, and in what it differs from Meta's. Sizes are counts of elements, not bytes."""

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
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]
    model_type: str = "llama"  # one of FAMILIES
    qkv_bias: bool = False  # q, k and v projections add a bias
    o_bias: bool = False
    mlp_bias: bool = False  # gate, up and down
    qk_norm: bool = False  # an RMSNorm over each head of queries and keys, before the rotation
    # Tokens that some layers look back over, the last one included. Not computed: longer texts are refused.
    sliding_window: int | None = None

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
        d, q, kv = self.hidden_size, self.query_size, self.key_size
        layer = 2 * d * q + 2 * d * kv + 3 * d * self.intermediate_size
        tables = 1 if self.tie_word_embeddings else 2
        matrices = tables * self.vocab_size * d + self.num_hidden_layers * layer
        return matrices + self.vector_parameter_count

    @property
    def projection_parameter_count(self) -> int:
        """Those of them that are in the layers' products with every token: not the tables."""
        tables = (1 if self.tie_word_embeddings else 2) * self.vocab_size * self.hidden_size
        return self.base_parameter_count - self.vector_parameter_count - tables

    @property
    def vector_parameter_count(self) -> int:
        """Those of them that are norms and biases, and so in no product with every token."""
        d, q, kv = self.hidden_size, self.query_size, self.key_size
        layer = 2 * d
        layer += (q + 2 * kv) * self.qkv_bias + d * self.o_bias
        layer += (2 * self.intermediate_size + d) * self.mlp_bias
        layer += 2 * self.head_dim * self.qk_norm
        return self.num_hidden_layers * layer + d

    @property
    def query_size(self) -> int:
        """Width of all query heads together."""
        return self.num_attention_heads * self.head_dim

    @property
    def key_size(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.num_key_value_heads * self.head_dim

    def check_ids(self, token_ids: Iterable[int], what: str) -> None:
        """Raise ``SycojaxError`` on ids without an embedding.

        Tables have more or fewer rows than the tokenizer has ids; only those that are used matter.
        """
        highest = max(token_ids, default=0)
        if highest >= self.vocab_size:
            raise SycojaxError(
                f"{what}: token id {highest} has no embedding, the model has {self.vocab_size} of them: use the model's "
                "own tokenizer, or texts without that token"
            )

    def check_length(self, tokens: int, what: str) -> None:
        """Raise ``SycojaxError`` where ``tokens`` are more than a layer of the model looks back over."""
        if self.sliding_window is not None and tokens > self.sliding_window:
            raise SycojaxError(
                f"{what}: {tokens} tokens, and layers of this model look back over {self.sliding_window} "
                "(sliding_window), which is not computed here: shorten the text, or take a model without a window"
            )

    @classmethod
    def from_hf(cls, raw: Mapping[str, Any], source: str = "config.json") -> LlamaConfig:
        """Build from the parsed ``config.json`` of one of ``FAMILIES``.

        Accepts what transformers 4 (``rope_theta``, ``rope_scaling``) and 5 (``rope_parameters``) write.
        Raises ``SycojaxError`` naming the attribute when one is missing, has an unsupported value, or is
        not known: an attribute we do not know may change what the network computes.
        """
        kind, family = family_of(raw, source)
        has = Attributes(raw, source)
        has.take("model_type")
        if has.given("auto_map", {}):
            raise SycojaxError(
                f"{source}: asks for code from the hub (auto_map); remote code is never run"
            )
        if has.given("quantization_config", {}):
            raise SycojaxError(
                f"{source}: quantization_config: the weights are stored quantised; give the checkpoint that they were "
                "made from (base.quantization quantises it when it is loaded)"
            )
        has.require("hidden_act", "silu", "swish")
        has.require("is_causal", True)
        has.require(
            "attention_dropout", 0.0,
            because=": it would act on the training of adapters; set it to 0.0 in config.json to do without",
        )  # fmt: skip
        biased = {name: has.flag(name) for name in family.bias_options}
        if family.qkv_bias:
            has.flag("attention_bias")  # says nothing there
        hidden, heads = has.number("hidden_size", int), has.number("num_attention_heads", int)
        layers = has.number("num_hidden_layers", int)
        # Null says as many as query heads, also where leaving it out does not.
        groups = None if "num_key_value_heads" in raw else family.num_key_value_heads
        divided = hidden // heads if heads > 0 and hidden % heads == 0 else None
        width = family.head_dim or divided
        if width is None and raw.get("head_dim") is None:
            raise SycojaxError(
                f"{source}: hidden_size={hidden} is not a multiple of "
                f"num_attention_heads={heads}, and head_dim is not given"
            )
        rope_theta, rope_scaling = read_rotary(has)
        config = cls(
            vocab_size=has.number("vocab_size", int),
            hidden_size=hidden,
            intermediate_size=has.number("intermediate_size", int),
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=has.size("num_key_value_heads", groups or heads),
            head_dim=has.size("head_dim", width or 0),
            max_position_embeddings=has.size(
                "max_position_embeddings", family.max_position_embeddings
            ),
            rms_norm_eps=has.number("rms_norm_eps", float, 1e-6),
            rope_theta=rope_theta,
            rope_scaling=rope_scaling,
            tie_word_embeddings=has.flag("tie_word_embeddings"),
            bos_token_id=next(iter(_ids(has, "bos_token_id", family.bos_token_id)), None),
            eos_token_ids=_ids(has, "eos_token_id", family.eos_token_id),
            model_type=kind,
            qkv_bias=family.qkv_bias or biased.get("attention_bias", False),
            o_bias=biased.get("attention_bias", False),
            mlp_bias=biased.get("mlp_bias", False),
            qk_norm=family.qk_norm,
            sliding_window=_window(has, family, layers),
        )
        has.finish()
        return config

    def to_hf(self) -> dict[str, Any]:
        """The ``config.json`` that ``from_hf`` reads back, readable by transformers 4 and 5."""
        family = FAMILIES[self.model_type]
        biases = {"attention_bias": self.o_bias, "mlp_bias": self.mlp_bias}
        ends = list(self.eos_token_ids)
        return {
            "architectures": [family.architecture],
            "model_type": self.model_type,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            **{name: biases[name] for name in family.bias_options},
            **self._window_to_hf(family),
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            **write_rotary(self.rope_theta, self.rope_scaling),
            "tie_word_embeddings": self.tie_word_embeddings,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": ends if len(ends) > 1 else next(iter(ends), None),
        }

    def _window_to_hf(self, family: Family) -> dict[str, Any]:
        if family.sliding_window is None and self.sliding_window is None:
            return {}
        written: dict[str, Any] = {"sliding_window": self.sliding_window}
        if family.max_window_layers is not None:
            written |= {
                "use_sliding_window": self.sliding_window is not None,
                "max_window_layers": 0,
            }
        return written


def _window(has: Attributes, family: Family, layers: int) -> int | None:
    """How far the layers look back of which some do not look back over everything."""
    window, kinds = has.take("sliding_window", family.sliding_window), has.given("layer_types", [])
    by_layer = family.max_window_layers is not None
    used = has.flag("use_sliding_window", not by_layer)
    first = has.size("max_window_layers", family.max_window_layers or 0)
    known = ("full_attention", "sliding_attention")
    if not isinstance(kinds, list) or any(kind not in known for kind in kinds):
        raise SycojaxError(
            f"{has.source}: layer_types={kinds!r} is not supported (only {' and '.join(known)})"
        )
    if by_layer:
        used = used and ("sliding_attention" in kinds if kinds else first < layers)
    if not window or not used:
        return None
    if type(window) is not int or window < 0:
        raise SycojaxError(f"{has.source}: sliding_window={window!r} is not a number of tokens")
    return window


def _ids(has: Attributes, name: str, default: int | None) -> tuple[int, ...]:
    """One token id, several in a list, or none (null)."""
    value = has.take(name, default)
    ids = value if isinstance(value, list | tuple) else () if value is None else (value,)
    if not all(type(i) is int for i in ids):
        raise SycojaxError(f"{has.source}: {name}={value!r} is not a token id or a list of them")
    return tuple(ids)
