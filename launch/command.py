"""Running other programs: each is shown, ``--dry-run`` only shows, and what fails says so in one message."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


class LaunchError(Exception):
    """A problem the user can mend; printed alone (no traceback), exit status 2."""


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose errors are one line."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise LaunchError(f"{message} (`{self.prog} --help` lists what there is)")


class Failed(Exception):
    """A program ended with a non-zero ``status``; ``text`` is what it said on stderr."""

    def __init__(self, arguments: Sequence[str], status: int, text: str) -> None:
        super().__init__(f"{shlex.join(arguments)} ended with status {status}")
        self.status, self.text = status, text


class Shell:
    """Runs programs, or with ``dry_run`` prints them only, each on a line that a shell takes as it is."""

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run

    def run(self, *arguments: str) -> None:
        """Run to the end with its output in sight. Raises ``Failed``."""
        if self._show(arguments):
            return
        with self._start(arguments, stderr=subprocess.PIPE) as process:
            lines = []
            assert process.stderr is not None
            for line in process.stderr:
                print(line, end="", file=sys.stderr, flush=True)
                lines.append(line)
        if process.returncode:
            raise Failed(arguments, process.returncode, "".join(lines[-50:]))

    def ask(self, *arguments: str) -> str:
        """Run and return what it printed, stripped; empty in a dry run. Raises ``Failed``."""
        if self._show(arguments):
            return ""
        with self._start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            answer, text = process.communicate()
        if process.returncode:
            raise Failed(arguments, process.returncode, text)
        return answer.strip()

    def _show(self, arguments: Sequence[str]) -> bool:
        line = shlex.join(arguments)
        if self.dry_run:
            print(line)
        else:
            print(f"+ {line}", file=sys.stderr, flush=True)
        return self.dry_run

    def _start(self, arguments: Sequence[str], **streams: int) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(arguments, text=True, **streams)  # type: ignore[call-overload]
        except FileNotFoundError as error:
            raise LaunchError(
                f"`{arguments[0]}` is not installed or not on the PATH: {INSTALL.get(arguments[0], 'install it')}"
            ) from error


INSTALL = {
    "gcloud": "install the Google Cloud CLI (https://cloud.google.com/sdk/docs/install), then `gcloud auth login`",
    "git": "install git; the workers get this checkout's commit",
}


def run_main(body: Callable[[Sequence[str]], None], arguments: Sequence[str] | None) -> int:
    """Run ``body`` on the command line; returns the exit status."""
    try:
        body(sys.argv[1:] if arguments is None else arguments)
    except LaunchError as error:
        print(f"launch: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("launch: interrupted; what runs elsewhere goes on running", file=sys.stderr)
        return 130
    return 0
