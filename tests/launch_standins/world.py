"""What the stand-ins know: the world they share, a directory named by ``$STANDINS``, and how they fail on demand.

``calls.jsonl`` holds every command line, in order, ``world.json`` what exists and what shall fail (``launch_cases.NEW``
has its form), ``buckets/`` and ``vms/NAME/worker-I/`` the files, the latter the workers' home directories.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def home() -> Path:
    return Path(os.environ["STANDINS"])


@contextlib.contextmanager
def world() -> Iterator[dict[str, Any]]:
    """What exists, to read and change while nobody else does."""
    with (home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = home() / "world.json"
        state = json.loads(path.read_text())
        yield state
        path.with_suffix(".new").write_text(json.dumps(state))
        path.with_suffix(".new").replace(path)


def say_and_leave(text: str, status: int = 1) -> None:
    print(text, file=sys.stderr)
    sys.exit(status)


def fail_on_demand(line: str) -> None:
    with world() as state:
        for rule in state["fail"]:
            if rule["match"] in line and rule.get("times", 1) > 0:
                rule["times"] = rule.get("times", 1) - 1
                break
        else:
            return
    say_and_leave(rule["stderr"])


def flag(arguments: list[str], name: str, default: str = "") -> str:
    return next((a.split("=", 1)[1] for a in arguments if a.startswith(f"--{name}=")), default)


def tell(processes: list[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def session(service: Path) -> list[int]:
    """The processes of a session, which stands for the control group of a service; its leader is named in the file."""
    found = []
    leader = int(service.read_text()) if service.exists() else 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if leader and int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def until(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            say_and_leave("stand-in: waited in vain", 99)
        time.sleep(0.02)


def mapped(path: str) -> str:
    return path.replace("/mnt/sycojax", str(home() / "share"))


def local(url: str) -> Path:
    return home() / "buckets" / url.removeprefix("gs://") if url.startswith("gs://") else Path(url)
