"""A checkout to launch from, and stand-ins for all programs that launching calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TOOLS = (
    "gcloud", "sbatch", "srun", "scancel", "scontrol", "squeue", "kubectl", "sky", "docker", "pip", "nvidia-smi",
    "sudo", "systemctl", "mountpoint", "findmnt", "mount.nfs", "ssh-add", "uv", "sycojax",
)  # fmt: skip
STANDIN = f'exec bash "{Path(__file__).with_name("launch_standins.sh")}"'


class Place:
    """A checkout in a temporary directory, and the stand-ins first on the PATH of what is run in it."""

    def __init__(self, directory: Path) -> None:
        self.checkout, self.world = directory / "checkout", directory / "world"
        (self.world / "bin").mkdir(parents=True)
        for tool in TOOLS:
            self.program(tool, f'{STANDIN} {tool} "$@"')
        for tool in ("python", "python3"):  # the real one, except that it installs nothing
            self.program(
                tool,
                f'case "$1 $2" in "-m pip" | "-m venv") {STANDIN} python "$@" ;; esac\n'
                f'exec "{sys.executable}" "$@"',
            )
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "GIT_"))},
            "STANDINS": str(self.world),
            "PATH": f"{self.world / 'bin'}:{os.environ['PATH']}",
            "HOME": str(directory),
        }
        for name in ("launch", "configs"):
            shutil.copytree(
                REPOSITORY / name,
                self.checkout / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        (self.checkout / "sycojax").symlink_to(REPOSITORY / "sycojax")
        shutil.copy(REPOSITORY / ".gitignore", self.checkout)
        works(self.run("git", "init"))
        self.commit()

    def program(self, name: str, body: str) -> None:
        """A shell script on the PATH."""
        file = self.world / "bin" / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def commit(self) -> None:
        """Commit what is in the checkout."""
        works(self.run("git", "add", "."))
        works(self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run in the checkout; the output is captured."""
        return subprocess.run(
            command, cwd=self.checkout, env=self.environment, capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip

    def calls(self, *start: str) -> list[list[str]]:
        """The command lines that stand-ins got, those that begin like this."""
        path = self.world / "calls"
        lines = path.read_text().split("\36")[:-1] if path.exists() else []
        calls = [line.split("\37")[:-1] for line in lines]
        return [call for call in calls if call[: len(start)] == list(start)]


def works(done: subprocess.CompletedProcess[str]) -> str:
    """It ended well; returns what it printed."""
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with status 2, no output and one line that holds these words."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
