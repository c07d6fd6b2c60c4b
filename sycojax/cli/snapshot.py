"""A workdir as it is at one moment, while a study writes to it."""

from __future__ import annotations

import fnmatch
import os
import shutil
import time
from pathlib import Path

from sycojax.errors import SycojaxError

Files = dict[str, list[int]]  # path in the workdir -> size in bytes, time of the last change in ns
# Written on in place all the time, and cut to what a checkpoint knows when a study continues; the rest is W&B's own.
LOGS = ("metrics.jsonl", "scoring.jsonl", "events.out.*", "wandb")


def freeze(workdir: Path, still: Path) -> Files:
    """Make ``still`` a copy of ``workdir`` as it is at one moment; returns what it holds.

    A study writes a stamp only after the files that the stamp stands for. A copy that mixes two moments could hold a
    stamp without its files, so a copy during which a file changed is made again. Raises ``SycojaxError`` when files
    change during every try.
    """
    for _ in range(20):
        shutil.rmtree(still, ignore_errors=True)
        try:
            before = _held(workdir)
            shutil.copytree(workdir, still, copy_function=_take, ignore=_unfinished)
            if before == _held(workdir):
                return _held(still, logs=True)
        except (shutil.Error, FileNotFoundError):  # a file was replaced or went meanwhile
            pass
        time.sleep(0.1)
    raise SycojaxError(f"{workdir} changes too fast to be copied")


def _held(directory: Path, logs: bool = False) -> Files:
    held = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        logged = any(fnmatch.fnmatch(part, log) for part in name.parts for log in LOGS)
        if path.is_file() and (logs or not logged) and not any(map(_is_temporary, name.parts)):
            held[str(name)] = [path.stat().st_size, path.stat().st_mtime_ns]
    return held


def _unfinished(_: str, names: list[str]) -> list[str]:
    return [name for name in names if _is_temporary(name)]


def _is_temporary(name: str) -> bool:
    """Of ours, whose names start with a dot, or of orbax."""
    return name.startswith(".") or ".orbax-checkpoint-tmp" in name


def _take(source: str, target: str) -> None:
    """Copy a file; one of a checkpoint, which is large and never changes, is linked in place of copied."""
    if "checkpoints" in Path(source).parts:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
