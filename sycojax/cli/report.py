"""Write a report and say where it is. Needs no jax, so that a report is made on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sycojax.progress import Progress

if TYPE_CHECKING:
    from sycojax.training.tracking import Tracker


def report_study(
    workdir: Path, probes: Sequence[str], tracker: Tracker | None = None, *, progress: bool = True
) -> None:
    """The report of a study; ``tracker`` is shown it, too."""
    from analysis.report import write

    said: list[str] = []
    with Progress("writing the report", shown=progress):
        index = write(workdir, probes, said.append)
    print(f"report    {index.resolve()}", *said, sep="\n          ")
    if tracker is not None:
        from sycojax.cli.tracking import conclude

        conclude(tracker, index.parent)


def report_sweep(workdir: Path, probes: Sequence[str], *, progress: bool = True) -> None:
    """The report over a sweep's cells."""
    from analysis.sweep.report import write

    with Progress("writing the report", shown=progress):
        index = write(workdir, probes)
    print(f"report    {index.resolve()}")
