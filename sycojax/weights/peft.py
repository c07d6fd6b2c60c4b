"""Adapters in PEFT's format: ``adapter_model.safetensors`` and ``adapter_config.json``, both ways.

PEFT itself only warns about a key that it does not find and then runs a partly adapted model. Here every
key, shape and setting must be one that this model computes exactly, or loading is refused by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from sycojax.errors import SycojaxError
from sycojax.files import atomic_write, write_json
from sycojax.models.base import Tree, abstract, zero_lora
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.weights.hub import fetch, finish
from sycojax.weights.names import adapter_name, embedding_of
from sycojax.weights.origin import ORIGIN
from sycojax.weights.peft_settings import CONFIG, Part, base_of, read_settings
from sycojax.weights.stored import DTYPES, damaged, difference, some

WEIGHTS = "adapter_model.safetensors"


def export_adapter(directory: Path, tree: Tree, lora: LoRAConfig, base_name: str) -> None:
    """Write one adapter (a lora tree without bank axis) so that PEFT 0.4 and later load it.

    Keys are ``base_model.model.model.layers.{i}.{module}.lora_{A,B}.weight``; A [R, in] and B [out, R]
    are the transposes of ``lora_a`` and ``lora_b``; float32. The config is written last and an old one
    removed first, so an interrupted export is no adapter rather than a mixed one.
    """
    directory = Path(directory)
    tensors = {
        name: np.ascontiguousarray(np.asarray(leaf[layer], np.float32).T)
        for name, leaf, layer in _tensors(tree)
    }
    alpha = int(lora.alpha) if float(lora.alpha).is_integer() else lora.alpha
    (directory / CONFIG).unlink(missing_ok=True)
    atomic_write(directory / WEIGHTS, safetensors.numpy.save(tensors, metadata={"format": "pt"}))
    write_json(
        directory / CONFIG,
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_name,
            "r": lora.rank,
            "lora_alpha": alpha,
            "lora_dropout": lora.dropout,
            "bias": "none",
            "target_modules": list(lora.targets),
            "fan_in_fan_out": False,
            "inference_mode": True,
            "init_lora_weights": True,
            "modules_to_save": None,
        },
    )


def resolve_adapter(source: str | Path) -> Path:
    """The local directory of an adapter; of a hub id its files are fetched. Raises ``SycojaxError`` where there is none."""
    return fetch(source, (CONFIG, WEIGHTS, ORIGIN))


def load_adapter(
    directory: Path, config: LlamaConfig, base_name: str | Path = "this base"
) -> tuple[LoRAConfig, Tree]:
    """Read a PEFT adapter of the base ``config``: its settings and its lora tree of float32 NumPy arrays.

    Files of other float types are cast. What a part lacks in rank is zero, and where factors differ (patterns of
    rank or alpha) they are in B. Embeddings that PEFT saved along are left out (``saved_embeddings``). Raises
    ``SycojaxError`` naming the setting that is not supported or the tensor that is missing, unexpected or misshapen,
    the base that the adapter says it was made for, and ``base_name``.
    """
    directory = Path(directory)
    lora, parts, sparse = read_settings(directory, config.num_hidden_layers)
    own = base_of(directory)
    pair = f"an adapter of {own or 'an unnamed base'} does not fit {base_name}"
    file = directory / WEIGHTS
    if not file.is_file():
        raise SycojaxError(_absent(file))
    stored = {name: value for name, value in _stored(file).items() if not embedding_of(name)}
    if sparse:
        parts = _without_gaps(parts, stored)
    shapes = abstract(config, lora).lora
    expected = {
        name: _stored_shape(name, leaf, parts[_module(name)].rank)
        for name, leaf, _ in _tensors(shapes)
        if _module(name) in parts
    }
    if problem := difference(expected.keys(), stored.keys(), limit=3):
        raise SycojaxError(
            f"{file}: {pair}: {problem}; this is not an adapter on {', '.join(lora.targets)} of a model with "
            f"{config.num_hidden_layers} layers"
        )
    for name, shape in expected.items():
        if stored[name].shape != shape:
            raise SycojaxError(
                f"{file}: {pair}: {name} has shape {stored[name].shape}, this base and {CONFIG} need {shape}: "
                "the adapter was trained on another base, or its two files do not belong together"
            )
    leaves = zero_lora(config, lora)
    for name, leaf, layer in _tensors(leaves):
        if name not in expected:
            continue  # PEFT adapts this projection in other layers only.
        value, part = stored[name].T.astype(np.float32), parts[_module(name)]
        if not np.isfinite(value).all():
            raise SycojaxError(f"{file}: {name} holds values that are not finite")
        if ".lora_A." in name:
            leaf[layer, :, : part.rank] = value
        else:
            leaf[layer, : part.rank] = value * np.float32(part.scaling / lora.scaling)
    return lora, leaves


def saved_embeddings(directory: Path) -> dict[str, np.ndarray]:
    """The embeddings and the head in an adapter's file (``save_embedding_layers``), by their names in the base."""
    found = {embedding_of(name): value for name, value in _stored(directory / WEIGHTS).items()}
    return {name: value for name, value in found.items() if name}


def factors(tree: Tree) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(A [R, in], B [out, R]) of every adapted projection, by the checkpoint name of the weight they add to."""
    parts = {name: leaf[layer].T for name, leaf, layer in _tensors(tree)}
    prefix, a, b = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
    modules = [name.removesuffix(a) for name in parts if name.endswith(a)]
    return {f"{m.removeprefix(prefix)}.weight": (parts[m + a], parts[m + b]) for m in modules}


def _absent(file: Path) -> str:
    """What is there instead of the weights of an adapter."""
    pickled = sorted(p.name for p in file.parent.glob("adapter_model.*") if p != file)
    convert = (
        'convert it where torch is installed: python -c "import torch, safetensors.torch as s; '
        "s.save_file(torch.load('adapter_model.bin', weights_only=True), 'adapter_model.safetensors')\""
    )
    if pickled:
        return f"{file} does not exist ({pickled[0]} is not safetensors and is refused): {convert}"
    return (
        f"{file} does not exist: the download stopped early ({finish(file.parent)}), or the adapter is there as "
        f"adapter_model.bin only, which is refused: {convert}"
    )


def _stored(file: Path) -> dict[str, np.ndarray]:
    """The tensors by the names that PEFT gives them. Raises ``SycojaxError`` where there are none."""
    try:
        with safetensors.safe_open(file, framework="numpy") as stored:
            # NumPy knows no eight-bit floats: asking for them would be another error.
            kinds = {name: stored.get_slice(name).get_dtype() for name in sorted(stored.keys())}
        for name, kind in kinds.items():
            if kind not in DTYPES:
                raise SycojaxError(f"{file}: {name} is stored as {kind}")
        written = safetensors.numpy.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(file, error) from error
    empty = [name for name, value in sorted(written.items()) if not value.size]
    if empty or not written:
        raise SycojaxError(
            f"{file} holds {f'empty tensors ({some(empty, 3)})' if empty else 'no tensors'}: a model that was spread over "
            "processes (FSDP, ZeRO-3) was saved without being gathered; save it again with its whole state dict"
        )
    found = {adapter_name(name): value for name, value in written.items()}
    if len(found) < len(written):
        raise SycojaxError(f"{file} holds several adapters, or one twice: save each on its own")
    return found


def _without_gaps(parts: Mapping[str, Part], stored: Collection[str]) -> dict[str, Part]:
    """``parts`` less those that have no tensors, except where a whole layer has none: that is another base."""
    there = parts.keys() & {_module(name) for name in stored}
    layers = {module.split(".")[2] for module in there}
    return {m: p for m, p in parts.items() if m in there or m.split(".")[2] not in layers}


def _module(name: str) -> str:
    """The module path in a PEFT name."""
    return name.removeprefix("base_model.model.").rsplit(".", 2)[0]


def _stored_shape(name: str, leaf: jax.ShapeDtypeStruct, rank: int) -> tuple[int, int]:
    """A [rank, in] or B [out, rank], the transposes of ``leaf`` [layers, in, R] and [layers, R, out]."""
    _, rows, columns = leaf.shape
    return (rank, rows) if ".lora_A." in name else (columns, rank)


def _tensors(tree: Tree) -> Iterator[tuple[str, Any, int]]:
    """(PEFT name, stacked leaf, layer) of every adapter matrix."""
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        _, *modules, matrix = (part.key for part in keys)
        letter = {"lora_a": "A", "lora_b": "B"}[matrix]
        for layer in range(leaf.shape[0]):
            module = f"model.layers.{layer}.{'.'.join(modules)}"
            yield f"base_model.model.{module}.lora_{letter}.weight", leaf, layer
