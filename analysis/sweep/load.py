"""Read a sweep directory: which cells there are, and what was measured in each, seeds of one setting together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.load import BASE, Configuration, Study, load
from sycojax.errors import SycojaxError
from sycojax.files import read_json

SEEDS, ADAPTERS = "train.seeds", "train.adapters"
# Settings that say what the base is and what is asked: where they are equal, so are the base's answers.
_ASKED = {
    "base": ("path", "tokenizer", "dtype", "quantization", "chat_template", "attention"),
    "data": ("source", "path", "world_seed", "recipe", "test_limit", "probe_limit", "seed"),
    "score": ("evaluations", "audit_items", "protocol", "max_new_tokens"),
}


@dataclasses.dataclass(frozen=True)
class Point:
    """One adapter at one setting, all of its seeds; ``group`` is its name in the joined study."""

    group: str
    adapter: str
    settings: Mapping[str, Any]  # by key of the sweep; seeds and adapters are no settings
    cells: tuple[str, ...]
    steps: tuple[int, ...]  # optimiser steps of each seed
    best_steps: tuple[int, ...]  # where the adapter with the lowest validation loss was kept
    examples: int  # training examples

    @property
    def label(self) -> str:
        """What is particular about its setting."""
        return label(self.settings)


@dataclasses.dataclass(frozen=True)
class Family:
    """Points whose base gave the same answers to the same questions, joined to one study."""

    study: Study
    points: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Everything the report over a sweep is made from."""

    directory: Path
    document: Mapping[str, Any]  # sweep.json
    factors: tuple[str, ...]  # the keys that cells differ in, without seeds and adapters
    families: tuple[Family, ...]
    states: Mapping[str, str]  # by cell: "finished", "not run", or why it failed

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the cells."""
        return tuple(point for family in self.families for point in family.points)


@dataclasses.dataclass(frozen=True)
class _Cell:
    name: str
    settings: Mapping[str, Any]
    study: Study


def load_sweep(directory: Path) -> Sweep:
    """Read ``directory/sweep.json`` and the studies in ``directory/cells``.

    A cell that failed or was not run is named in ``states``. Raises ``SycojaxError`` when sweep.json is missing or
    no cell has records.
    """
    document = read_json(directory / "sweep.json")
    cells, states = [], {}
    for entry in document["cells"]:
        name = entry["name"]
        failure = directory / "failures" / f"{name}.json"
        place = directory / "cells" / name
        # A cell is described before it is scored; its records are there when all of them are.
        states[name] = read_json(failure)["message"] if failure.is_file() else "not run"
        if not failure.is_file() and (place / "records").is_dir():
            study = load(place)
            if len(study.configurations) > 1:
                cells.append(_Cell(name, entry["settings"], study))
                states[name] = "finished" if not study.missing else "incomplete"
    if not cells:
        raise SycojaxError(f"no cell of the sweep in {directory} has records yet")
    factors = tuple(key for key in document["keys"] if key not in (SEEDS, ADAPTERS))
    families: dict[str, list[_Cell]] = {}
    for cell in cells:
        families.setdefault(_asked(cell.study.document), []).append(cell)
    joined = tuple(_join(directory, members, factors) for members in families.values())
    return Sweep(directory, document, factors, joined, states)


def label(settings: Mapping[str, Any]) -> str:
    """ "learning_rate=0.001, train_limit=60"."""
    return ", ".join(f"{short(key)}={shown(value)}" for key, value in settings.items())


def short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2]


def shown(value: Any) -> str:
    """A setting as text."""
    if isinstance(value, list):
        return "+".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _asked(document: Mapping[str, Any]) -> str:
    config = document.get("config", {})
    chosen = {g: {k: config.get(g, {}).get(k) for k in keys} for g, keys in _ASKED.items()}
    return json.dumps([document.get("base_fingerprint"), chosen], sort_keys=True)


def _join(directory: Path, cells: Sequence[_Cell], factors: Sequence[str]) -> Family:
    """One study whose adapters are the points; equal seeds of a point are taken once."""
    first = cells[0].study
    base = [c for c in first.configurations if c.adapter == BASE]
    configurations = list(base)
    measures = {(c.name, e): first.measures[c.name, e] for c in base for e in first.evaluations
                if (c.name, e) in first.measures}  # fmt: skip
    records = {key: n for key, n in first.records.items() if key[0] == BASE}
    found: dict[str, list[tuple[_Cell, Configuration]]] = {}
    for cell in cells:
        settings = {key: cell.settings[key] for key in factors}
        for configuration in cell.study.configurations:
            if configuration.adapter == BASE:
                continue
            group = ", ".join(p for p in (configuration.adapter, label(settings)) if p)
            seeds = found.setdefault(group, [])
            if any(c.seed == configuration.seed for _, c in seeds):
                continue
            seeds.append((cell, configuration))
            name = f"{cell.name}/{configuration.name}"
            configurations.append(Configuration(name, group, configuration.seed))
            for evaluation in cell.study.evaluations:
                key = configuration.name, evaluation
                if key in cell.study.measures:
                    measures[name, evaluation] = cell.study.measures[key]
                    records[name, evaluation] = cell.study.records[key]
    points = tuple(
        _point(group, seeds, {key: seeds[0][0].settings[key] for key in factors})
        for group, seeds in found.items()
    )
    evaluations = tuple(e for e in first.evaluations)
    study = Study(
        directory, first.document, tuple(configurations), evaluations, measures, {}, records, {}, ()
    )
    return Family(study, points)


def _point(
    group: str, seeds: Sequence[tuple[_Cell, Configuration]], settings: Mapping[str, Any]
) -> Point:
    adapter = seeds[0][1].adapter
    trained = [cell.study.document.get("training", {}).get(c.name, {}) for cell, c in seeds]
    return Point(
        group,
        adapter,
        settings,
        tuple(dict.fromkeys(cell.name for cell, _ in seeds)),
        tuple(int(t["steps"]) for t in trained if "steps" in t),
        tuple(int(t["best_step"]) for t in trained if "best_step" in t),
        _examples(seeds[0][0].study.document, adapter),
    )


def _examples(document: Mapping[str, Any], adapter: str) -> int:
    counts = document.get("data", {}).get("training_examples", {})
    tasks = counts if adapter == "combined" else {adapter: counts.get(adapter, {})}
    return sum(int(task.get("train", 0)) for task in tasks.values())
