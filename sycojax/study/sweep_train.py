"""The adapters of several cells in the same banks: one compiled step for whatever differs in seed, data or rate."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from sycojax.errors import Diverged
from sycojax.models.base import FrozenBase
from sycojax.models.compute import Compute
from sycojax.parallel.distributed import on_first
from sycojax.parallel.preemption import Preemption
from sycojax.settings import deciding
from sycojax.study.adapters import write_adapter
from sycojax.study.datasets import StudyData
from sycojax.study.inputs import Inputs
from sycojax.study.stages import fingerprint
from sycojax.study.state import Output, State
from sycojax.study.sweep import Cell
from sycojax.training.bank import AdapterJob
from sycojax.training.loop import BankTrainer, TrainedAdapter


@dataclasses.dataclass(frozen=True)
class Member:
    """A cell with what it reads and what it needs."""

    cell: Cell
    given: Inputs
    data: StudyData
    state: State
    base: tuple[Path, Compute]  # cells with the same use one copy of the base


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """One adapter to train, and the cell that it is written to."""

    member: Member
    name: str  # of the adapter in its cell
    job: AdapterJob

    @property
    def output(self) -> Output:
        return self.member.state.adapters[self.name]

    @property
    def key(self) -> str:
        """Equal for equal adapters of several cells."""
        return fingerprint(self.output.inputs)


def train_together(
    members: Sequence[Member], base: FrozenBase, directory: Path, *, progress: bool
) -> dict[str, str]:
    """Train what the cells lack and write each adapter to its cell; returns the cells whose loss diverged.

    An adapter that several cells ask for is trained for the first of them. Every bank keeps its state in
    ``directory`` under a fingerprint of its adapters, so a killed sweep continues, and what was written is not
    trained again. A lane that diverges is taken out of its bank, which starts again without it; the other lanes
    get the same numbers as before. Raises what ``train_bank`` raises otherwise.
    """
    wanted: dict[str, _Wanted] = {}
    for member in members:
        own = member.cell.config.train
        for job in member.state.jobs:
            name = f"{member.cell.name}/{job.name}"
            one = _Wanted(member, job.name, dataclasses.replace(job, name=name, config=own))
            wanted.setdefault(one.key, one)
    by_job = {one.job.name: one for one in wanted.values()}
    missing = set(
        on_first(
            lambda: [n for n, one in by_job.items() if not one.member.state.current(one.output)]
        )
    )
    diverged: dict[str, str] = {}
    if not missing:
        return diverged
    # All jobs, done or not: an interrupted sweep must find its banks as they were.
    config = members[0].cell.config.train
    trainer = BankTrainer(base, [one.job for one in wanted.values()], config)
    with Preemption(base.mesh) as stop:
        for bank in trainer.banks:
            jobs, directories = [job for job in bank if job.name in missing], []
            failed: list[Diverged] = []

            def place(jobs: Sequence[AdapterJob], directories: list[Path] = directories) -> Path:
                keys = [by_job[job.name].key for job in jobs]
                own = fingerprint(keys, trainer.width, deciding(config, "continuation"))[:12]
                directories.append(directory / own)
                return directories[-1]

            trained = trainer.train_sound(jobs, place, failed, stop, progress=progress)
            for error in failed:
                cell = by_job[error.adapter].member.cell.name
                diverged.setdefault(cell, str(error))

            def write(
                directories: list[Path] = directories, trained: list[TrainedAdapter] = trained
            ) -> None:
                for result in trained:
                    one = by_job[result.name]
                    own = dataclasses.replace(result, name=one.name)
                    config, workdir = one.member.cell.config, one.member.state.workdir
                    write_adapter(config, workdir, one.output, own)
                for place in directories:  # what was needed to continue; metrics stay
                    shutil.rmtree(place / "checkpoints", ignore_errors=True)

            on_first(write)
    return diverged
