"""Flags of all commands: absl and ml-collections, turned into one checked record."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags
from ml_collections import config_flags

from sycojax.cli.bucket import local_directory
from sycojax.errors import SycojaxError

if TYPE_CHECKING:
    from sycojax.config import StudyConfig


# Commands that write elsewhere or nothing; the others need --workdir.
NO_WORKDIR = ("config", "data", "doctor", "export-tasks", "plan")
# Flags of some commands alone, which would do nothing in another.
ONLY = {
    "wandb": ("study", "train", "evaluate", "report"),
    "profile": ("study", "train", "evaluate"),
    "cell": ("sweep",),
    "emit": ("sweep",),
    "launch": ("sweep",),
}


CONFIG_FILE = "such a file defines get_config(), which returns an ml_collections.ConfigDict, as configs/toy.py does"
# For a sweep, --wandb.
INSTEAD = (
    ": each cell is a study, sycojax report --workdir=WORKDIR/cells/NAME --wandb=PROJECT sends it"
)


@dataclasses.dataclass(frozen=True)
class Flags:
    """The command line, parsed."""

    workdir: Path
    bucket: str  # gs://BUCKET/PATH where --workdir is one, else ""; ``workdir`` is then the directory here
    quiet: bool
    adapter: tuple[str, ...]  # export: NAME; study and evaluate: NAME=PATH, any number of times
    to: str
    merged: bool  # export: base and adapter in one
    push_to_hub: str  # export: OWNER/NAME
    public: bool
    data: str
    name: str  # data show: a task or probe
    index: int  # data show: number of the row
    topology: str
    shape: str
    out: str
    coordinator: str  # HOST:PORT of process 0, where several processes share the work
    processes: int | None
    process: int | None
    cell: str  # sweep: run this cell alone
    emit: str  # sweep: print commands for slurm, jobset or tpu in place of running
    launch: str  # sweep: flags for those
    file: str  # --config's path
    arguments: tuple[str, ...]  # the command line as it was given
    command: str  # as it was typed
    wandb: str  # PROJECT or ENTITY/PROJECT of Weights & Biases
    profile: str  # START:STOP, training steps to trace
    config: Any  # ml_collections.ConfigDict, or None where the command needs none

    def study_config(self) -> StudyConfig:
        """The checked config. Raises ``SycojaxError`` when --config is missing or wrong."""
        from sycojax.config import StudyConfig  # which needs jax; other commands do not

        if self.config is None:
            raise SycojaxError("--config=FILE is missing, for example --config=configs/toy.py")
        config = StudyConfig.from_config_dict(self.config)
        adapters = (*config.score.adapters, *self.adapter)
        return dataclasses.replace(
            config, score=dataclasses.replace(config.score, adapters=adapters)
        )


def parse(command: str, arguments: Sequence[str]) -> Flags:
    """Parse the flags of ``command``. Raises ``SycojaxError`` naming the flag that is wrong."""
    values = absl_flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "config file", flag_values=values)
    absl_flags.DEFINE_string("workdir", None, "output directory", flag_values=values)
    absl_flags.DEFINE_boolean("quiet", False, "no progress bars", flag_values=values)
    absl_flags.DEFINE_multi_string("adapter", [], "adapter", flag_values=values)
    absl_flags.DEFINE_string("to", "", "directory to export to", flag_values=values)
    absl_flags.DEFINE_boolean("merged", False, "base and adapter in one", flag_values=values)
    absl_flags.DEFINE_string("push-to-hub", "", "OWNER/NAME to push to", flag_values=values)
    absl_flags.DEFINE_boolean("public", False, "push to all eyes", flag_values=values)
    absl_flags.DEFINE_string("data", "", "tables to examine again", flag_values=values)
    absl_flags.DEFINE_string("name", "", "task or probe to show", flag_values=values)
    absl_flags.DEFINE_integer("index", 0, "row to show", flag_values=values)
    absl_flags.DEFINE_string("topology", "", "devices to plan for", flag_values=values)
    absl_flags.DEFINE_string("shape", "", "architecture to plan", flag_values=values)
    absl_flags.DEFINE_string("out", "", "file for the plan as JSON", flag_values=values)
    absl_flags.DEFINE_string("cell", "", "cell of a sweep to run", flag_values=values)
    absl_flags.DEFINE_enum(
        "emit", "", ["", "slurm", "jobset", "tpu"], "commands to print", flag_values=values
    )
    absl_flags.DEFINE_string("launch", "", "flags of the launcher", flag_values=values)
    absl_flags.DEFINE_string("coordinator", "", "HOST:PORT of process 0", flag_values=values)
    absl_flags.DEFINE_integer("processes", None, "number of processes", flag_values=values)
    absl_flags.DEFINE_integer("process", None, "number of this process", flag_values=values)
    absl_flags.DEFINE_string("wandb", "", "project of Weights & Biases", flag_values=values)
    absl_flags.DEFINE_string("profile", "", "training steps to trace", flag_values=values)
    program = ["sycojax", *arguments]
    try:
        with _arguments(program):
            rest = values(program)[1:]
            config = values.config
            if config is not None:
                _refuse_no_config(config)
                _refuse_joined(arguments, values)
    except AttributeError as error:
        said = str(error).strip(chr(34))
        if "has no attribute" in said:  # Python's words, for what the file itself does
            raise SycojaxError(f"the config file fails: {said} ({CONFIG_FILE})") from error
        raise SycojaxError(f"unknown config key {said} in {' '.join(arguments)}") from error
    except (SyntaxError, NameError, ImportError) as error:
        raise SycojaxError(f"the config file fails: {type(error).__name__}: {error}") from error
    except (absl_flags.Error, KeyError, TypeError, ValueError) as error:
        raise SycojaxError(str(error)) from error
    except OSError as error:
        wanted = [a for a in arguments if a.startswith("--config=")]
        raise SycojaxError(
            f"cannot read the config file of {' '.join(wanted)}: {_last(error)}"
        ) from error
    if rest:
        raise SycojaxError(f"unexpected argument {rest[0]!r} (flags are written --name=value)")
    for flag, commands in ONLY.items():
        if values[flag].value and command not in commands:
            refused = f"--{flag} is a flag of {', '.join(commands)}, not of {command}"
            raise SycojaxError(
                f"{refused}{INSTEAD if (command, flag) == ('sweep', 'wandb') else ''}"
            )
    if values.launch and not values.emit:
        raise SycojaxError("--launch holds the flags of a launcher: it needs --emit=ENGINE")
    if values.workdir is None and command not in NO_WORKDIR:
        raise SycojaxError(f"--workdir=DIR is missing: where should `sycojax {command}` write?")
    workdir = values.workdir or "."
    bucket = workdir if "://" in workdir else ""
    if bucket and values.emit:
        raise SycojaxError(
            f"--workdir={bucket} is kept from one machine, where --emit is for several: give a directory that they all see"
            ", or for --emit=tpu a bucket for every cell: --launch='--bucket=gs://BUCKET/PATH ...'"
        )
    return Flags(
        local_directory(bucket) if bucket else Path(workdir), bucket, values.quiet, tuple(values.adapter), values.to,
        values.merged, values["push-to-hub"].value or "", values.public, values.data, values.name, values.index,
        values.topology, values.shape, values.out,
        values.coordinator, values.processes, values.process,
        values.cell, values.emit, values.launch, _config_file(values), tuple(arguments),
        shlex.join(("sycojax", command, *arguments)), values.wandb, values.profile, config,
    )  # fmt: skip


@contextlib.contextmanager
def _arguments(program: Sequence[str]) -> Iterator[None]:
    """ml-collections looks for ``--config.x=y`` in ``sys.argv`` itself, whatever it is given."""
    before, sys.argv = sys.argv, list(program)
    try:
        yield
    finally:
        sys.argv = before


def _refuse_no_config(config: Any) -> None:
    """Raise ``SycojaxError`` where a file's get_config() returns something else."""
    # A file that could not be read says so only when it is used.
    if not hasattr(config, "to_dict"):
        raise SycojaxError(
            f"get_config() of the config file returns a {type(config).__name__} ({CONFIG_FILE})"
        )
    config.to_dict()


def _refuse_joined(arguments: Sequence[str], values: absl_flags.FlagValues) -> None:
    """ml-collections joins the values of a list key that is given twice, where any other key keeps the last."""
    words = [word.lstrip("-").partition("=")[0] for word in arguments if word.startswith("-")]
    for word in dict.fromkeys(words):
        lists = word.startswith("config.") and isinstance(values[word].value, list)
        if lists and words.count(word) > 1:
            raise SycojaxError(
                f"--{word} is given {words.count(word)} times: write its list once, --{word}=A,B"
            )


def _config_file(values: absl_flags.FlagValues) -> str:
    return "" if values.config is None else config_flags.get_config_filename(values["config"])


def _last(error: OSError) -> str:
    return str(error).strip().splitlines()[-1].strip()
