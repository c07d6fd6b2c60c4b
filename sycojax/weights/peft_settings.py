"""What an ``adapter_config.json`` says: which projections are adapted, with which rank and factor.

The rules by which names and patterns find a projection are PEFT's own (its ``target_modules``, ``exclude_modules``,
``layers_to_transform``, ``rank_pattern`` and ``alpha_pattern``). Everything else must be a setting that this model
computes exactly, or it is refused by name.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.models.lora import ATTENTION_TARGETS, TARGETS, LoRAConfig
from sycojax.weights.hub import finish

CONFIG = "adapter_config.json"

# Settings that say nothing about what the adapter computes. A setting that is in neither this set nor
# read below is accepted only when it is switched off (null, false or empty). Those of an initialisation act
# only together with it, and tying only where embeddings are adapted.
IGNORED_SETTINGS = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
        "inference_mode", "loftq_config", "lora_ga_config", "megatron_core", "peft_version",
        "qalora_group_size", "revision",
    }
)  # fmt: skip
# Initialisations that leave the base weights as they are (PiSSA, OLoRA, LoftQ, CorDA and LoRA-GA change them).
NEUTRAL_INITIALISATIONS = (True, False, None, "gaussian", "eva", "orthogonal")
# What PEFT could adapt besides the projections, and this model cannot.
_OTHERS = ("lm_head", "model.embed_tokens")


@dataclasses.dataclass(frozen=True)
class Part:
    """How one projection is adapted: the rank of its two matrices, and the factor on their product."""

    rank: int
    scaling: float


def base_of(directory: Path) -> str:
    """What an adapter says it was made for (``base_model_name_or_path``): a hub id, a path, or ""."""
    raw = read_json(Path(directory) / CONFIG)
    name = raw.get("base_model_name_or_path") if isinstance(raw, Mapping) else None
    return name if isinstance(name, str) else ""


def read_settings(directory: Path, layers: int) -> tuple[LoRAConfig, dict[str, Part], bool]:
    """The smallest shape that holds an adapter, and its parts by module path (``model.layers.0.self_attn.q_proj``).

    Where ranks or factors differ, the shape has the largest rank and a scaling of 1. Third, whether the file may
    lack parts: EVA gives some projections no rank, and PEFT then writes no tensors, but still names them. ``layers``
    is the number of layers of the base. Raises ``SycojaxError`` naming the setting that is missing, malformed or not supported.
    """
    file = Path(directory) / CONFIG
    if not file.is_file():
        raise SycojaxError(f"{file} does not exist: {_instead(Path(directory))}")
    raw = read_json(file)
    if not isinstance(raw, Mapping):
        raise SycojaxError(f"{file} is not a JSON object")
    if "fine_tune_type" in raw:
        raise SycojaxError(f"{file}: this is an adapter of mlx-lm; wanted is one in PEFT's format")
    try:
        return _read(dict(raw), layers)
    except re.error as error:
        pattern = error.pattern if isinstance(error.pattern, str) else ""
        raise SycojaxError(f"{file}: the pattern {pattern!r} is malformed ({error})") from error
    except SycojaxError as error:
        raise SycojaxError(f"{file}: {error}") from error


def _read(settings: dict[str, Any], layers: int) -> tuple[LoRAConfig, dict[str, Part], bool]:
    def require(name: str, *allowed: Any, hint: str = "") -> None:
        value = settings.pop(name, allowed[0])
        if not any(value is a or (value == a and type(value) is type(a)) for a in allowed):
            choices = " or ".join(map(repr, allowed))
            raise SycojaxError(f"{name}={value!r} is not supported (only {choices}){hint}")

    def take(name: str) -> Any:
        if name not in settings:
            raise SycojaxError(f"setting {name!r} is missing")
        return settings.pop(name)

    require("peft_type", "LORA")
    require("task_type", "CAUSAL_LM", None)
    require("bias", "none")
    sparse = settings.get("init_lora_weights") == "eva"
    require(
        "init_lora_weights", *NEUTRAL_INITIALISATIONS,
        hint=": it may change the base's weights; PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...) "
        "writes a PiSSA, OLoRA or CorDA adapter as one of the unchanged base",
    )  # fmt: skip
    rank, alpha = _number("r", take("r"), int), _number("lora_alpha", take("lora_alpha"))
    dropout = _number("lora_dropout", settings.pop("lora_dropout", 0.0))
    stabilised = settings.pop("use_rslora", False)
    if not isinstance(stabilised, bool):
        raise SycojaxError(f"use_rslora={stabilised!r} is neither true nor false")
    ranks = _pattern("rank_pattern", settings.pop("rank_pattern", None), int)
    alphas = _pattern("alpha_pattern", settings.pop("alpha_pattern", None))
    modules = _targeted(take("target_modules"), settings, layers)
    # 0 is not among the values that mean off: it may switch something on.
    on = {
        name: value
        for name, value in settings.items()
        if name not in IGNORED_SETTINGS
        and not (value is None or value is False or value in ("", [], {}))
    }
    if on:
        named = ", ".join(f"{name}={value!r}" for name, value in sorted(on.items()))
        raise SycojaxError(f"{named} is not supported: it would change what the adapter computes")

    # Rank-stabilised adapters are scaled by alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732).
    def part(r: int, a: float) -> Part:
        return Part(r, a / (math.sqrt(r) if stabilised else r))

    common = LoRAConfig(
        rank=rank,
        alpha=float(alpha) * (math.sqrt(rank) if stabilised and rank > 0 else 1.0),
        dropout=float(dropout),
        targets=tuple(t for t in TARGETS if t in modules.values()),
    )
    parts = {m: part(_first(ranks, m, rank), _first(alphas, m, alpha)) for m in modules}
    if set(parts.values()) == {part(rank, alpha)}:
        return common, parts, sparse
    widest = max(p.rank for p in parts.values())
    return dataclasses.replace(common, rank=widest, alpha=float(widest)), parts, sparse


def _targeted(targets: Any, settings: dict[str, Any], layers: int) -> dict[str, str]:
    """The projection behind every module path that PEFT would adapt; what it reads is taken out of ``settings``."""
    excluded = settings.pop("exclude_modules", None) or []
    only, above = settings.pop("layers_to_transform", None), settings.pop("layers_pattern", None)
    if not targets or not _names(targets):
        raise SycojaxError(
            f"target_modules={targets!r} is not supported: it must be a list of names or a pattern"
        )
    if not _names(excluded):
        raise SycojaxError(f"exclude_modules={excluded!r} is neither a list of names nor a pattern")
    indices = [only] if type(only) is int else only or []
    if not isinstance(indices, list) or not all(type(i) is int for i in indices):
        raise SycojaxError(f"layers_to_transform={only!r} is neither a layer nor a list of layers")
    if above not in (None, "", [], "layers", ["layers"]):
        raise SycojaxError(f"layers_pattern={above!r} is not supported (only 'layers')")
    every = isinstance(targets, str) and targets.lower() == "all-linear"

    def adapted(module: str, layer: int | None = None) -> bool:
        if _matches(excluded, module):
            return False
        if every:
            return layer is not None
        if not _matches(targets, module):
            return False
        # PEFT does not look at the layer of a module that is named in full or by a pattern.
        return not indices or layer in indices or isinstance(targets, str) or module in targets

    other = [module for module in _OTHERS if adapted(module)]
    if other:
        raise SycojaxError(
            f"target_modules={targets!r} adapts {', '.join(other)}, which is not supported (only projections: "
            f"{', '.join(TARGETS)})"
        )
    found: dict[str, str] = {}
    for layer in range(layers):
        for name in TARGETS:
            module = (
                f"model.layers.{layer}.{'self_attn' if name in ATTENTION_TARGETS else 'mlp'}.{name}"
            )
            if adapted(module, layer):
                found[module] = name
    if not found:
        raise SycojaxError(
            f"target_modules={targets!r} names no projection of a Llama of {layers} layers (known: {', '.join(TARGETS)})"
        )
    return found


def _names(value: Any) -> bool:
    """Whether this is a pattern, or a list of names."""
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(v, str) for v in value)
    )


def _matches(names: str | list[str], module: str) -> bool:
    """A string is a pattern of the whole path; one of a list is the path or an end of it."""
    if isinstance(names, str):
        return re.fullmatch(names, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in names)


def _first(pattern: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """The value of the first key that matches an end of the path."""
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return otherwise


def _pattern(name: str, value: Any, kind: type = float) -> dict[str, Any]:
    if not isinstance(value, Mapping | None):
        raise SycojaxError(f"{name}={value!r} is not a JSON object")
    found = {key: _number(f"{name}: {key}", v, kind) for key, v in (value or {}).items()}
    if kind is int and any(v < 1 for v in found.values()):
        raise SycojaxError(f"{name}={value!r}: a rank must be at least 1")
    return found


def _number(name: str, value: Any, kind: type = float) -> Any:
    right = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not right or not abs(value) < 1e30:
        raise SycojaxError(f"{name}={value!r} is not a number")
    return value


def _instead(directory: Path) -> str:
    """What a directory without ``adapter_config.json`` holds, and where the adapters below it are."""
    below = sorted(p.parent.name for p in directory.glob(f"*/{CONFIG}"))
    if below:
        return f"an adapter lies in a directory below it ({', '.join(below[:3])}): name that one"
    if list(directory.glob("adapter_*")):
        return f"its download or export stopped early ({finish(directory)})"
    what = "a whole model" if (directory / "config.json").is_file() else "no adapter"
    return f"the directory holds {what}; wanted is a LoRA adapter in PEFT's format"
