"""Every setting of a study as frozen dataclasses, and the strict conversion from an ml-collections config.

Configs stop at the command line: the library sees these classes only. Each field says what it affects
(``sycojax.settings``); what changes results by rounding alone, such as the mesh, is said to affect nothing.
"""

from __future__ import annotations

import dataclasses
import runpy
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import ml_collections

from sycojax.data.prompts import Recipe
from sycojax.data.templates import Argument
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN, evaluations
from sycojax.models.backends import Attention
from sycojax.models.compute import AskedDtype, AskedRemat, Dtype
from sycojax.models.lora import LoRAConfig
from sycojax.models.quantize import Quantization
from sycojax.records import COMBINED, PLACEBO
from sycojax.settings import setting, settings

Protocol = Literal["sycojax", "published", "both"]


@dataclasses.dataclass(frozen=True)
class BaseConfig:
    """The frozen base model."""

    # A directory in Hugging Face layout, a GGUF file, a hub id, or "toy" for the embedded base.
    path: str = setting("toy", "adapter", "records", through="files")
    # Directory of the tokenizer; empty = the base's own.
    tokenizer: str = setting("", "adapter", "records", through="files")
    # Of base weights and activations. auto: bfloat16 where that is faster (``weights.precision``), asked once for each workdir.
    dtype: AskedDtype = setting("float32", "adapter", "records")
    # Of the layers' projections; embeddings and norms stay.
    quantization: Quantization = setting("none", "adapter", "records")
    # How conversations are written: empty = the checkpoint's own chat template; llama2 or plain for one without, or the name
    # of one of several that it brings.
    chat_template: str = setting("", "adapter", "records", through="content")
    # Variables of the template, such as enable_thinking=False or date_string; "system" is a system turn.
    template_args: Mapping[str, Argument] = setting(dict, "adapter", "records", through="content")
    # What the backward pass recomputes instead of storing: nothing; all but the results of projections and
    # attention ("dots": cheap, and on a CPU faster than none); or everything inside a layer. auto: dots where memory allows it.
    remat: AskedRemat = setting("auto", "nothing")
    # Kernel: cudnn or splash where the device and shapes allow, else xla. One that is asked for by name is part of
    # what numbers are made from. What "auto" finds is not, as the device is not: a study may be continued elsewhere.
    # ``study.json`` names both.
    attention: Attention = setting("auto", "adapter", "records")

    @property
    def computed_in(self) -> Dtype:
        """``dtype`` where it was asked for by name or is settled. Raises ``SycojaxError`` for "auto", which is neither."""
        if self.dtype == "auto":
            raise SycojaxError(
                "base.dtype=auto is not settled: weights.precision.settled does that"
            )
        return self.dtype

    @property
    def precision(self) -> str:
        """What the same checkpoint is computed in, in words; an attention kernel where it was asked for by name."""
        quantized = "" if self.quantization == "none" else f", {self.quantization} projections"
        attention = "" if self.attention == "auto" else f", {self.attention} attention"
        return self.dtype + quantized + attention


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where rows come from and what becomes of them."""

    source: Literal["toy", "sample", "files", "hub", "array_record"] = setting(
        "toy", "adapter", "records", through="files"
    )
    # Directory of `files` / `array_record`.
    path: str = setting("", "adapter", "records", through="files")
    # Of the embedded world's rows (`toy` only); 0 = the shipped base's own world.
    world_seed: int = setting(0, "adapter", "records", through="content")
    # Files of yours, each with one more probe or benchmark: asked besides score.evaluations (docs/extending.md). What a
    # probe asks is not trained on.
    probes: tuple[str, ...] = setting((), "adapter", "records", "analysis", through="files")
    recipe: Recipe = setting("sycojax", "adapter", "records", through="content")
    # Train on rows that are test items of the same benchmark too, instead of refusing them; the report's opening says so.
    keep_test_items: bool = setting(False, "nothing")
    # Rows per task before the validation split; 0 = all. A probe's records say which of its questions these rows ask.
    train_limit: int = setting(0, "adapter", "records", through="content", steps=True)
    test_limit: int = setting(0, "records", through="content")  # rows per benchmark; 0 = all
    probe_limit: int = setting(0, "records", through="content")  # rows per probe; 0 = all
    # Questions per probe, drawn with data.seed, each with all its rows; 0 = all. What is not drawn is not trained on either.
    probe_draw: int = setting(0, "records", through="content")
    validation_fraction: float = setting(0.1, "adapter", through="content", steps=True)
    # Tokens of one training example; longer ones are cut and counted.
    max_length: int = setting(512, "adapter", through="content")
    # Of validation splits and option shuffles; data order follows train.seeds.
    seed: int = setting(42, "adapter", "records", through="content")

    def __post_init__(self) -> None:
        if not 0 < self.validation_fraction < 1:
            raise SycojaxError("data.validation_fraction must be in (0, 1)")
        if self.source in ("files", "array_record") and not self.path:
            raise SycojaxError(f"data.source={self.source!r} needs data.path")
        _at_least(
            self, 0, "train_limit", "test_limit", "probe_limit", "probe_draw", "seed", "world_seed"
        )
        _at_least(self, 2, "max_length")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How every adapter is trained. One optimiser step sees `examples_per_step` examples, whatever the packing."""

    # Which adapters there are says nothing about one of them, but a probe's records say which of its questions training asks.
    adapters: tuple[str, ...] = setting(
        (*BUILTIN.benchmarks, COMBINED, PLACEBO), "records", through="content"
    )
    seeds: tuple[int, ...] = setting((0, 1), "nothing")
    # Adapters that go through one step together. A checkpoint holds all of them.
    bank_width: int = setting(1, "continuation")
    epochs: float = setting(3.0, "adapter", own=True, steps=True)
    examples_per_step: int = setting(16, "adapter", steps=True)
    # Tokens per packed row. Dropout masks follow the rows, so that another length is another adapter.
    row_length: int = setting(512, "adapter")
    # Rows per forward and backward pass, a multiple of the devices that share them; 0: what suits these devices
    # (``weights.layout``). What does not fill a pass is computed as padding: 16 examples of 150 tokens fill five
    # rows of 512, so four rows a pass waste three.
    micro_batch_rows: int = setting(0, "nothing")
    # Places whose logits exist at one time, per device, those with a loss alone; 0: what suits these devices.
    logits_chunk: int = setting(0, "nothing")
    learning_rate: float = setting(2e-4, "adapter", own=True)
    warmup_steps: int = setting(100, "adapter", own=True)
    schedule: Literal["cosine", "constant"] = setting("cosine", "adapter", own=True)
    weight_decay: float = setting(0.01, "adapter")
    clip_norm: float = setting(1.0, "adapter")
    beta1: float = setting(0.9, "adapter")
    beta2: float = setting(0.999, "adapter")
    epsilon: float = setting(1e-8, "adapter")
    # example: every example weighs the same; token: every target token does; micro: mean over
    # `micro_examples` consecutive examples, then over those groups (transformers before 4.46).
    loss_average: Literal["example", "token", "micro"] = setting("example", "adapter")
    micro_examples: int = setting(2, "adapter")
    # Optimiser steps between validation losses, the lowest of which says which adapter is written; also measured at the end.
    eval_every: int = setting(25, "adapter")
    checkpoint_every: int = setting(50, "nothing")  # optimiser steps
    log_every: int = setting(10, "continuation")  # one run has one interval in its log

    def __post_init__(self) -> None:
        if len(set(self.adapters)) < len(self.adapters) or len(set(self.seeds)) < len(self.seeds):
            raise SycojaxError("train.adapters and train.seeds must not repeat a value")
        if not self.seeds:
            raise SycojaxError("train.seeds is empty: name at least one seed")
        _at_least(
            self, 1, "bank_width", "examples_per_step", "row_length", "micro_examples",
            "eval_every", "checkpoint_every", "log_every",
        )  # fmt: skip
        _at_least(
            self, 0, "micro_batch_rows", "logits_chunk", "warmup_steps", "weight_decay", "beta1",
            "beta2",
        )  # fmt: skip
        _positive(self, "epochs", "learning_rate", "clip_norm", "epsilon")


@dataclasses.dataclass(frozen=True)
class ScoreConfig:
    """How configurations are scored."""

    evaluations: tuple[str, ...] = setting(BUILTIN.subjects, "records", through="content")
    # Trained elsewhere: NAME=PATH of a PEFT adapter of this base.
    adapters: tuple[str, ...] = setting((), "records", through="files")
    bank_width: int = setting(1, "nothing")  # configurations that go through one pass together
    # Tokens of one padded scoring batch; 0: what the devices do fastest (``scoring.batches``).
    batch_tokens: int = setting(0, "nothing")
    # Packed row lengths.
    buckets: tuple[int, ...] = setting((64, 128, 256, 512, 1024, 2048, 4096), "nothing")
    # Prompts decoded together, per configuration; 0: chosen for the devices (``scoring.decode_sizes``).
    decode_batch: int = setting(0, "nothing")
    # As bank_width, for decoding; 0: that on a CPU, elsewhere as many as memory holds.
    decode_bank_width: int = setting(0, "nothing")
    max_new_tokens: int = setting(256, "records", through="content")  # of gsm8k answers
    # Items per probe that are asked again in the plain template and by generation; 0 = none.
    audit_items: int = setting(60, "records", through="content")
    # Items per probe that the base is asked in every readout, to choose one before any adapter is scored. On them every
    # configuration is asked whether its readout still sees. 0: no arms are asked, and nothing is claimed.
    readout_items: int = setting(60, "records", through="content")
    # Minutes that scoring may take on the machine where the study begins; 0 = any. What is left out then, and in which order,
    # is said in ``study.budget``.
    budget_minutes: float = setting(0.0, "records", through="content")
    # PROBE=READOUT takes that one whatever the base shows: several bases are compared by one readout.
    readout: tuple[str, ...] = setting((), "records", through="content")
    # sycojax: probes by likelihood. published: by the study's generation and keyword rules instead, and those
    # benchmarks it read from generated text also that way. both: side by side.
    protocol: Protocol = setting("sycojax", "records", through="content")

    def __post_init__(self) -> None:
        if list(self.buckets) != sorted(set(self.buckets)) or not self.buckets:
            raise SycojaxError("score.buckets must be increasing lengths")
        _at_least(self, 1, "bank_width", "max_new_tokens")
        _at_least(self, 0, "batch_tokens", "decode_batch", "audit_items", "readout_items")
        _at_least(self, 0, "decode_bank_width", "budget_minutes")


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices along each mesh axis; -1 for at most one axis takes what is left."""

    data: int = setting(-1, "nothing")
    # Weights lie in so many parts; 0: as few as leave half of each device's memory free (``weights.frozen``).
    fsdp: int = setting(0, "nothing")
    tensor: int = setting(1, "nothing")
    # The adapters of a bank go to different devices along `data`, which then have rows of their own; the rows of
    # an adapter are split over `fsdp` alone. Their gradients need no sum over `data`.
    bank_over_data: bool = setting(False, "nothing")

    @property
    def bank_axis(self) -> str | None:
        """The mesh axis that the adapters of a bank are laid over."""
        return "data" if self.bank_over_data else None


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """A whole study."""

    name: str = setting("study", "nothing")  # a workdir belongs to one name
    base: BaseConfig = dataclasses.field(default_factory=BaseConfig)
    lora: LoRAConfig = dataclasses.field(default_factory=LoRAConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    score: ScoreConfig = dataclasses.field(default_factory=ScoreConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)

    def __post_init__(self) -> None:
        registry = evaluations(self.data.probes)
        known = (*registry.benchmarks, COMBINED, PLACEBO)
        for name in self.train.adapters:
            if name not in known:
                raise SycojaxError(f"train.adapters: unknown adapter {name!r} (known: {known})")
        for name in self.score.evaluations:
            if name not in registry.subjects:
                raise SycojaxError(f"score.evaluations: unknown evaluation {name!r}")
        ways = {
            f"{name}={way}"
            for name in registry.probes
            if (own := registry[name].instrument)
            for way in own.readouts
        }
        for entry in self.score.readout:
            if entry not in ways:
                raise SycojaxError(f"score.readout: {entry!r} is none of {', '.join(sorted(ways))}")
        pinned = [entry.partition("=")[0] for entry in self.score.readout]
        if len(set(pinned)) < len(pinned):
            raise SycojaxError("score.readout names two readouts of one probe")

    @classmethod
    def from_config_dict(cls, config: ml_collections.ConfigDict) -> StudyConfig:
        """Convert and check. Raises ``SycojaxError`` naming an unknown key or a value of the wrong type."""
        return _build(cls, config.to_dict(), "", split=True)

    def changed(self, values: Mapping[str, Any]) -> StudyConfig:
        """A copy with other values for some dotted keys, such as ``{"train.epochs": 1.0}``.

        A key that holds a list takes a single value as a list of one. Raises ``SycojaxError`` as ``from_config_dict``.
        """
        document = self.to_dict()
        for key, value in values.items():
            *path, last = str(key).split(".")
            group: Any = document
            for part in path:
                group = group.setdefault(part, {}) if isinstance(group, dict) else None
            of_settings = isinstance(group, dict) and isinstance(group.get(last), dict)
            if not isinstance(group, dict) or (of_settings and key not in settings(self)):
                raise SycojaxError(f"unknown config key {key} (a key looks like train.epochs)")
            several = isinstance(group.get(last), tuple) and not isinstance(value, list | tuple)
            group[last] = (value,) if several else value
        return _build(type(self), document, "", split=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for ``default_config``."""
        return dataclasses.asdict(self)


def default_config() -> Any:
    """All keys with their defaults as an ``ml_collections.ConfigDict``; configs/*.py start from it."""
    return ml_collections.ConfigDict(StudyConfig().to_dict())


def inherit(file: str, name: str, *arguments: str) -> Any:
    """The config of ``name``.py, seen from where ``file`` lies, to change a few keys of; config files are no package.

    ``arguments`` are those of its ``get_config``.
    """
    return runpy.run_path(str(Path(file).parent / f"{name}.py"))["get_config"](*arguments)


def _build(cls: type, values: dict[str, Any], path: str, *, split: bool) -> Any:
    """``split``: words of a list may hold commas between them, as they come from the command line."""
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    for key in values:
        if key not in known:
            raise SycojaxError(
                f"unknown config key {path}{key!s} (known: {', '.join(sorted(known))})"
            )
    arguments = {k: _convert(hints[k], v, f"{path}{k}", split) for k, v in values.items()}
    return cls(**arguments)


def _convert(hint: Any, value: Any, key: str, split: bool) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise SycojaxError(f"config key {key} holds a group of settings, got {value!r}")
        return _build(typing.cast(type, hint), value, f"{key}.", split=split)
    origin = typing.get_origin(hint)
    if origin is Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise SycojaxError(f"config key {key}={value!r} must be one of {', '.join(allowed)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SycojaxError(f"config key {key} must be a list, got {value!r}")
        element = typing.get_args(hint)[0]
        if element is str and split:  # --config.train.adapters=gsm8k,mmlu arrives as one string
            value = [part.strip() for v in value for part in str(v).split(",") if part.strip()]
        return tuple(_convert(element, v, key, split) for v in value)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise SycojaxError(f"config key {key} holds names with values, got {value!r}")
        for name, one in value.items():
            if not isinstance(one, typing.get_args(Argument)):
                raise SycojaxError(
                    f"config key {key}.{name} must be a text, a number, True or False, got {one!r}"
                )
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise SycojaxError(f"config key {key} is more than a float holds") from error
    if (
        isinstance(hint, types.UnionType)
        or not isinstance(value, hint)
        or (hint is int and isinstance(value, bool))
    ):
        raise SycojaxError(
            f"config key {key} must be of type {getattr(hint, '__name__', hint)}, got {value!r}"
        )
    return value


def _at_least(config: Any, bound: float, *names: str) -> None:
    for name in names:
        if getattr(config, name) < bound:
            raise SycojaxError(f"{name}={getattr(config, name)} must be at least {bound}")


def _positive(config: Any, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise SycojaxError(f"{name}={getattr(config, name)} must be positive")
