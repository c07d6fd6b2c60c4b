"""What a worker of a TPU VM has: ``sudo``, systemd, ``uv`` and a Python that installs stand-ins."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from world import flag, home, tell, until


def sudo(arguments: list[str]) -> None:
    if arguments[0] in ("systemd-run", "systemctl"):
        os.execvp(arguments[0], arguments)
    if arguments[0] == "mount":
        (Path(os.environ["HOME"]) / ".mounted").touch()
    if arguments[0] == "tee":
        sys.stdin.read()


def mountpoint(_: list[str]) -> None:
    sys.exit(0 if (Path(os.environ["HOME"]) / ".mounted").exists() else 1)


def uv(arguments: list[str]) -> None:
    if arguments[0] == "venv":
        Path(".venv/bin").mkdir(parents=True)
        shutil.copy(home() / "bin" / "python", ".venv/bin/python")
    else:
        shutil.copy(home() / "bin" / "sycojax", ".venv/bin/sycojax")


def python(arguments: list[str]) -> None:
    """Installing, for which there are stand-ins to install."""
    if arguments[:2] == ["-m", "pip"]:
        assert arguments[-2:] == ["--user", "uv"], arguments
        (Path(os.environ["HOME"]) / ".local/bin").mkdir(parents=True)
        shutil.copy(home() / "bin" / "uv", Path(os.environ["HOME"]) / ".local/bin/uv")
    elif arguments[:2] == ["-m", "venv"]:
        programs = Path(arguments[2]) / "bin"
        programs.mkdir(parents=True)
        (programs / "activate").touch()
        shutil.copy(home() / "bin" / "sycojax", programs / "sycojax")


def service() -> Path:
    return Path(os.environ["HOME"]) / ".service"


def systemd_run(arguments: list[str]) -> None:
    command = arguments[next(i for i, a in enumerate(arguments) if not a.startswith("--")) :]
    process = subprocess.Popen(
        command, cwd=flag(arguments, "working-directory"), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    service().write_text(str(process.pid))


def session(leader: int) -> list[int]:
    """The processes of a session, which stands for the service's control group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def systemctl(arguments: list[str]) -> None:
    leader = int(service().read_text()) if service().exists() else 0
    alive = session(leader) if leader else []
    if arguments[0] == "is-active":
        sys.exit(0 if alive else 3)
    tell(alive, signal.SIGTERM)
    until(lambda: not session(leader))
