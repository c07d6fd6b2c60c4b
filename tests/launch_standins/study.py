"""``sycojax``: a study of a few steps that keeps its place in the workdir, and can be preempted, ended or told to fail."""

from __future__ import annotations

import contextlib
import functools
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

from worker import session
from world import flag, home, local, mapped, say_and_leave, tell, until, world


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
        if step == study.get("preempt_at"):
            until(functools.partial(copied, step - 1))
            preempt()
        if step == study.get("reboot_at") and Path(os.environ["HOME"]).name == study["host"]:
            reboot()
        if step == study.get("wait_for_look"):  # `start` looks whether one runs, then whoever asks
            until(
                lambda: (home() / "calls.jsonl").read_text().count('["systemctl", "is-active"') > 1
            )
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


def copied(step: int) -> bool:
    """Whether the whole copy in a bucket holds this step."""
    for latest in (home() / "buckets").rglob("LATEST"):
        whole = latest.parent / latest.read_text()
        if (whole / "training" / "bank" / "checkpoints" / str(step) / "state").is_file():
            return True
    return False


def preempt() -> None:
    """Everything on the machine is gone from one moment to the next."""
    directory = Path(os.environ["HOME"])
    with world() as state:
        state["vms"][directory.parent.name]["state"] = "PREEMPTED"
        del state["study"]["preempt_at"]
    tell([p for p in session(os.getsid(0)) if p != os.getpid()], signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def reboot() -> None:
    """The machine's systemd ends its services by SIGTERM, and the machine comes back with its disk as it is."""
    with world() as state:
        del state["study"]["reboot_at"]
    tell(session(os.getsid(0)), signal.SIGTERM)
