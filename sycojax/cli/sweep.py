"""``sycojax sweep``: the cells that a sweep file describes, run here or written down for other machines."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sycojax.cli.flags import Flags
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.parallel.distributed import on_first
from sycojax.study.sweep import Cell, plan, set_by_all
from sycojax.study.sweep_run import run_cells
from sycojax.study.sweep_workdir import check_sweep_free, describe_sweep


def cells_of(flags: Flags) -> tuple[StudyConfig, list[Cell]]:
    """The study below the sweep, with the overrides of the command line, and the cells.

    Raises ``SycojaxError`` for everything that can be wrong with them; nothing is written.
    """
    study, sweep = flags.study_config(), _description(flags.file)
    cells = plan(study, sweep)
    words = [word.lstrip("-").partition("=")[0] for word in flags.arguments if word[:1] == "-"]
    given = {word.removeprefix("config."): f"--{word}" for word in words if word[:7] == "config."}
    if "adapter" in words:
        given["score.adapters"] = "--adapter"
    if idle := [word for key, word in given.items() if key in set_by_all(sweep)]:
        raise SycojaxError(
            f"{idle[0]} would change nothing: every cell of {flags.file} has its own value (get_sweep() names them)"
        )
    return study, cells


def choose(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The cell of that name, or all for an empty name. Raises ``SycojaxError`` naming those there are."""
    chosen = [cell for cell in cells if name in ("", cell.name)]
    if not chosen:
        raise SycojaxError(f"no cell {name!r} (there: {', '.join(cell.name for cell in cells)})")
    return chosen


def run(
    flags: Flags, study: StudyConfig, cells: Sequence[Cell], chosen: Sequence[Cell]
) -> dict[str, str]:
    """Bring the chosen cells of all up to date; returns what failed, cell name -> message."""
    workdir, name = flags.workdir, Path(flags.file).stem
    on_first(lambda: check_sweep_free(workdir, name))
    return run_cells(
        chosen, workdir, others=cells, progress=not flags.quiet,
        begin=lambda: on_first(lambda: describe_sweep(workdir, name, study, cells)),
    )  # fmt: skip


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
        ImportError,
        LookupError,
        NameError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        raise SycojaxError(
            f"get_sweep() of {file} fails: {type(error).__name__}: {error}"
        ) from error
