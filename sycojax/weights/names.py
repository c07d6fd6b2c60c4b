"""Names of tensors as tools leave them in files, brought to those that transformers and PEFT give them."""

from __future__ import annotations

import re

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_ADAPTED = "base_model.model."  # what PEFT puts in front of every name

# What wrappers for compilation, sharding and several processes add, anywhere in a name.
_WRAPPERS = re.compile(
    r"(?:(?<=\.)|^)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
# Stored by some tools although config.json determines them.
_BUFFERS = re.compile(
    r"(?:.*\.)?(?:(?:original_)?inv_freq|(?:cos|sin)_cached|masked_bias|causal_mask|position_ids)"
)
# The name of the adapter, which PEFT leaves out where it saves itself.
_ADAPTER = re.compile(r"(?<=\.lora_[AB])\.[^.]+(?=\.weight$)")


def base_name(stored: str) -> str | None:
    """The name of a base's tensor, with the ``model.`` that transformers expects; None of a buffer that says nothing."""
    if _BUFFERS.fullmatch(stored):
        return None
    name = _WRAPPERS.sub("", stored)
    return f"model.{name}" if name.startswith(("layers.", "embed_tokens.", "norm.")) else name


def adapter_name(stored: str) -> str:
    """The name of an adapter's tensor as PEFT writes it: ``base_model.model.model.layers.0. ... .lora_A.weight``."""
    name = base_name(_ADAPTER.sub("", _WRAPPERS.sub("", stored).removeprefix(_ADAPTED))) or ""
    # What is none of these is left as it is, to be refused under the name that it has.
    known = name.startswith("model.layers.") or name in (EMBEDDINGS, HEAD)
    return _ADAPTED + name if known else stored


def embedding_of(adapter_tensor: str) -> str | None:
    """The base's tensor that one of an adapter holds whole: its embeddings or its head; None of any other."""
    name = adapter_tensor.removeprefix(_ADAPTED)
    return name if name in (EMBEDDINGS, HEAD) else None
