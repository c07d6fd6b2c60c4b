"""Flags that several commands take, and what a command is. Imports nothing heavy."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeVar

from sycojax.errors import SycojaxError

Run = TypeVar("Run", bound=Callable[..., None])


class Flag(NamedTuple):
    """A flag, as ``argparse`` is told of it."""

    name: str
    settings: dict[str, Any]


def flag(name: str, metavar: str, help: str, **settings: Any) -> Flag:
    """A flag with a value, which is "" where it is left out."""
    return Flag(name, {"metavar": metavar, "help": help, "default": "", **settings})


def switch(name: str, help: str) -> Flag:
    """A flag without a value."""
    return Flag(name, {"help": help, "action": "store_true"})


def config(what: str, *, required: bool = False) -> Flag:
    """The flag of a config file, of which ``what`` says what it is for."""
    keys = (
        "every key can be overridden: --config.train.learning_rate=1e-4 --config.train.seeds=0,1,2"
    )
    return flag("--config", "FILE", f"{what}; {keys}", required=required)


CONFIG = config("a config file, such as configs/toy.py", required=True)
WORKDIR = flag(
    "--workdir", "DIR",
    "the directory of the study, where everything is written; gs://BUCKET/PATH keeps it in a bucket (docs/launch.md)",
    required=True,
)  # fmt: skip
TO = flag("--to", "DIR", "a new directory for what is written", required=True)
ADAPTERS = flag(
    "--adapter", "NAME=PATH",
    "also score a PEFT adapter of this base that was trained elsewhere, any number of times; NAME-s0, NAME-s1, ... "
    "are its seeds",
    action="append", default=[],
)  # fmt: skip
PROBES = flag(
    "--probe", "FILE",
    "also take the evaluation that this Python file declares, any number of times (docs/extending.md)",
    action="append", default=[],
)  # fmt: skip
WANDB = flag(
    "--wandb", "PROJECT",
    "also log to Weights & Biases, as one run per workdir (pip install 'sycojax[wandb]'; ENTITY/PROJECT, "
    "WANDB_MODE=offline as wandb knows them)",
)  # fmt: skip
PROFILE = flag(
    "--profile", "START:STOP",
    "trace these training steps into DIR/profile, for TensorBoard or Perfetto",
)  # fmt: skip
QUIET = switch("--quiet", "no progress, neither bars on a terminal nor lines in a log")
PROCESSES = (
    flag(
        "--coordinator", "HOST:PORT",
        "several processes share the work, and process 0 listens there; all see one file system. Not needed under Slurm, "
        "Open MPI, on a TPU slice or in a Kubernetes job; there, --processes=1 asks for a run of its own",
    ),
    flag("--processes", "N", "how many processes share the work", type=int, default=None),
    flag("--process", "I", "which of them this is, 0 to N - 1", type=int, default=None),
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SycojaxError(f"{message} (`{self.prog} --help`)")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command: the function that gets its flags by name, and what ``--help`` says of it."""

    name: str
    run: Callable[..., None]
    flags: dict[str, Flag]

    @property
    def summary(self) -> str:
        """What it does: the first paragraph of the function's docstring."""
        return " ".join((self.run.__doc__ or "").partition("\n\n")[0].split())

    def parser(self) -> argparse.ArgumentParser:
        """For its flags, and for what ``--help`` prints."""
        parser = _Parser(f"sycojax {self.name}", description=self.summary, allow_abbrev=False)
        for one in self.flags.values():
            parser.add_argument(one.name, **one.settings)
        return parser


COMMANDS: dict[str, Command] = {}  # by name, in the order of ``sycojax --help``


def command(name: str, *flags: Flag) -> Callable[[Run], Run]:
    """Make the function below it the command ``name``, which takes these flags."""

    def add(run: Run) -> Run:
        COMMANDS[name] = Command(name, run, {flag.name: flag for flag in flags})
        return run

    return add
