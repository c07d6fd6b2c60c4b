"""What a worker of a TPU VM has: ``sudo``, systemd, ``uv`` and a Python that installs stand-ins."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from world import fail_on_demand, flag, home, say_and_leave, tell, until


def sudo(arguments: list[str]) -> None:
    if arguments[0] in ("systemd-run", "systemctl"):
        os.execvp(arguments[0], arguments)
    if arguments[0] == "mount":
        fail_on_demand(" ".join(arguments))
        mounted().write_text(arguments[-2] + "\n")
    if arguments[0] == "tee":
        (mounted().with_name(".fstab")).write_text(sys.stdin.read())


def mounted() -> Path:
    return Path(os.environ["HOME"]) / ".mounted"


def mountpoint(_: list[str]) -> None:
    sys.exit(0 if mounted().exists() else 1)


def findmnt(arguments: list[str]) -> None:
    assert arguments == ["--noheadings", "--output=SOURCE", "/mnt/sycojax"], arguments
    print(mounted().read_text(), end="")


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
    if alive():
        say_and_leave(
            "Failed to start transient service unit: Unit sycojax.service was already loaded or has a fragment file."
        )
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


def alive() -> list[int]:
    """The processes of the service."""
    return session(int(service().read_text())) if service().exists() else []


def systemctl(arguments: list[str]) -> None:
    """The unit is gone once it has ended, as of ``systemd-run --collect``."""
    told = service().with_name(".told")
    if arguments[0] == "is-active":
        state = "inactive" if not alive() else "deactivating" if told.exists() else "active"
        print(state)
        sys.exit(0 if state == "active" else 3)
    assert arguments == ["stop", "sycojax"], arguments
    if not alive():
        say_and_leave("Failed to stop sycojax.service: Unit sycojax.service not loaded.", 5)
    told.touch()
    tell(alive(), signal.SIGTERM)
    until(lambda: not alive())
    told.unlink()
