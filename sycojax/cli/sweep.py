"""``sycojax sweep``: the cells that a sweep file describes, run here or written down for other machines."""

from __future__ import annotations

import contextlib
import dataclasses
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sycojax.cli.report import report_sweep
from sycojax.cli.settings import Settings
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.parallel.distributed import is_first, on_first, shutdown
from sycojax.progress import Progress
from sycojax.study.state import check_free
from sycojax.study.sweep import Cell, plan, set_by_all
from sycojax.study.sweep_run import run_cells, said
from sycojax.study.sweep_workdir import cell_directory, describe_sweep
from sycojax.study.workdir import alone
from sycojax.weights.precision import settled


def sweep(
    settings: Settings, workdir: Path, cell: str, start: Callable[[], None], quiet: bool
) -> None:
    """Run the cells of a sweep and write the report over all of them.

    Raises ``SycojaxError`` at the end where cells failed.
    """
    study, cells = cells_of(settings)
    names = {one.name for one in choose(cells, cell)}
    start()
    cells = [_settled(one, workdir) for one in cells]
    chosen = [one for one in cells if one.name in names]
    name = Path(settings.file).stem
    on_first(lambda: check_free(workdir, "sweep", name))
    first = is_first()
    with contextlib.ExitStack() as held, Progress("sweep", shown=first and not quiet):

        def begin() -> None:
            if not cell:  # cells may be run side by side, each by itself
                held.enter_context(alone(workdir))
            on_first(lambda: describe_sweep(workdir, name, study, cells))

        failed = run_cells(chosen, workdir, others=cells, progress=not quiet, begin=begin)
    shutdown()
    if first and not cell and len(failed) < len(cells):
        report_sweep(workdir, study.data.probes, progress=not quiet)
    if failed:
        raise SycojaxError(
            f"{len(failed)} of {len(chosen)} cells of the sweep failed: {said(failed)}"
        )


def write_down(engine: str, launch: str, settings: Settings, workdir: str, cell: str) -> None:
    """Print a file for an engine that runs the cells elsewhere: what launch/ENGINE.py of the checkout makes of them.

    ``launch`` holds the flags of that writer. Raises ``SycojaxError`` for what is wrong with either.
    """
    if not Path("launch", f"{engine}.py").is_file():
        raise SycojaxError(
            f"launch/{engine}.py is not here: run this in a checkout, which the jobs start from"
        )
    try:
        flags = shlex.split(launch)
    except ValueError as error:
        raise SycojaxError(f"--launch={launch}: {error}") from error
    chosen = [f"--cell={one.name}" for one in choose(cells_of(settings)[1], cell)]
    study = ["sweep", f"--config={settings.config}", f"--workdir={workdir}", *settings.words()]
    done = subprocess.run(
        [sys.executable, "-m", f"launch.{engine}", *flags, *chosen, "--", *study],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().removeprefix("launch: ")
        raise SycojaxError(f"--emit={engine} --launch={launch!r}: {reason}")
    print(done.stdout, end="")


def cells_of(settings: Settings) -> tuple[StudyConfig, list[Cell]]:
    """The study below the sweep, with the overrides of the command line, and the cells.

    Raises ``SycojaxError`` for everything that can be wrong with them; nothing is written.
    """
    study, sweep = settings.study_config(), _description(settings.file)
    cells = plan(study, sweep)
    words = [word.partition("=")[0] for word in settings.overrides if word.startswith("--config.")]
    given = {word.removeprefix("--config."): word for word in words}
    if settings.adapters:
        given["score.adapters"] = "--adapter"
    if idle := [word for key, word in given.items() if key in set_by_all(sweep)]:
        raise SycojaxError(
            f"{idle[0]} would change nothing: every cell of {settings.file} has its own value (get_sweep() names them)"
        )
    return study, cells


def _settled(cell: Cell, workdir: Path) -> Cell:
    """The cell with its precision settled, as a study of its own settles it."""
    config = settled(cell.config, cell_directory(workdir, cell.name))
    return dataclasses.replace(cell, config=config)


def choose(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The cell of that name, or all for an empty name. Raises ``SycojaxError`` naming those there are."""
    chosen = [cell for cell in cells if name in ("", cell.name)]
    if not chosen:
        raise SycojaxError(f"no cell {name!r} (there: {', '.join(cell.name for cell in cells)})")
    return chosen


def _description(file: str) -> Any:
    """What ``get_sweep`` of a config file returns."""
    get_sweep = runpy.run_path(file).get("get_sweep")
    if get_sweep is None:
        raise SycojaxError(
            f"{file} describes no sweep: it needs a function get_sweep() beside get_config() (docs/sweeps.md)"
        )
    try:
        return get_sweep()
    except Exception as error:  # of the user's own code
        raise SycojaxError(
            f"get_sweep() of {file} fails: {type(error).__name__}: {error}"
        ) from error
