"""Whether sycojax takes a command line, asked where the launcher runs, before a machine costs money."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from launch.command import LaunchError
from launch.machine import HERE

REFUSED = 2
# A study's flags and settings are read as its own command line reads them; nothing is made.
PROGRAM = f"""
import sys
from sycojax.cli.dispatch import find, parse
from sycojax.errors import SycojaxError
try:
    parse(*find(sys.argv[1:]))["settings"].study_config()
except SycojaxError as error:
    print(error, file=sys.stderr)
    sys.exit({REFUSED})
"""


def check_settings(arguments: Sequence[str]) -> None:
    """Raise ``LaunchError`` in sycojax's words for what it would refuse of ``study --config=... --workdir=...``.

    The launcher needs nothing installed. Where this Python lacks sycojax or a package of its, nothing is checked, and
    a mistake is found where the study runs.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == REFUSED:
        raise LaunchError(f"{arguments[0]}: {done.stderr.strip().splitlines()[-1]}")
