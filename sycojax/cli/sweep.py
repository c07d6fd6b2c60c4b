"""``sycojax sweep``: the cells that a sweep file describes, run here or written down for other machines."""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sycojax.cli.embedded import base_path, write_world
from sycojax.cli.flags import Flags
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.parallel.distributed import on_first
from sycojax.study.sweep import Cell, plan
from sycojax.study.sweep_run import run_cells
from sycojax.study.sweep_workdir import claim_sweep


def cells_of(flags: Flags) -> tuple[StudyConfig, list[Cell]]:
    """The study below the sweep, with the overrides of the command line, and the cells.

    Raises ``SycojaxError`` for everything that can be wrong with them; nothing is written.
    """
    study = flags.study_config()
    return study, plan(study, _description(flags.file))


def choose(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The cell of that name, or all for an empty name. Raises ``SycojaxError`` naming those there are."""
    chosen = [cell for cell in cells if name in ("", cell.name)]
    if not chosen:
        raise SycojaxError(f"no cell {name!r} (there: {', '.join(cell.name for cell in cells)})")
    return chosen


def run(flags: Flags) -> dict[str, str]:
    """Bring the cells up to date; returns what failed, cell name -> message."""
    study, cells = cells_of(flags)
    chosen = choose(cells, flags.cell)
    on_first(lambda: claim_sweep(flags.workdir, Path(flags.file).stem, study, cells))
    resolved = [_resolved(cell, flags.workdir) for cell in chosen]
    return run_cells(resolved, flags.workdir, others=cells, progress=not flags.quiet)


def _resolved(cell: Cell, workdir: Path) -> Cell:
    """``toy`` as plain paths; all cells of a world share its rows."""
    base, data = cell.config.base, cell.config.data
    base = dataclasses.replace(base, path=base_path(base.path))
    if data.source == "toy":
        directory = workdir / "data" / f"world-{data.world_seed}"
        on_first(lambda: write_world(workdir, directory, data.world_seed))
        data = dataclasses.replace(data, source="files", path=str(directory))
    return dataclasses.replace(cell, config=dataclasses.replace(cell.config, base=base, data=data))


def _description(file: str) -> Any:
    """What ``get_sweep`` of a config file returns."""
    get_sweep = runpy.run_path(file).get("get_sweep")
    if get_sweep is None:
        raise SycojaxError(
            f"{file} describes no sweep: it needs a function get_sweep() beside get_config() (docs/sweeps.md)"
        )
    try:
        return get_sweep()
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        NameError,
        TypeError,
        ValueError,
    ) as error:
        raise SycojaxError(
            f"get_sweep() of {file} fails: {type(error).__name__}: {error}"
        ) from error
