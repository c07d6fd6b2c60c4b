"""``gcloud``: TPU VMs and queued resources that exist in the world only, and buckets that are directories.

``ssh`` really runs its command in the worker's home directory, so the scripts that a worker gets are tested, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from world import fail_on_demand, flag, home, local, mapped, say_and_leave, world

# What is done once per project; only the call matters.
ONCE = (
    ["auth", "login"], ["config", "set"], ["services", "enable"], ["storage", "buckets"], ["filestore", "instances"],
)  # fmt: skip


def gcloud(arguments: list[str]) -> None:
    fail_on_demand(" ".join(arguments))
    if arguments[:2] == ["auth", "list"]:
        with world() as state:
            print(state["account"])
    elif arguments[:2] in ONCE:
        print("10.0.0.2" if "describe" in arguments else "done")
    elif arguments[0] == "storage":
        storage(arguments[1], arguments[2:])
    elif arguments[:2] == ["compute", "tpus"]:
        tpus(arguments[2], arguments[3], arguments[4:])
    else:
        say_and_leave(f"ERROR: (gcloud) Invalid choice: '{arguments[0]}'.", 2)


def tpus(kind: str, verb: str, rest: list[str]) -> None:
    zone = flag(rest, "zone")
    with world() as state:
        if (kind, verb) == ("locations", "list"):
            print("\n".join(state["zones"]))
            return
        if (kind, verb, rest[0]) == ("tpu-vm", "accelerator-types", "list"):
            print("\n".join(state["zones"][zone]))
            return
    name = next(a for a in rest if not a.startswith("--"))
    if verb in ("ssh", "scp"):
        (ssh if verb == "ssh" else scp)(rest)
        return
    with world() as state:
        vms, requests = state["vms"], state["requests"]
        there = requests if kind == "queued-resources" else vms
        if verb == "create":
            if name in there or name in vms:
                say_and_leave(f"ERROR: (gcloud) ALREADY_EXISTS: Resource '{name}' already exists")
            if kind == "queued-resources":
                requests[name] = list(state["queue"])
                state.setdefault("asked", {})[name] = flag(rest, "accelerator-type")
            else:
                boot(state, name, flag(rest, "accelerator-type"))
        elif name not in there:
            say_and_leave(f"ERROR: (gcloud) NOT_FOUND: Resource '{name}' was not found")
        elif verb == "describe" and kind == "queued-resources":
            now = requests[name][0]
            if len(requests[name]) > 1:
                requests[name].pop(0)
            if now == "ACTIVE" and name not in vms:
                boot(state, name, state["asked"][name])
            if vms.get(name, {}).get("state") == "PREEMPTED":
                now = "SUSPENDED"
            print(now)
        elif verb == "describe":
            print(f"{vms[name]['state']}\t{vms[name]['type']}")
        elif verb == "delete":
            if kind == "queued-resources":
                del requests[name]
            vms.pop(name, None)
            shutil.rmtree(home() / "vms" / name, ignore_errors=True)
        else:
            say_and_leave(f"ERROR: (gcloud) Invalid choice: '{verb}'.", 2)


def boot(state: dict[str, Any], name: str, accelerator: str) -> None:
    chips = int(accelerator.rpartition("-")[2])
    for worker in range(1 if chips <= 8 else chips // 4):
        (home() / "vms" / name / f"worker-{worker}").mkdir(parents=True)
    state["vms"][name] = {"state": "READY", "type": accelerator}


def workers(rest: list[str], name: str) -> list[Path]:
    with world() as state:
        if state["vms"].get(name, {}).get("state") != "READY":
            say_and_leave("ERROR: (gcloud) [/usr/bin/ssh] exited with return code [255].", 255)
    every = sorted((home() / "vms" / name).iterdir())
    worker = flag(rest, "worker", "0")
    return every if worker == "all" else [every[int(worker)]]


def ssh(rest: list[str]) -> None:
    command = flag(rest, "command").replace(
        "tail -n 100 -F", "until [ -s sycojax.log ]; do sleep 0.05; done; tail -n 100"
    )  # which would not end
    every = workers(rest, rest[0])
    print(f"Using ssh batch size of {len(every)}.", file=sys.stderr, flush=True)
    status = 0
    for worker, directory in enumerate(every):
        print(f"SSH: Attempting to connect to worker {worker}...", file=sys.stderr, flush=True)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=directory,
            env=os.environ | {"HOME": str(directory)},
            check=False,
        )
        if done.returncode:  # the remote command's; gcloud adds no ERROR line to it
            status = done.returncode
            if len(every) > 1:
                print(f"##### Command execution on worker {worker} failed", file=sys.stderr)
    sys.exit(status)


def scp(rest: list[str]) -> None:
    *sources, target = [a for a in rest if not a.startswith("--")]
    if ":" in target:
        name, _, path = target.partition(":")
        for directory in workers(rest, name):
            for source in sources:
                shutil.copy(source, directory / path if path else directory)
        return
    name, _, path = sources[0].partition(":")
    shutil.copytree(workers(rest, name)[0] / mapped(path), target)


def storage(verb: str, rest: list[str]) -> None:
    places = [a for a in rest if not a.startswith("--")]
    if verb == "ls":
        if not local(places[0]).is_dir():  # as of an empty bucket
            say_and_leave("ERROR: (gcloud.storage.ls) One or more URLs matched no objects.")
    elif verb == "cat":
        if not local(places[0]).is_file():
            say_and_leave(
                f"ERROR: (gcloud.storage.cat) The following URLs matched no objects or files:\n-{places[0]}"
            )
        print(local(places[0]).read_text(), end="")
    elif verb == "cp" and places[0] == "-":
        local(places[1]).parent.mkdir(parents=True, exist_ok=True)
        local(places[1]).write_text(sys.stdin.read())
    elif verb == "rsync":
        source, target = local(places[0]), local(places[1])
        if not source.is_dir():
            say_and_leave(
                f"ERROR: (gcloud.storage.rsync) Did not find existing container at: {places[0]}"
            )
        if "--delete-unmatched-destination-objects" in rest:
            shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        say_and_leave(f"ERROR: (gcloud.storage) Invalid choice: '{verb}'.", 2)
