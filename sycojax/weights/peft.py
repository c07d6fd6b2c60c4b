"""Adapters in PEFT's format: ``adapter_model.safetensors`` and ``adapter_config.json``, both ways.

PEFT itself only warns about a key that it does not find and then runs a partly adapted model. Here every
key, shape and setting must be one that this model computes exactly, or loading is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from sycojax.errors import SycojaxError
from sycojax.files import atomic_write, read_json, write_json
from sycojax.models import llama
from sycojax.models.config import LlamaConfig
from sycojax.models.llama import Tree
from sycojax.models.lora import TARGETS, LoRAConfig
from sycojax.weights.hub import finish

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

# Settings that say nothing about what the adapter computes. A setting that is in neither this set nor
# read below is accepted only when it is switched off (null, false or empty).
IGNORED_SETTINGS = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "inference_mode", "megatron_core",
        "peft_version", "qalora_group_size", "revision",
    }
)  # fmt: skip
# Initialisations that leave the base weights as they are (PiSSA, OLoRA, LoftQ and CorDA change them).
NEUTRAL_INITIALISATIONS = (True, False, None, "gaussian", "eva", "orthogonal")


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


def load_adapter(
    directory: Path, config: LlamaConfig, base_name: str | Path = "this base"
) -> tuple[LoRAConfig, Tree]:
    """Read a PEFT adapter of the base ``config``: its settings and its lora tree of float32 NumPy arrays.

    float16 and bfloat16 files are cast up. Raises ``SycojaxError`` naming the setting that is not
    supported or the tensor that is missing, unexpected or misshapen, the base that the adapter says it was made
    for, and ``base_name``.
    """
    directory = Path(directory)
    lora = _read_config(directory)
    own = base_of(directory)
    pair = f"an adapter of {own or 'an unnamed base'} does not fit {base_name}"
    file = directory / WEIGHTS
    if not file.is_file():
        pickled = sorted(p.name for p in directory.glob("adapter_model.*"))
        if pickled:
            raise SycojaxError(
                f"{file} does not exist ({pickled[0]} is not safetensors and is refused)"
            )
        raise SycojaxError(
            f"{file} does not exist: the download stopped early ({finish(directory)}), or the adapter is there as "
            "adapter_model.bin only, which is refused: convert it to safetensors"
        )
    try:
        stored = safetensors.numpy.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise SycojaxError(
            f"{file} is truncated or not a safetensors file ({error}); fetch it again"
        ) from error
    shapes = llama.abstract(config, lora).lora
    expected = {name: leaf.shape[:0:-1] for name, leaf, _ in _tensors(shapes)}
    for problem, names in (
        ("missing", sorted(set(expected) - set(stored))),
        ("unexpected", sorted(set(stored) - set(expected))),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise SycojaxError(
                f"{file}: {pair}: {problem} tensors {', '.join(names[:3])}{more}; this is not an adapter on "
                f"{', '.join(lora.targets)} of a Llama with {config.num_hidden_layers} layers"
            )
    for name, shape in expected.items():
        if stored[name].shape != shape:
            raise SycojaxError(
                f"{file}: {pair}: {name} has shape {stored[name].shape}, this base needs {shape}: "
                "the adapter was trained on another base"
            )
        if stored[name].dtype.name not in ("float32", "float16", "bfloat16"):
            raise SycojaxError(f"{file}: {name} is stored as {stored[name].dtype.name}")
    leaves = jax.tree.map(lambda leaf: np.empty(leaf.shape, np.float32), shapes)
    for name, leaf, layer in _tensors(leaves):
        leaf[layer] = stored[name].T
        if not np.isfinite(leaf[layer]).all():
            raise SycojaxError(f"{file}: {name} holds values that are not finite")
    return lora, leaves


def base_of(directory: Path) -> str:
    """What an adapter says it was made for (``base_model_name_or_path``): a hub id, a path, or ""."""
    raw = read_json(Path(directory) / CONFIG)
    name = raw.get("base_model_name_or_path") if isinstance(raw, Mapping) else None
    return name if isinstance(name, str) else ""


def factors(tree: Tree) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(A [R, in], B [out, R]) of every adapted projection, by the checkpoint name of the weight they add to."""
    parts = {name: leaf[layer].T for name, leaf, layer in _tensors(tree)}
    prefix, a, b = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
    modules = [name.removesuffix(a) for name in parts if name.endswith(a)]
    return {f"{m.removeprefix(prefix)}.weight": (parts[m + a], parts[m + b]) for m in modules}


def _tensors(tree: Tree) -> Iterator[tuple[str, Any, int]]:
    """(PEFT name, stacked leaf, layer) of every adapter matrix."""
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        _, *modules, matrix = (part.key for part in keys)
        letter = {"lora_a": "A", "lora_b": "B"}[matrix]
        for layer in range(leaf.shape[0]):
            module = f"model.layers.{layer}.{'.'.join(modules)}"
            yield f"base_model.model.{module}.lora_{letter}.weight", leaf, layer


def _read_config(directory: Path) -> LoRAConfig:
    file = directory / CONFIG
    if not file.is_file():
        what = "a whole model" if (directory / "config.json").is_file() else "no adapter"
        raise SycojaxError(
            f"{file} does not exist: the directory holds {what}; wanted is a LoRA adapter in PEFT's format"
        )
    raw = read_json(file)
    if not isinstance(raw, Mapping):
        raise SycojaxError(f"{file} is not a JSON object")
    settings = dict(raw)

    def require(name: str, *allowed: Any) -> None:
        value = settings.pop(name, allowed[0])
        if not any(value is a or (value == a and type(value) is type(a)) for a in allowed):
            choices = " or ".join(map(repr, allowed))
            raise SycojaxError(f"{file}: {name}={value!r} is not supported (only {choices})")

    def take(name: str) -> Any:
        if name not in settings:
            raise SycojaxError(f"{file}: setting {name!r} is missing")
        return settings.pop(name)

    require("peft_type", "LORA")
    require("task_type", "CAUSAL_LM", None)
    require("bias", "none")
    require("init_lora_weights", *NEUTRAL_INITIALISATIONS)
    stabilised = settings.pop("use_rslora", False)
    rank, alpha, dropout = take("r"), take("lora_alpha"), settings.pop("lora_dropout", 0.0)
    for name, value in (("r", rank), ("lora_alpha", alpha), ("lora_dropout", dropout)):
        if isinstance(value, bool) or not isinstance(value, int if name == "r" else int | float):
            raise SycojaxError(f"{file}: {name}={value!r} is not a number")
    targets = take("target_modules")
    if not isinstance(targets, list) or not all(isinstance(t, str) for t in targets):
        raise SycojaxError(
            f"{file}: target_modules={targets!r} is not supported: patterns depend on module paths; "
            f"list projections by name ({', '.join(TARGETS)})"
        )
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        raise SycojaxError(
            f"{file}: target_modules names unknown modules {', '.join(unknown)} "
            f"(known: {', '.join(TARGETS)})"
        )
    # Not plain truth: layers_to_transform=0 means "layer 0 only".
    on = {
        name: value
        for name, value in settings.items()
        if name not in IGNORED_SETTINGS
        and not (value is None or value is False or value in ("", [], {}))
    }
    if on:
        shown = ", ".join(f"{name}={value!r}" for name, value in sorted(on.items()))
        raise SycojaxError(
            f"{file}: {shown} is not supported: it would change what the adapter computes"
        )
    if not isinstance(stabilised, bool):
        raise SycojaxError(f"{file}: use_rslora={stabilised!r} is neither true nor false")
    return LoRAConfig(
        rank=rank,
        # Rank-stabilised adapters are scaled by alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732).
        alpha=float(alpha) * (math.sqrt(rank) if stabilised and rank > 0 else 1.0),
        dropout=float(dropout),
        targets=tuple(t for t in TARGETS if t in targets),
    )
