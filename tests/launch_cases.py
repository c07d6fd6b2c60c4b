"""A checkout, and a world of stand-ins to launch from it into."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from launch import tpu

REPOSITORY = Path(__file__).resolve().parent.parent
VM = ("--zone=us-west4-a", "--poll=0.2")
TOOLS = (
    "gcloud", "sbatch", "srun", "scancel", "scontrol", "squeue", "kubectl", "docker", "make", "pip", "nvidia-smi",
    "sudo", "systemd-run", "systemctl", "mountpoint", "findmnt", "mount.nfs", "ssh-add", "uv", "sycojax",
)  # fmt: skip
STANDIN = f'"{sys.executable}" -I -S "{Path(__file__).parent / "launch_standins"}"'
NEW: dict[str, Any] = {
    "account": "someone@example.org",
    "zones": {"us-west4-a": ["v5litepod-8", "v5litepod-16"], "us-east5-b": ["v6e-8"]},
    "vms": {},  # name -> {state, type}
    "requests": {},  # name -> states still to come, the last one stays
    "queue": ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"],
    "fail": [],  # {match, stderr, times, leaves, halfway, preempts}: commands that hold match
    # also the steps preempt_at, reboot_at (of host), wait_for_term, wait_for_look; status
    "study": {"steps": 5},
    "slurm": {},  # signal: send USR1 once the study is under way
}


def install(directory: Path) -> dict[str, str]:
    """Make the world in ``directory``; returns the environment in which the stand-ins come first."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    (directory / "world.json").write_text(json.dumps(NEW))
    for tool in TOOLS:
        (programs / tool).write_text(f'#!/bin/sh\nexec {STANDIN} {tool} "$@"\n')
        (programs / tool).chmod(0o755)
    for tool in ("python", "python3"):  # the real one, except that it installs nothing
        (programs / tool).write_text(
            f'#!/bin/sh\ncase "$1 $2" in "-m pip" | "-m venv") exec {STANDIN} python "$@" ;; esac\n'
            f'exec "{sys.executable}" "$@"\n'
        )
        (programs / tool).chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "GIT_"))}
    environment.pop("XDG_CACHE_HOME", None)
    return environment | {"STANDINS": str(directory), "PATH": f"{programs}:{os.environ['PATH']}"}


class Place:
    """A checkout in a temporary directory, and the stand-ins first on the PATH of what is run in it."""

    def __init__(self, directory: Path, *, commit: bool = False) -> None:
        self.checkout, self.world = directory / "checkout", directory / "world"
        self.environment = install(self.world) | {"HOME": str(directory)}
        for name in ("launch", "configs"):
            shutil.copytree(
                REPOSITORY / name,
                self.checkout / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        if commit:
            (self.checkout / ".gitignore").write_text("__pycache__/\nbuild/\nruns/\n.venv/\n")
            for command in ("init", "add .", "-c user.name=t -c user.email=t@t commit -m t"):
                done = self.run("git", *command.split())
                assert done.returncode == 0, done.stderr

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run in the checkout; the output is captured."""
        return subprocess.run(
            command, cwd=self.checkout, env=self.environment, input=text, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip

    def tpu(self, command: str, *flags: str) -> subprocess.CompletedProcess[str]:
        """``python -m launch.tpu COMMAND`` for the machine that all tests use."""
        return self.run("python", "-m", "launch.tpu", command, "sycophancy", *VM, *flags)

    def tpu_here(
        self, command: str, *flags: str, name: str = "sycophancy"
    ) -> subprocess.CompletedProcess[str]:
        """The same in this process, for what needs no checkout of its own."""
        arguments = [command, name, *VM, *flags]
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = tpu.main(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def change(self, **settings: Any) -> None:
        """Set entries of the world."""
        path = self.world / "world.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    def state(self) -> dict[str, Any]:
        """What exists."""
        return json.loads((self.world / "world.json").read_text())

    def calls(self, *start: str) -> list[list[str]]:
        """The command lines that stand-ins got, those that begin like this."""
        path = self.world / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [c for c in map(json.loads, lines) if c[: len(start)] == list(start)]


def works(done: subprocess.CompletedProcess[str]) -> str:
    """It ended well; returns what it printed."""
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with status 2 and one line that holds these words; the commands shown before it do not count."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("launch: ")]
    assert done.returncode == 2, done
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]
