"""The cells of a sweep as a file for an engine that distributes them, written by ``launch/`` of the checkout."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sycojax.errors import SycojaxError


def emitted(engine: str, launch: str, cells: Sequence[str], command: Sequence[str]) -> str:
    """What ``--emit=ENGINE``, a module of launch/, prints: a job for each of these cells of ``command`` (``sweep --config=FILE --workdir=DIR ...``).

    ``launch`` holds the flags of the engine's writer. Raises ``SycojaxError`` with what the writer finds wrong.
    """
    if not Path("launch", f"{engine}.py").is_file():
        raise SycojaxError(
            f"launch/{engine}.py is not here: run this in a checkout, which the jobs start from"
        )
    try:
        flags = shlex.split(launch)
    except ValueError as error:
        raise SycojaxError(f"--launch={launch}: {error}") from error
    writer = [sys.executable, "-m", f"launch.{engine}"]
    done = subprocess.run(
        [*writer, *flags, *(f"--cell={cell}" for cell in cells), "--", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().removeprefix("launch: ")
        raise SycojaxError(f"--emit={engine} --launch={launch!r}: {reason}")
    return done.stdout
