"""Where the Google Cloud CLI is installed, its own reference knows every flag that the launcher gives it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from launch_cases import Place, works

TYPE = "--type=v5litepod-8"
STUDY = ("--", "study", "--config=configs/toy.py")
EVERYWHERE = {"--quiet", "--project", "--format", "--filter"}  # of every gcloud command


def printed(place: Place) -> list[list[str]]:
    """What the commands print in a dry run, with and without a bucket, a queue and spot; and the worker's own."""
    lines = []
    for flags in (
        ("keep", TYPE, "--spot", "--bucket=gs://bucket/path", *STUDY), ("create", TYPE, "--spot"), ("fetch",), ("delete",),
    ):  # fmt: skip
        done = place.tpu_here(flags[0], "--dry-run", "--project=p", *flags[1:])
        lines += works(done).splitlines()
    return [shlex.split(line.replace('"', "")) for line in lines if line.startswith("gcloud ")]


@pytest.mark.slow
def test_gcloud_knows_every_flag(tmp_path: Path) -> None:
    gcloud = shutil.which("gcloud")
    if not gcloud:
        pytest.skip("the Google Cloud CLI is not installed")
    # `--help` asks nobody and needs no account; a settings directory of its own keeps it from the user's.
    environment = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / "config")}
    given: dict[tuple[str, ...], set[str]] = {}
    for words in printed(Place(tmp_path)):
        depth = 3 if words[1] in ("storage", "auth") else 5 + (words[4] == "accelerator-types")
        flags = {w.partition("=")[0] for w in words if w.startswith("--")}
        given.setdefault(tuple(words[1:depth]), set()).update(flags - EVERYWHERE)
    assert len(given) == 14, "\n".join(map(" ".join, sorted(given)))
    for command, flags in given.items():
        done = subprocess.run(
            [gcloud, *command, "--help"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        known = set(re.findall(r"--[a-z][a-z-]+", done.stdout))
        assert flags <= known, (command, flags - known)
