"""A sweep as commands for the engines that distribute: a Slurm array, a JobSet or a TPU VM per cell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from sycojax.cli.settings import Settings
from sycojax.errors import SycojaxError
from sycojax.study.stages import fingerprint
from sycojax.study.sweep import Cell

# In the checkout, from which all of these commands are started.
SLURM = Path("launch/slurm.sh")
SHARE = "/mnt/sycojax"  # where launch/tpu.py mounts a share
NEEDED = {
    "jobset": ("--topology=v5e:2x4 --image=IMAGE --claim=CLAIM", ("--topology=", "--image=", "--claim=")),
    "tpu": ("--zone=ZONE --type=v5litepod-8 --bucket=gs://BUCKET/PATH", ("--zone=", "--type=")),
}  # fmt: skip


def commands(
    engine: str, launch: str, settings: Settings, workdir: Path, cells: Sequence[Cell]
) -> str:
    """What ``--emit`` prints: one batch script for Slurm, else one command per cell; each cell is named once.

    Raises ``SycojaxError`` when ``--launch`` lacks what the launcher cannot do without.
    """
    try:
        options = shlex.split(launch)
    except ValueError as error:
        raise SycojaxError(f"--launch={launch}: {error}") from error
    example, needed = NEEDED.get(engine, ("", ()))
    missing = [flag for flag in needed if not any(word.startswith(flag) for word in options)]
    if missing:
        raise SycojaxError(
            f"--emit={engine} needs --launch with {', '.join(missing)} for example --launch={example!r}"
        )
    config, overrides = f"--config={settings.config}", settings.words()
    if engine == "slurm":
        return _slurm(workdir, cells, options, [config, *overrides])
    one = _jobset if engine == "jobset" else _tpu
    return "\n".join(
        one(workdir, cell, _name(settings, workdir, cell), options, config, overrides)
        for cell in cells
    )


def _name(settings: Settings, workdir: Path, cell: Cell) -> str:
    """Of the JobSet or machine of a cell, as both take it: the cell's whatever other cells are emitted with it.

    A number would be another cell's once a sweep has grown, and whoever runs the commands again would take that one's
    machine for this one's.
    """
    stem = re.sub("[^a-z0-9]+", "-", Path(settings.file).stem.lower()).strip("-")
    if not stem[:1].isalpha():
        stem = f"sweep-{stem}"
    return f"{stem[:33]}-{fingerprint(workdir.name, cell.name)[:6]}"


def _slurm(workdir: Path, cells: Sequence[Cell], launch: Sequence[str], study: list[str]) -> str:
    """A batch script: task I of the array runs cell I as ``launch/slurm.sh`` runs a study."""
    if not SLURM.is_file():
        raise SycojaxError(
            f"{SLURM} is not here: run this in a checkout, which the jobs start from"
        )
    settings = [
        line for line in SLURM.read_text(encoding="utf-8").splitlines()
        if line.startswith("#SBATCH") and "--output" not in line
    ]  # fmt: skip
    arguments = shlex.join(["sweep", *study, f"--workdir={workdir}"])
    return "\n".join(
        (
            "#!/usr/bin/env bash",
            "# A sweep as a Slurm array: sbatch THIS_FILE, from the checkout; options of sbatch override these lines.",
            *settings,
            f"#SBATCH --array=0-{len(cells) - 1}",
            "#SBATCH --output=sycojax-%A_%a.log",
            *(f"#SBATCH {shlex.quote(option)}" for option in launch),
            "cells=(",
            *(f"  {shlex.quote(cell.name)}" for cell in cells),
            ")",
            f'exec bash {SLURM} {arguments} --cell="${{cells[$SLURM_ARRAY_TASK_ID]}}"',
        )
    )


def _jobset(
    workdir: Path, cell: Cell, name: str, launch: Sequence[str], config: str, overrides: list[str]
) -> str:
    sweep = [f"--name={name}", f"--cell={cell.name}", f"--sweep={workdir.name}"]
    words = ["python", "-m", "launch.kubernetes", config, *sweep, *launch]
    return f"{shlex.join([*words, *(['--', *overrides] if overrides else [])])} | kubectl create --filename=-"


def _tpu(
    workdir: Path, cell: Cell, name: str, launch: Sequence[str], config: str, overrides: list[str]
) -> str:
    own, to = list(launch), str(workdir)
    if any(word.startswith("--bucket=") for word in launch):
        # A bucket keeps the workdir of one machine; fetched, the cells come together.
        own = [f"{word}/{cell.name}" if word.startswith("--bucket=") else word for word in launch]
    else:
        own.append(f"--workdir={SHARE}/{workdir.name}")
        to += f"-{name.rpartition('-')[2]}"  # all of the share, once per machine
    words = ["python", "-m", "launch.tpu", "keep", name, *own, f"--to={to}"]
    return shlex.join([*words, "--", "sweep", config, *overrides, f"--cell={cell.name}"])
