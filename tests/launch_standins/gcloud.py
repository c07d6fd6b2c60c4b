"""``gcloud``: TPU VMs that exist in the world only, and buckets that are directories.

``ssh`` really runs its command in the worker's home directory, so what workers get is tested, too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from world import fail_on_demand, flag, home, local, mapped, say_and_leave, session, tell

# What is done once per project; only the call matters.
ONCE = (
    ["auth", "login"], ["auth", "application-default"], ["config", "set"], ["services", "enable"], ["storage", "buckets"],
    ["filestore", "instances"],
)  # fmt: skip


def gcloud(arguments: list[str]) -> None:
    fail_on_demand(" ".join(arguments))
    if arguments[:2] in ONCE:
        print("10.0.0.2" if "describe" in arguments else "done")
    elif arguments[0] == "storage":
        storage(arguments[1], arguments[2:])
    elif arguments[:3] == ["compute", "tpus", "tpu-vm"]:
        verb, rest = arguments[3], arguments[4:]
        assert flag(rest, "zone"), arguments
        {"create": create, "describe": describe, "ssh": ssh, "scp": scp, "delete": delete}[verb](rest)  # fmt: skip
    else:
        say_and_leave(f"ERROR: (gcloud) Invalid choice: '{arguments[0]}'.", 2)


def slice_of(rest: list[str]) -> Path:
    """The directory of the slice that is named first, with one for each worker."""
    directory = home() / "vms" / rest[0]
    if not directory.exists():
        say_and_leave(f"ERROR: (gcloud) NOT_FOUND: Resource '{rest[0]}' was not found")
    return directory


def create(rest: list[str]) -> None:
    directory, accelerator = home() / "vms" / rest[0], flag(rest, "accelerator-type")
    if directory.exists():
        say_and_leave(f"ERROR: (gcloud) ALREADY_EXISTS: Resource '{rest[0]}' already exists")
    chips = int(accelerator.rpartition("-")[2])
    for worker in range(1 if chips <= 8 else chips // 4):
        (directory / f"worker-{worker}").mkdir(parents=True)
    (directory / "type").write_text(accelerator)


def describe(rest: list[str]) -> None:
    print((slice_of(rest) / "type").read_text())


def delete(rest: list[str]) -> None:
    for worker in workers([rest[0], "--worker=all"]):
        tell(session(worker / ".service"), signal.SIGKILL)
    shutil.rmtree(slice_of(rest))


def workers(rest: list[str]) -> list[Path]:
    every = sorted(slice_of(rest).glob("worker-*"))
    worker = flag(rest, "worker", "0")
    return every if worker == "all" else [every[int(worker)]]


def ssh(rest: list[str]) -> None:
    status = 0
    for directory in workers(rest):
        environment = os.environ | {"HOME": str(directory)}
        command = ["bash", "-c", flag(rest, "command")]
        done = subprocess.run(command, cwd=directory, env=environment, check=False)
        status = status or done.returncode
    sys.exit(status)


def scp(rest: list[str]) -> None:
    *sources, target = [a for a in rest if not a.startswith("--")]
    name, here, path = target.partition(":")
    if here:
        for directory in workers([name, *rest]):
            for source in sources:
                shutil.copy(source, directory / path if path else directory)
        return
    name, _, path = sources[0].partition(":")
    shutil.copytree(workers([name, *rest])[0] / mapped(path), target)


def storage(verb: str, rest: list[str]) -> None:
    places = [local(a) for a in rest if not a.startswith("--")]
    if verb == "ls":
        buckets = home() / "buckets"
        found = sorted(buckets.glob(str(places[0].relative_to(buckets))))
        if not found:  # as of an empty bucket
            say_and_leave("ERROR: (gcloud.storage.ls) One or more URLs matched no objects.")
        print("\n".join(f"gs://{path.relative_to(buckets)}" for path in found))
    elif verb == "cat":
        if not places[0].is_file():
            say_and_leave("ERROR: (gcloud.storage.cat) The following URLs matched no objects")
        print(places[0].read_text(), end="")
    elif verb == "rsync":
        shutil.copytree(places[0], places[1], dirs_exist_ok=True)
    else:
        say_and_leave(f"ERROR: (gcloud.storage) Invalid choice: '{verb}'.", 2)
