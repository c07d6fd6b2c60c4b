"""A checkout, and a world of stand-ins to launch from it into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
TOOLS = (
    "gcloud", "sbatch", "srun", "scancel", "scontrol", "squeue", "kubectl", "sky", "docker", "make", "pip", "nvidia-smi",
    "sudo", "systemd-run", "systemctl", "mountpoint", "findmnt", "mount.nfs", "ssh-add", "uv", "sycojax",
)  # fmt: skip
STANDIN = f'"{sys.executable}" -I -S "{Path(__file__).parent / "launch_standins"}"'
NEW: dict[str, Any] = {
    "fail": [],  # {match, stderr, times}: commands that hold match
    "study": {"steps": 5},  # also the step wait_for_term; status, with which it fails
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

    def __init__(self, directory: Path) -> None:
        self.checkout, self.world = directory / "checkout", directory / "world"
        self.environment = install(self.world) | {"HOME": str(directory)}
        for name in ("launch", "configs"):
            shutil.copytree(
                REPOSITORY / name,
                self.checkout / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        (self.checkout / "sycojax").symlink_to(REPOSITORY / "sycojax")
        shutil.copy(REPOSITORY / ".gitignore", self.checkout)
        for command in ("init", "add .", "-c user.name=t -c user.email=t@t commit -m t"):
            works(self.run("git", *command.split()))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run in the checkout; the output is captured."""
        return subprocess.run(
            command, cwd=self.checkout, env=self.environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def change(self, **settings: Any) -> None:
        """Set entries of the world."""
        path = self.world / "world.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

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
    """It ended with status 2, no output and one line that holds these words."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
