"""A ``config.json`` taken apart: each attribute is taken by who computes it, and what is left must mean nothing.

An attribute that nobody takes may change what the network computes. It is accepted where its name says that it
cannot, or where its value says that it is switched off; otherwise the checkpoint is refused and the attribute named.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

from sycojax.errors import SycojaxError

# Names of what no forward pass and no training of LoRA adapters depends on: how text is generated and padded, how the
# same numbers are computed elsewhere (kernels, parallelism, memory), and where a file comes from.
HARMLESS = frozenset(
    {
        "architectures", "bad_words_ids", "chunk_size_feed_forward", "diversity_penalty", "do_sample", "dtype",
        "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "finetuning_task",
        "generation_config", "gradient_checkpointing", "id2label", "initializer_range", "is_decoder",
        "is_llama_config", "keys_to_ignore_at_inference", "label2id", "length_penalty", "max_length",
        "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
        "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores",
        "pad_to_multiple_of", "prefix", "pretraining_tp", "problem_type", "remove_invalid_values",
        "repetition_penalty", "return_dict", "return_dict_in_generate", "suppress_tokens",
        "begin_suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss",
        "tie_encoder_decoder", "top_k", "top_p", "torchscript", "torch_dtype", "typical_p", "use_bfloat16", "use_cache",
    }
)  # fmt: skip
_HARMLESS_NAMES = re.compile(
    r"_.*"  # what transformers keeps for itself
    r"|.*(_token_ids?|_version|_revision|_sdk|_name|_path|_url|_date|license|author)|name_or_path"
    r"|(attn_implementation|use_flash_att|flash_att|tokenizer_|padding_side|neftune_|unsloth_|transformers|onnx).*"
    r"|(tensor|pipeline|sequence|expert)_(model_)?parallel.*"
    r"|(model_)?max_(seq|sequence)?_?(len|length)|seq_length"
)
# A factor is switched off by 1 and everything else by 0.
_FACTORS = re.compile(r".*(factor|ratio|scale|scaling|multiplier|size|degree|pct).*")


class Attributes:
    """The attributes of one ``config.json``, named ``source`` in errors; every method takes what it reads."""

    def __init__(self, raw: Mapping[str, Any], source: str):
        self.source = source
        self._left = dict(raw)

    def take(self, name: str, *default: Any) -> Any:
        """The value of an attribute, or ``default``. Raises ``SycojaxError`` where it is missing and none is given."""
        if name not in self._left and not default:
            raise SycojaxError(f"{self.source}: attribute {name!r} is missing")
        return self._left.pop(name, *default)

    def given(self, name: str, default: Any) -> Any:
        """``take`` of an attribute for which null says what its absence says."""
        value = self.take(name, None)
        return default if value is None else value

    def number(self, name: str, kind: type, *default: Any) -> Any:
        """A number of ``kind``, which may be written as another one of the same value (2.0 for 2)."""
        return self._checked(name, self.take(name, *default), kind)

    def size(self, name: str, default: int) -> int:
        """A whole number; null is ``default``."""
        return self._checked(name, self.given(name, default), int)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false; null is ``default``."""
        value = self.given(name, default)
        if not isinstance(value, bool):
            raise SycojaxError(f"{self.source}: {name}={value!r} is neither true nor false")
        return value

    def require(self, name: str, *allowed: Any, because: str = "") -> None:
        """Raise ``SycojaxError`` where a value is neither null nor among ``allowed``."""
        value = self.given(name, allowed[0])
        if value not in allowed:
            choices = " or ".join(map(repr, allowed))
            raise SycojaxError(
                f"{self.source}: {name}={value!r} is not supported (only {choices}){because}"
            )

    def _checked(self, name: str, value: Any, kind: type) -> Any:
        if not finite(value) or kind(value) != value:
            raise SycojaxError(f"{self.source}: {name}={value!r} is not a valid {kind.__name__}")
        return kind(value)

    def finish(self) -> None:
        """Raise ``SycojaxError`` naming every attribute that nobody took and that may mean something."""
        left = [f"{n}={v!r}" for n, v in sorted(self._left.items()) if not _means_nothing(n, v)]
        if left:
            raise SycojaxError(
                f"{self.source}: {', '.join(left)} is not known here and may change what the model computes, so this "
                "checkpoint is refused; where you know that it changes nothing, take it out of config.json"
            )


def finite(value: Any) -> TypeGuard[float]:
    """Whether this is a number that a float holds, and neither infinite nor NaN."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _means_nothing(name: str, value: Any) -> bool:
    if name in HARMLESS or _HARMLESS_NAMES.fullmatch(name):
        return True
    if finite(value):
        return value == (1 if _FACTORS.fullmatch(name) else 0)
    return value in (None, False, "", [], {})
