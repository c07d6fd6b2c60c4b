"""An adapter that a user names, looked at before anything is computed with it: what it is, and whether it is of this base."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import numpy as np

from sycojax.errors import SycojaxError
from sycojax.models.base import Tree
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.weights.huggingface import open_weights
from sycojax.weights.names import EMBEDDINGS
from sycojax.weights.origin import check_origin
from sycojax.weights.peft import factors, load_adapter, saved_embeddings


def admit(
    adapter: Path, config: LlamaConfig, base: Path, base_name: str | Path
) -> tuple[LoRAConfig, Tree]:
    """``load_adapter``, of an adapter that is to be used on ``base`` (a directory, known to the user as ``base_name``).

    Raises ``SycojaxError`` where it is no adapter of that base; warns where only the base's name differs, and where it
    does nothing.
    """
    lora, tree = load_adapter(adapter, config, base_name)
    check_origin(adapter, base, base_name)
    _check_embeddings(adapter, config, base)
    if does_nothing(tree):
        warnings.warn(
            f"{adapter} does nothing: its B (or A) matrices are all zero, so its numbers are the base's; it was never "
            "trained, or was not saved whole",
            stacklevel=2,
        )
    return lora, tree


def does_nothing(tree: Tree) -> bool:
    """Whether what an adapter adds to every weight is zero."""
    return not any(a.any() and b.any() for a, b in factors(tree).values())


def _check_embeddings(adapter: Path, config: LlamaConfig, base: Path) -> None:
    """PEFT saves embeddings along where it is told to, or was trained with more of them; only the base's own are right."""
    saved = saved_embeddings(adapter)
    if not saved:
        return
    with contextlib.ExitStack() as stack:
        tensors = open_weights(base, config, stack)
        for name, value in saved.items():
            own = tensors.get(name, tensors[EMBEDDINGS])  # a tied head is the table
            shape = tuple(own.get_shape())
            if value.shape != shape:
                raise SycojaxError(
                    f"{adapter}: it holds {name} of shape {value.shape}, the base's is {shape}: it was trained with other "
                    "tokens than the base has; merge it in PEFT (merge_and_unload), and name the result as base.path"
                )
            # Compared as it was rounded when the base was loaded for training.
            if not np.array_equal(own[:].astype(value.dtype), value):
                raise SycojaxError(
                    f"{adapter}: it holds a {name} that is not the base's: trained embeddings are not supported; merge it "
                    "in PEFT (merge_and_unload), and name the result as base.path"
                )
