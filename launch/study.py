"""What is to run elsewhere: the sycojax command that stands after ``--`` on the command line of every launcher.

python -m launch.ENGINE FLAGS -- study --config=configs/toy.py --workdir=gs://my-studies/toy
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sycojax.errors import SycojaxError, exit_status

HERE = Path(__file__).resolve().parent.parent  # the checkout
SHARE = "/mnt/sycojax"  # where setup.sh mounts a share on every machine
PORT = 8476  # where process 0 of several listens
COMMANDS = ("study", "readouts", "train", "evaluate", "sweep", "calibrate")


@dataclasses.dataclass(frozen=True)
class Study:
    """A sycojax command, or with ``cells`` one for each of these cells of a sweep."""

    words: tuple[str, ...]  # all but --workdir: study --config=FILE ...
    files: tuple[str, ...]  # what it reads of the checkout: that file, and those of probes
    workdir: str  # as it was given
    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for jobs and machines, from the last part of the workdir."""
        stem = re.sub("[^a-z0-9]+", "-", self.workdir.rpartition("/")[2].lower()).strip("-")
        return (stem if stem[:1].isalpha() else f"study-{stem}")[:33].strip("-")

    def jobs(self) -> dict[str, str]:
        """The name of each job and its cell, empty for a study.

        A cell keeps its name whatever other cells there are: a number would be another cell's once the sweep has grown.
        """
        if not self.cells:
            return {self.name: ""}
        return {f"{self.name}-{hashlib.sha256(c.encode()).hexdigest()[:6]}": c for c in self.cells}

    def arguments(self, workdir: str, cell: str = "") -> list[str]:
        """What follows ``sycojax`` where it writes to ``workdir`` there."""
        return [*self.words, f"--workdir={workdir}", *([f"--cell={cell}"] if cell else [])]

    def below(self, directory: str) -> str:
        """The workdir on a file system that is mounted at ``directory`` of machines that have this checkout.

        Raises ``SycojaxError`` where it has no place there, and for a file that is not in the checkout.
        """
        self._check_files()
        if self.workdir.startswith("/") or "://" in self.workdir or ".." in self.workdir.split("/"):
            raise SycojaxError(
                f"--workdir={self.workdir} must be a relative path: it lies below {directory} there"
            )
        return f"{directory}/{self.workdir}"

    def place(self, share: str, hosts: int) -> str:
        """The workdir on machines that are made for this study: in a bucket, on a share HOST:/PATH or on the machine.

        Raises ``SycojaxError`` for a wrong one, where several hosts would not see the same, and for a file that is not
        in the checkout.
        """
        self._check_files()
        if share:
            if not re.fullmatch(r"[\w.-]+:/\S+", share):
                raise SycojaxError(f"--share={share} must be HOST:/PATH of an NFS server")
            return self.below(SHARE)
        if hosts > 1:
            raise SycojaxError(
                f"{hosts} hosts must see one file system: give --share=HOST:/PATH of an NFS server, such as Filestore"
            )
        bucket = re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+/\S*[^/\s]", self.workdir)
        if "://" in self.workdir and not bucket:
            raise SycojaxError(f"--workdir={self.workdir} must be gs://BUCKET/PATH")
        return self.workdir

    def _check_files(self) -> None:
        for file in self.files:
            place = (HERE / file).resolve()
            if file.startswith("/") or not (place.is_file() and place.is_relative_to(HERE)):
                raise SycojaxError(f"{file} is no file of the checkout, which is what runs there")


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose errors are one line."""

    def __init__(self, engine: str, usage: str) -> None:
        """``usage`` are the flags that must be given."""
        super().__init__(
            prog=f"python -m launch.{engine}", allow_abbrev=False,
            usage=f"%(prog)s {usage} [flags] -- study --config=FILE --workdir=DIR [...]",
        )  # fmt: skip
        self.add_argument("--cell", action="append", default=[], help="of a sweep; again for more")

    def error(self, message: str) -> NoReturn:
        raise SycojaxError(f"{message} (`{self.prog} --help` lists what there is)")


def options_of(parser: Parser, command_line: Sequence[str], *, others: bool = False) -> Namespace:
    """The flags, the command after ``--`` as ``study``, and with ``others`` the flags that are unknown here.

    Raises ``SycojaxError``.
    """
    ours = list(command_line)
    cut = ours.index("--") if "--" in ours else len(ours)
    if others:
        options, options.others = parser.parse_known_args(ours[:cut])
    else:
        options = parser.parse_args(ours[:cut])
    options.study = _study(ours[cut + 1 :], options.cell)
    return options


def _study(words: Sequence[str], cells: Sequence[str]) -> Study:
    example = "-- study --config=configs/toy.py --workdir=runs/toy"
    if not words or words[0] not in COMMANDS:
        raise SycojaxError(f"which study? A command ({', '.join(COMMANDS)}) goes last: {example}")
    if cells and words[0] != "sweep":
        raise SycojaxError("--cell names a cell of a sweep: it needs -- sweep ...")
    given = [word.partition("=")[::2] for word in words]
    configs = [value for name, value in given if name == "--config"]
    workdirs = [value.rstrip("/") for name, value in given if name == "--workdir"]
    if len(configs) != 1 or len(workdirs) != 1 or not workdirs[0]:
        raise SycojaxError(f"--config=FILE and --workdir=DIR are needed, once each: {example}")
    rest = tuple(word for word in words if not word.startswith("--workdir="))
    # Behind a colon, --config may have an argument for the file's get_config().
    files = (configs[0].partition(":")[0], *(v for name, v in given if name == "--probe"))
    return Study(rest, files, workdirs[0], tuple(cells))


def checked(study: Study) -> Study:
    """The study with all files of probes that its config names.

    Raises ``SycojaxError`` in sycojax's words for what it would refuse, before a machine costs money. A launcher needs
    nothing installed. Where this Python lacks a package that sycojax needs, only flags are checked, and a wrong setting
    is found where the study runs.
    """
    from sycojax.cli.dispatch import find, parse

    try:
        with contextlib.chdir(HERE):
            config = parse(*find(study.arguments(study.workdir)))["settings"].study_config()
    except ImportError:
        return study
    except SycojaxError as error:
        raise SycojaxError(f"{study.words[0]}: {error}") from error
    return dataclasses.replace(study, files=(study.files[0], *config.data.probes))


def as_yaml(documents: Sequence[Any]) -> str:
    """The documents in one text. Raises ``SycojaxError`` where the package for it is missing."""
    try:
        import yaml
    except ImportError as error:
        raise SycojaxError("the YAML package is missing: pip install pyyaml") from error
    return yaml.safe_dump_all(documents, sort_keys=False, width=10_000)


def main(
    parser: Parser,
    write: Callable[[Namespace], str],
    arguments: Sequence[str] | None,
    *,
    others: bool = False,
) -> int:
    """Print what ``write`` makes of the command line, or why there is nothing to print; returns the exit status."""

    def run() -> None:
        words = sys.argv[1:] if arguments is None else arguments
        options = options_of(parser, words, others=others)
        options.study = checked(options.study)
        print(write(options), end="")

    return exit_status("launch", run)
