"""A sweep on this machine: what its cells have in common is done once, and what fails in one stays there.

Cells of one base follow each other over one copy of it. Their adapters train together wherever a bank allows it;
after that every cell is an ordinary study in ``WORKDIR/cells/NAME``, which finds its adapters made and takes the
base's records from a cell that has the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from sycojax.config import StudyConfig
from sycojax.errors import Stopped, SycojaxError
from sycojax.files import read_json
from sycojax.models.base import FrozenBase
from sycojax.parallel.distributed import by_first, is_first, on_first
from sycojax.progress import Progress
from sycojax.settings import chosen, deciding, settings
from sycojax.study.adapters import study_jobs
from sycojax.study.datasets import StudyData, prepare
from sycojax.study.inputs import Inputs, read_inputs
from sycojax.study.readouts import screening, state_with_arms
from sycojax.study.run import run
from sycojax.study.stages import Stamps, fingerprint
from sycojax.study.state import State, check_free, state_of
from sycojax.study.sweep import Cell
from sycojax.study.sweep_train import Member, train_together
from sycojax.study.sweep_workdir import cell_directory, note_failure
from sycojax.study.workdir import claim, describe
from sycojax.weights.frozen import compute_of, load_frozen
from sycojax.weights.huggingface import load_config
from sycojax.weights.precision import exact_products


def run_cells(
    cells: Sequence[Cell],
    workdir: Path,
    *,
    others: Sequence[Cell] = (),
    begin: Callable[[], None] = lambda: None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Bring every cell up to date; returns what failed, cell name -> message.

    ``others`` are cells of the sweep that are left as they are, but may have made what these need. ``begin`` is
    called before the first thing is written. Raises ``SycojaxError`` for what is no cell's own, a signal to stop, and
    when not one cell can be read: then nothing is written.
    """
    failed: dict[str, str] = {}
    members, read = [], _Reader(workdir)
    with Progress("reading", len(cells), "cell", shown=progress and is_first()) as bar:
        for cell in cells:
            try:
                members.append(read(cell))
            except SycojaxError as error:
                failed[cell.name] = _line(error)
            bar.update()
    if not members:
        alike = len(set(failed.values())) == 1
        raise SycojaxError(next(iter(failed.values())) if alike else said(failed))
    begin()

    note = by_first(say)
    for name, message in failed.items():
        on_first(lambda n=name, m=message: note_failure(workdir, n, m))
        note(f"cell      {name}: failed: {message}")
    for group in _grouped(members, lambda member: member.base):
        siblings = [*(member.cell for member in group), *others]
        work = _Work(siblings, workdir, failed, progress, note)
        with exact_products(group[0].cell.config.base.dtype):
            work.bring_up_to_date(group)
    return failed


def said(failed: Mapping[str, str]) -> str:
    """What failed in one line; cells that failed alike are named together."""
    names: dict[str, list[str]] = {}
    for name, message in failed.items():
        names.setdefault(message, []).append(name)
    return "; ".join(f"{' '.join(cells)}: {message}" for message, cells in names.items())


class _Reader:
    """What cells read, and what they need. What several have in common is read once."""

    def __init__(self, workdir: Path):
        self._workdir = workdir
        self._read: dict[str, tuple[Inputs, StudyData]] = {}

    def __call__(self, cell: Cell) -> Member:
        """Raises ``SycojaxError`` as a study does that cannot begin; nothing is written."""
        config = cell.config
        # Cells that agree in these settings read the same files and make the same of them.
        key = fingerprint(chosen(config, lambda said: said.through != "value"))
        if key not in self._read:
            given = read_inputs(config)
            self._read[key] = given, prepare(config, given.tokenizer, given.context)
        given, data = self._read[key]
        jobs = study_jobs(config, data.training)
        directory = cell_directory(self._workdir, cell.name)
        state = state_of(config, directory, given, jobs, data.requests)
        base = (given.base, compute_of(config, load_config(given.base)))
        return Member(cell, given, data, state, base)


class _Work:
    """The cells of one base."""

    def __init__(
        self, siblings: Sequence[Cell], workdir: Path, failed: dict[str, str], progress: bool,
        note: Callable[[str], None],
    ):  # fmt: skip
        self.siblings, self.workdir, self.failed = siblings, workdir, failed
        self.progress, self.note = progress, note
        self._frozen: FrozenBase | None = None

    def bring_up_to_date(self, members: Sequence[Member]) -> None:
        missing = []
        for member in members:
            with self._isolated(member.cell):
                if on_first(lambda m=member: self._finished(m)):
                    self.note(f"cell      {member.cell.name}: finished before")
                else:
                    on_first(lambda m=member: self._prepare(m))
                    missing.append(member)
        for bank in _grouped(missing, lambda member: _bank_key(member.cell.config)):
            self._train(bank)
        for member in missing:
            if member.cell.name not in self.failed:
                with self._isolated(member.cell):
                    self._complete(member)

    def _finished(self, member: Member) -> bool:
        workdir, config = member.state.workdir, member.cell.config
        check_free(workdir, "study", config.name)
        finished = _settled(member).finished()
        if finished:
            # Since it failed here the cell may have been run as a study, with a config that says the same in other words.
            note_failure(self.workdir, member.cell.name, "")
            made = read_json(workdir / "study.json")["config"]
            if fingerprint(made) != fingerprint(config.to_dict()):
                describe(workdir, config, {})
        return finished

    def _prepare(self, member: Member) -> None:
        """Take the cell's directory and copy what other cells made of the same."""
        claim(member.state.workdir, member.cell.config)
        self._borrow(member)

    def _borrow(self, member: Member) -> None:
        here = member.state.workdir
        cells = [cell_directory(self.workdir, cell.name) for cell in self.siblings]
        others = [directory for directory in cells if directory != here]
        asked = screening(member.cell.config, member.given, member.state)
        # First the base's answers by which a readout is chosen; only then is it known what else the cell needs.
        for outputs in (asked.lacking, lambda: _settled(member).lacking()):
            for output in outputs():
                Stamps(here).borrow(output.path, output.inputs, others)

    def _train(self, members: Sequence[Member]) -> None:
        if len(members) == 1:
            return  # an ordinary study
        config = members[0].cell.config
        try:
            base = self._base(config)
            diverged = train_together(
                members, base, self.workdir / "training", progress=self.progress
            )
        except Stopped:
            raise
        except (SycojaxError, jax.errors.JaxRuntimeError) as error:
            self.note(f"training {len(members)} cells together failed ({_line(error)}): one by one")
            return
        for name, message in diverged.items():
            self._fail(name, message)

    def _complete(self, member: Member) -> None:
        on_first(lambda: self._borrow(member))
        self.note(f"cell      {member.cell.name}")
        run(
            member.cell.config, member.state.workdir, progress=self.progress, say=self.note,
            base=self._base(member.cell.config), data=member.data,
        )  # fmt: skip
        on_first(lambda: note_failure(self.workdir, member.cell.name, ""))

    def _base(self, config: StudyConfig) -> FrozenBase:
        if self._frozen is None:
            self._frozen = load_frozen(config, progress=self.progress)
        return dataclasses.replace(self._frozen, lora=config.lora)

    @contextlib.contextmanager
    def _isolated(self, cell: Cell) -> Iterator[None]:
        """What the user can mend, and a device that runs out of memory, end this cell alone."""
        try:
            yield
        except Stopped:
            raise
        except (SycojaxError, jax.errors.JaxRuntimeError) as error:
            self._fail(cell.name, _line(error))

    def _fail(self, name: str, message: str) -> None:
        self.failed[name] = message
        on_first(lambda: note_failure(self.workdir, name, message))
        self.note(f"cell      {name}: failed: {message}")


def _settled(member: Member) -> State:
    config, state = member.cell.config, member.state
    return state_with_arms(config, state.workdir, member.given, state.jobs, member.data)


def _bank_key(config: StudyConfig) -> str:
    """Cells of one base can train in one bank where this is equal."""
    found, told = deciding(config, "adapter", "continuation"), settings(config)
    return fingerprint({key: value for key, value in found.items() if not told[key].own})


def _grouped(members: Sequence[Any], key: Callable[[Any], Any]) -> list[list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return list(groups.values())


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
