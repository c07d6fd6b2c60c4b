"""The directory of a sweep: ``sweep.json`` says which cells there are, ``cells/NAME`` is the study of each."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.files import write_json
from sycojax.settings import settings
from sycojax.study.state import FORMAT
from sycojax.study.sweep import Cell
from sycojax.study.workdir import commit, versions


def cell_directory(workdir: Path, name: str) -> Path:
    """Where the study of a cell is."""
    return workdir / "cells" / name


def keys_of_report(study: StudyConfig) -> dict[str, list[str]]:
    """What the report over a sweep, which sees no config classes, must know of the settings.

    ``compared``: in these a cell must agree with the sweep to belong to its report. (Another base and other rows are
    known by what they hold.) ``lengths``: these change how many training steps there are.
    """
    said = settings(study)
    decide = {k for k, s in said.items() if not s.affects.isdisjoint(("adapter", "records"))}
    return {
        "compared": [key for key in said if key in decide and said[key].through != "files"],
        "lengths": [key for key in said if said[key].steps],
    }


def describe_sweep(workdir: Path, name: str, study: StudyConfig, cells: Sequence[Cell]) -> None:
    """Write ``sweep.json``: the cells, which may be others than before, and the study below them."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(
        workdir / "sweep.json",
        {
            "format": FORMAT,
            "name": name,
            "study": study.name,
            "updated": now,
            "keys": list(cells[0].settings),
            **keys_of_report(study),
            "cells": [{"name": cell.name, "settings": dict(cell.settings)} for cell in cells],
            "config": study.to_dict(),
            "versions": versions(),
            "commit": commit(),
        },
    )


def note_failure(workdir: Path, name: str, message: str) -> None:
    """Write down why a cell failed, for the report; an empty message: it did not."""
    path = workdir / "failures" / f"{name}.json"
    if message:
        write_json(path, {"cell": name, "message": message})
    else:
        path.unlink(missing_ok=True)
