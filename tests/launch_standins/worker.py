"""What a worker of a TPU VM has: ``sudo``, systemd, ``uv`` and a Python that installs stand-ins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from world import fail_on_demand, flag, home, say_and_leave, session, tell, until


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
    if session(service()):
        say_and_leave(
            "Failed to start transient service unit: Unit sycojax.service was already loaded or has a fragment file."
        )
    log = next(a for a in arguments if "StandardOutput=append:" in a).partition("append:")[2]
    keep_status = 'trap : TERM; "$@"; echo $? >"$HOME/.status"'
    with Path(log).open("a") as stream:
        process = subprocess.Popen(
            ["sh", "-c", keep_status, "sh", *command], cwd=flag(arguments, "working-directory"),
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip
    service().write_text(str(process.pid))


def systemctl(arguments: list[str]) -> None:
    processes = session(service())
    if arguments[0] == "show":
        status = service().with_name(".status")
        running = service().read_text() if processes else "0"
        ended = status.read_text().strip() if status.exists() and not processes else "0"
        print(running if flag(arguments, "property") == "MainPID" else ended)
    elif arguments[0] == "stop":
        if not processes:
            say_and_leave("Failed to stop sycojax.service: Unit sycojax.service not loaded.", 5)
        tell(processes, signal.SIGTERM)
        until(lambda: not session(service()))
