"""The directory of a sweep: ``sweep.json`` says which cells there are, ``cells/NAME`` is the study of each."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.files import read_json, write_json
from sycojax.study.sweep import Cell
from sycojax.study.workdir import commit, versions


def cell_directory(workdir: Path, name: str) -> Path:
    """Where the study of a cell is."""
    return workdir / "cells" / name


def check_sweep_free(workdir: Path, name: str) -> None:
    """Raise ``SycojaxError`` when ``workdir`` holds another sweep than ``name``, a study or other files."""
    if workdir.exists() and not workdir.is_dir():
        raise SycojaxError(f"--workdir={workdir} is a file, not a directory")
    description = workdir / "sweep.json"
    if description.exists():
        owner = read_json(description).get("name")
        if owner != name:
            raise SycojaxError(
                f"{workdir} holds the sweep {owner!r}, not {name!r}: choose another --workdir"
            )
    # What is half written is another cell of this sweep, begun at the same time.
    elif workdir.exists() and any(not p.name.startswith(".sweep.json.") for p in workdir.iterdir()):
        raise SycojaxError(f"{workdir} is not empty and holds no sweep: choose another --workdir")


def describe_sweep(workdir: Path, name: str, study: StudyConfig, cells: Sequence[Cell]) -> None:
    """Write ``sweep.json``: the cells, which may be others than before, and the study below them."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(
        workdir / "sweep.json",
        {
            "name": name,
            "study": study.name,
            "updated": now,
            "keys": list(cells[0].settings),
            "cells": [{"name": cell.name, "settings": dict(cell.settings)} for cell in cells],
            "config": study.to_dict(),
            "versions": versions(),
            "commit": commit(),
        },
    )


def note_failure(workdir: Path, name: str, message: str) -> None:
    """Keep why a cell failed, for the report; an empty message: it did not."""
    path = workdir / "failures" / f"{name}.json"
    if message:
        write_json(path, {"cell": name, "message": message})
    else:
        path.unlink(missing_ok=True)
