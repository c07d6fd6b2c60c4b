"""The cells of a sweep: studies that differ from one config in the keys that a grid or a list names."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.settings import value_of
from sycojax.study.external import external_adapters
from sycojax.study.stages import fingerprint

LONGEST_NAME = 120  # file names end at 255 bytes, and others stand behind a cell's


@dataclasses.dataclass(frozen=True)
class Cell:
    """One study of a sweep, in ``WORKDIR/cells/NAME``."""

    name: str
    settings: Mapping[str, Any]  # every key that the sweep changes -> its value here
    config: StudyConfig


def plan(study: StudyConfig, sweep: Any) -> list[Cell]:
    """The cells of ``sweep``: a dict of lists is a grid, a list of dicts names each cell's own values.

    Raises ``SycojaxError`` on an unknown key or a wrong value (naming the cell), on an empty sweep and on cells
    that are the same study; nothing is written.
    """
    changes = _changes(sweep)
    keys = list(dict.fromkeys(key for change in changes for key in change))
    if "name" in keys:
        raise SycojaxError("a sweep cannot change the key name: its cells belong to one study")
    configs = []
    for number, change in enumerate(changes, 1):
        try:
            config = study.changed(change)
            external_adapters(config)
            if config.score.budget_minutes:
                raise SycojaxError(
                    "score.budget_minutes is for one study: cells would leave out different things"
                )
        except SycojaxError as error:
            raise SycojaxError(f"cell {number} of the sweep: {error}") from error
        configs.append(config)
    cells = [Cell("", {key: value_of(c, key) for key in keys}, c) for c in configs]
    for i, cell in enumerate(cells):
        for j in range(i):
            if cells[j].config == cell.config:
                raise SycojaxError(
                    f"cells {j + 1} and {i + 1} of the sweep are the same study: "
                    + (", ".join(f"{k}={v}" for k, v in cell.settings.items()) or "nothing changed")
                )
    return _named(cells, _short(keys))


def set_by_all(sweep: Any) -> set[str]:
    """The keys that every cell of ``sweep`` names, so that the study's own value of them is in none."""
    return set.intersection(*map(set, _changes(sweep)))


def _changes(sweep: Any) -> list[dict[str, Any]]:
    if isinstance(sweep, Mapping):
        for key, values in sweep.items():
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise SycojaxError(
                    f"the sweep's key {key} must have a list of values, got {values!r}"
                )
            if not values:
                raise SycojaxError(f"the sweep is empty: its key {key} has no values")
        found = [dict(zip(sweep, row, strict=True)) for row in itertools.product(*sweep.values())]
        changes = found if sweep else []
    elif isinstance(sweep, Sequence) and all(isinstance(change, Mapping) for change in sweep):
        changes = [dict(change) for change in sweep]
    else:
        raise SycojaxError("a sweep is a dict of lists (a grid) or a list of dicts (its cells)")
    if not changes:
        raise SycojaxError("the sweep is empty: it names no cell")
    return changes


def _short(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key, or all of it where two keys end alike."""
    ends = collections.Counter(key.rpartition(".")[2] for key in keys)
    return {key: end if ends[end := key.rpartition(".")[2]] == 1 else key for key in keys}


def _named(cells: Sequence[Cell], short: Mapping[str, str]) -> list[Cell]:
    """Names say what is particular about a cell, in characters that files, shells and URLs take as they are."""
    names = []
    for cell in cells:
        parts = [f"{short[key]}={_text(value)}" for key, value in cell.settings.items()]
        names.append(re.sub(r"[^A-Za-z0-9._=,+-]+", "-", ",".join(parts)) or "all")
    counted = collections.Counter(names)
    return [
        dataclasses.replace(cell, name=_unmistakable(name, cell, counted[name]))
        for name, cell in zip(names, cells, strict=True)
    ]


def _unmistakable(name: str, cell: Cell, same: int) -> str:
    if same == 1 and len(name) <= LONGEST_NAME:
        return name
    settings = {key: repr(value) for key, value in cell.settings.items()}
    return f"{name[: LONGEST_NAME - 9]}-{fingerprint(settings)[:8]}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
