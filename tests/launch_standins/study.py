"""``sycojax``: a study of a few steps that keeps its place in the workdir, and can be ended or told to fail."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import site
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from world import flag, home, local, mapped, say_and_leave, until, world


def sycojax(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print("sycojax 0")
        return
    if not arguments or flag(arguments, "workdir") == "":
        say_and_leave("sycojax: --workdir=DIR is missing", 2)
    with world() as state:
        study = dict(state["study"])
    if "status" in study:
        say_and_leave("sycojax: unknown config key train.lr", study["status"])
    with kept(flag(arguments, "workdir")) as workdir:
        train(workdir, study)
    print("report")


@contextlib.contextmanager
def kept(workdir: str) -> Iterator[Path]:
    """A workdir in a bucket is kept there by sycojax itself, which needs the packages that a stand-in goes without."""
    if "://" not in workdir:
        yield Path(mapped(workdir))
        return
    site.main()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    os.environ["FSSPEC_FILE_AUTO_MKDIR"] = "true"
    from sycojax.cli import bucket

    url = f"file://{local(workdir)}"
    with bucket.kept(url, progress=False, every=0.05):
        yield bucket.local_directory(url)


def train(workdir: Path, study: dict[str, Any]) -> None:
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    first = os.environ.get("SLURM_PROCID", "0") == "0"
    checkpoints = workdir / "training" / "bank" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    done = max((int(p.name) for p in checkpoints.iterdir()), default=0)
    print(f"study continues after step {done}", flush=True)
    if first:
        with (workdir / "starts").open("a") as stream:
            stream.write(f"{done}\n")
    for step in range(done + 1, study["steps"] + 1):
        if step == study.get("wait_for_term"):
            (home() / "under-way").touch()
            until(lambda: stopped)
            with world() as state:
                state["study"].pop("wait_for_term", None)
        if stopped:
            say_and_leave(f"sycojax: stopped by SIGTERM after step {step - 1}", 2)
        if first:
            (checkpoints / str(step)).mkdir(exist_ok=True)
            (checkpoints / str(step) / "state").write_text("x" * step)
            with (workdir / "training" / "bank" / "metrics.jsonl").open("a") as stream:
                stream.write(f'{{"step": {step}}}\n')
            shutil.rmtree(checkpoints / str(step - 2), ignore_errors=True)
        time.sleep(0.02)
    if first:
        (workdir / "study.json").write_text(json.dumps({"steps": study["steps"]}))
