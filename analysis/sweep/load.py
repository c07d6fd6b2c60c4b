"""Read a sweep directory: which cells there are, and what was measured in each, seeds of one setting together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from analysis.records.load import BASE, Configuration, Study, load, section
from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.records import COMBINED, PLACEBO

SEEDS, ADAPTERS = "train.seeds", "train.adapters"


@dataclasses.dataclass(frozen=True)
class Point:
    """One adapter at one setting, all of its seeds; ``group`` is its name in the joined study."""

    group: str
    adapter: str
    # By key of the sweep; seeds and adapters are no settings, and an adapter that was trained elsewhere has none.
    settings: Mapping[str, Any]
    cells: tuple[str, ...]
    steps: tuple[int, ...]  # optimiser steps of each seed
    best_steps: tuple[int, ...]  # of each seed, where its validation loss was lowest
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
class CellState:
    """What became of a cell; finished and incomplete ones are in the report."""

    word: Literal["finished", "incomplete", "outdated", "failed", "not run"]
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Everything the report over a sweep is made from."""

    directory: Path
    document: Mapping[str, Any]  # sweep.json
    factors: tuple[str, ...]  # the keys that cells differ in, without seeds and adapters
    families: tuple[Family, ...]
    states: Mapping[str, CellState]  # by cell
    studies: Mapping[str, Study]  # by cell, those that are in the report

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the cells."""
        return tuple(point for family in self.families for point in family.points)


@dataclasses.dataclass(frozen=True)
class _Cell:
    name: str
    settings: Mapping[str, Any]
    study: Study


def load_sweep(directory: Path, probes: Sequence[str | Path] = ()) -> Sweep:
    """Read ``directory/sweep.json`` and the studies in ``directory/cells``.

    A cell that failed, was not run, or was made with other settings than the sweep has now is left out; ``states``
    says so. Raises ``SycojaxError`` when sweep.json is missing or of an earlier sycojax, or no cell has records.
    """
    document = read_json(directory / "sweep.json")
    if "compared" not in document:
        raise SycojaxError(
            f"{directory} was made by an earlier sycojax, and does not say which settings its cells must share: report "
            f"them one by one (--workdir={directory / 'cells'}/NAME), or run the sweep again in another --workdir"
        )
    cells, states = [], {}
    for entry in document["cells"]:
        name = entry["name"]
        failure = directory / "failures" / f"{name}.json"
        place = directory / "cells" / name
        if failure.is_file():
            states[name] = CellState("failed", read_json(failure)["message"])
            continue
        states[name] = CellState("not run")
        # A cell is described before it is scored, and its base may be scored before an adapter.
        if not any(place.glob("records/*/*.jsonl")):
            continue
        study = load(place, probes)
        if len(study.configurations) < 2:
            continue
        if other := _outdated(document, entry["settings"], study):
            states[name] = CellState("outdated", other)
            continue
        cells.append(_Cell(name, entry["settings"], study))
        states[name] = CellState(
            "incomplete" if study.missing else "finished", " ".join(study.missing)
        )
    if not cells:
        why = [f"; {name} {s.word}: {s.message}" for name, s in states.items() if s.message][:1]
        raise SycojaxError(
            f"no cell of the sweep in {directory} has records to report{''.join(why)}"
        )
    factors = tuple(key for key in document["keys"] if key not in (SEEDS, ADAPTERS))
    families: dict[str, list[_Cell]] = {}
    for cell in cells:
        families.setdefault(_basis(cell.study.document), []).append(cell)
    joined = tuple(_join(directory, members, factors) for members in families.values())
    studies = {cell.name: cell.study for cell in cells}
    return Sweep(directory, document, factors, joined, states, studies)


def label(settings: Mapping[str, Any]) -> str:
    """ "learning_rate=0.001, train_limit=60"."""
    pairs = zip(short_names(list(settings)), settings.values(), strict=True)
    return ", ".join(f"{name}={setting_text(value)}" for name, value in pairs)


def short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2]


def short_names(keys: Sequence[str]) -> list[str]:
    """``short`` of each key, or all of it where two of them end alike (base.path and data.path)."""
    ends = [short(key) for key in keys]
    return [end if ends.count(end) == 1 else key for end, key in zip(ends, keys, strict=True)]


def setting_text(value: Any) -> str:
    """A setting as text."""
    if isinstance(value, list):
        return "+".join(map(setting_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _outdated(document: Mapping[str, Any], settings: Mapping[str, Any], study: Study) -> str:
    """In which settings the records differ from what the sweep asks for now; "" where they do not."""
    if "basis" not in study.document:
        return "it was made by an earlier sycojax"
    wanted, made = _flat(document["config"]) | dict(settings), _flat(study.document["config"])
    differ = [
        f"{key} was {setting_text(made[key])}, is {setting_text(wanted[key])}"
        for key in document["compared"]
        if key in wanted and made.get(key, wanted[key]) != wanted[key]
    ]
    return f"{'; '.join(differ)}: run the sweep again" if differ else ""


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value."""
    return {
        f"{group}.{name}": value
        for group, values in config.items()
        if isinstance(values, Mapping)
        for name, value in values.items()
    }


def _basis(document: Mapping[str, Any]) -> str:
    """Where it is equal, the base gave the same answers to the same questions."""
    return json.dumps(document["basis"], sort_keys=True)


def _join(directory: Path, cells: Sequence[_Cell], factors: Sequence[str]) -> Family:
    """One study whose adapters are the points; equal seeds of a point are taken once."""
    first = cells[0].study
    measures = {}
    for cell in cells:  # any of them: the base's answers are the same
        for key, found_measures in cell.study.measures.items():
            if key[0] == BASE:
                measures.setdefault(key, found_measures)
    configurations = [Configuration(BASE, BASE, None)] if measures else []
    found: dict[str, list[tuple[_Cell, Configuration]]] = {}
    own: dict[str, Mapping[str, Any]] = {}
    for cell in cells:
        elsewhere = _elsewhere(cell.study.document)
        for configuration in cell.study.configurations:
            if configuration.adapter == BASE:
                continue
            outside = configuration.name in elsewhere
            settings = {} if outside else {key: cell.settings[key] for key in factors}
            group = ", ".join(p for p in (configuration.adapter, label(settings)) if p)
            seeds = found.setdefault(group, [])
            own[group] = settings
            if any(c.seed == configuration.seed for _, c in seeds):
                continue
            seeds.append((cell, configuration))
            name = f"{cell.name}/{configuration.name}"
            configurations.append(dataclasses.replace(configuration, name=name, adapter=group))
            for evaluation in cell.study.evaluations:
                key = configuration.name, evaluation
                if key in cell.study.measures:
                    measures[name, evaluation] = cell.study.measures[key]
    points = tuple(_point(group, seeds, own[group]) for group, seeds in found.items())
    registry = first.registry
    evaluations = tuple(e for e in registry if any(e in c.study.evaluations for c in cells))
    study = Study(
        directory,
        {**first.document, "scoring": {"determinism": _least_steady(cells)}},
        tuple(configurations),
        evaluations,
        measures,
        {},
        {},
        {},
        (),
        registry=registry,
    )
    return Family(study, points)


def _least_steady(cells: Sequence[_Cell]) -> dict[str, float]:
    """How far scores moved when they were asked again, in the cell where they moved furthest."""
    worst: dict[str, float] = {}
    for cell in cells:
        for how, moved in section(cell.study.document, "scoring", "determinism").items():
            if isinstance(moved, int | float):
                worst[how] = max(moved, worst.get(how, 0.0))
    return worst


def _elsewhere(document: Mapping[str, Any]) -> set[str]:
    """Names of configurations whose adapter was trained elsewhere, and so is the same at every setting."""
    return {c["name"] for c in document.get("configurations", []) if "source" in c}


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
        _examples(seeds[0][0].study.document, adapter) if trained[0] else 0,
    )


def _examples(document: Mapping[str, Any], adapter: str) -> int:
    counts = document.get("data", {}).get("training_examples", {})
    tasks = counts if adapter in (COMBINED, PLACEBO) else {adapter: counts.get(adapter, {})}
    return sum(int(task.get("train", 0)) for task in tasks.values())
