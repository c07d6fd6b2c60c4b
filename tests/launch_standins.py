"""Stand-ins for gcloud, Slurm, kubectl and what runs on a TPU VM. Run as a program: ``launch_standins.py TOOL ARGUMENT...``.

Their world is the directory ``$STANDINS``: ``calls.jsonl`` (every command line, in order), ``world.json`` (what exists
and what shall fail), ``buckets/`` and ``vms/NAME/worker-I/``, the home directories. ``ssh`` really runs its command
there, so the scripts that a worker gets are tested with the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOOLS = (
    "gcloud", "sbatch", "srun", "scancel", "scontrol", "squeue", "kubectl", "docker", "make", "pip", "nvidia-smi",
    "sudo", "systemd-run", "systemctl", "mountpoint", "mount.nfs", "uv", "sycojax",
)  # fmt: skip
NEW: dict[str, Any] = {
    "account": "someone@example.org",
    "zones": {"us-west4-a": ["v5litepod-8", "v5litepod-16"], "us-east5-b": ["v6e-8"]},
    "vms": {},  # name -> {state, type}
    "requests": {},  # name -> states still to come, the last one stays
    "queue": ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"],
    "fail": [],  # {match, stderr, times, leaves, halfway, preempts}: commands that hold match
    "study": {"steps": 5},  # also the steps preempt_at, wait_for_term, wait_for_look; status
    "slurm": {},  # signal: send USR1 once the study is under way
}


STANDIN = f'"{sys.executable}" -I -S "{__file__}"'


# What is done once per project; only the call matters.
ONCE = (
    ["auth", "login"], ["config", "set"], ["services", "enable"], ["storage", "buckets"], ["filestore", "instances"],
)  # fmt: skip


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
    return environment | {
        "STANDINS": str(directory), "PATH": f"{programs}:{os.environ['PATH']}", "SYCOJAX_COPY_SECONDS": "0.1",
    }  # fmt: skip


def say_and_leave(text: str, status: int = 1) -> None:
    print(text, file=sys.stderr)
    sys.exit(status)


def fail_on_demand(line: str) -> None:
    with world() as state:
        for rule in state["fail"]:
            if rule["match"] in line and rule.get("times", 1) > 0:
                rule["times"] = rule.get("times", 1) - 1
                text = rule["stderr"]
                if "leaves" in rule:
                    state["vms"][rule["leaves"]] = {"state": "CREATING", "type": "v5litepod-8"}
                if "halfway" in rule:  # a copy that had begun
                    shutil.rmtree(local(line.split()[-1]), ignore_errors=True)
                if "preempts" in rule:
                    state["vms"][rule["preempts"]]["state"] = "PREEMPTED"
                break
        else:
            return
    say_and_leave(text)


def flag(arguments: list[str], name: str, default: str = "") -> str:
    return next((a.split("=", 1)[1] for a in arguments if a.startswith(f"--{name}=")), default)


# ---------------------------------------------------------------- gcloud


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
        if (kind, verb) == ("accelerator-types", "list"):
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


def mapped(path: str) -> str:
    return path.replace("/mnt/sycojax", str(home() / "share"))


def local(url: str) -> Path:
    return home() / "buckets" / url.removeprefix("gs://") if url.startswith("gs://") else Path(url)


def storage(verb: str, rest: list[str]) -> None:
    places = [a for a in rest if not a.startswith("--")]
    if verb == "cat":
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


# ---------------------------------------------------------------- on a worker


def sudo(arguments: list[str]) -> None:
    if arguments[0] in ("systemd-run", "systemctl"):
        os.execvp(arguments[0], arguments)
    if arguments[0] == "mount":
        (Path(os.environ["HOME"]) / ".mounted").touch()
    if arguments[0] == "tee":
        sys.stdin.read()


def mountpoint(_: list[str]) -> None:
    sys.exit(0 if (Path(os.environ["HOME"]) / ".mounted").exists() else 1)


def uv(arguments: list[str]) -> None:
    if arguments[0] == "venv":
        Path(".venv/bin").mkdir(parents=True)
        shutil.copy(home() / "bin" / "python", ".venv/bin/python")
    else:
        shutil.copy(home() / "bin" / "sycojax", ".venv/bin/sycojax")


def python(arguments: list[str]) -> None:
    """Installing, for which there are stand-ins to install."""
    if arguments[:2] == ["-m", "pip"]:
        assert arguments[-2:] == ["--user", "uv"], arguments
        (Path(os.environ["HOME"]) / ".local/bin").mkdir(parents=True)
        shutil.copy(home() / "bin" / "uv", Path(os.environ["HOME"]) / ".local/bin/uv")
    elif arguments[:2] == ["-m", "venv"]:
        programs = Path(arguments[2]) / "bin"
        programs.mkdir(parents=True)
        (programs / "activate").touch()
        shutil.copy(home() / "bin" / "sycojax", programs / "sycojax")


def service() -> Path:
    return Path(os.environ["HOME"]) / ".service"


def systemd_run(arguments: list[str]) -> None:
    command = arguments[next(i for i, a in enumerate(arguments) if not a.startswith("--")) :]
    process = subprocess.Popen(
        command, cwd=flag(arguments, "working-directory"), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    service().write_text(str(process.pid))


def session(leader: int) -> list[int]:
    """The processes of a session, which stands for the service's control group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def tell(processes: list[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def systemctl(arguments: list[str]) -> None:
    leader = int(service().read_text()) if service().exists() else 0
    alive = session(leader) if leader else []
    if arguments[0] == "is-active":
        sys.exit(0 if alive else 3)
    tell(alive, signal.SIGTERM)
    until(lambda: not session(leader))


def until(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            say_and_leave("stand-in: waited in vain", 99)
        time.sleep(0.02)


def sycojax(arguments: list[str]) -> None:
    """A study of a few steps that keeps its place in the workdir, and can be preempted, ended or told to fail."""
    if arguments == ["--version"]:
        print("sycojax 0")
        return
    if not arguments or flag(arguments, "workdir") == "":
        say_and_leave("sycojax: --workdir=DIR is missing", 2)
    with world() as state:
        study = dict(state["study"])
    if "status" in study:
        say_and_leave("sycojax: unknown config key train.lr", study["status"])
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    workdir = Path(mapped(flag(arguments, "workdir")))
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
    print("report")


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


# ---------------------------------------------------------------- Slurm, Kubernetes


def sbatch(arguments: list[str]) -> None:
    """Runs the script at once, again when it was requeued, in the environment that Slurm gives it."""
    fail_on_demand("sbatch " + " ".join(arguments))
    at = next(i for i, a in enumerate(arguments) if not a.startswith("--"))
    lines = Path(arguments[at]).read_text().splitlines()
    options = [line.split()[1] for line in lines if line.startswith("#SBATCH ")]
    settings = dict(o.removeprefix("--").partition("=")[::2] for o in (*options, *arguments[:at]))
    nodes, tasks = int(settings["nodes"]), int(settings["ntasks-per-node"])
    environment = os.environ | {
        "SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": str(nodes), "SLURM_NTASKS": str(nodes * tasks),
        "SLURM_GPUS_ON_NODE": settings["gpus-per-node"], "SLURM_CPUS_PER_TASK": settings["cpus-per-task"],
    }  # fmt: skip
    print("Submitted batch job 77")
    with world() as state:
        notice = state["slurm"].pop("signal", False)
    while True:
        (home() / "requeued").unlink(missing_ok=True)
        with Path(settings["output"].replace("%j", "77")).open("a") as log:
            job = subprocess.Popen(
                ["bash", *arguments[at:]], env=environment, stdout=log, stderr=log
            )
        if notice:
            until(lambda: (home() / "under-way").exists())
            assert settings["signal"] == "B:USR1@300"
            job.send_signal(signal.SIGUSR1)
            notice = False
        status = job.wait()
        if not (home() / "requeued").exists():
            sys.exit(status)


def srun(arguments: list[str]) -> None:
    command = arguments[next(i for i, a in enumerate(arguments) if not a.startswith("--")) :]
    tasks, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_JOB_NUM_NODES"])
    steps = []
    for task in range(tasks):
        place = {
            "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task % (tasks // nodes)),
            "SLURM_STEP_NODELIST": f"node[1-{nodes}]", "SLURM_STEP_NUM_NODES": str(nodes),
        }  # fmt: skip
        steps.append(subprocess.Popen(command, env=os.environ | place))
    (home() / "step").write_text(" ".join(str(s.pid) for s in steps))
    sys.exit(max(step.wait() for step in steps))


def scancel(arguments: list[str]) -> None:
    assert arguments == ["--signal=TERM", "77.0"], arguments
    tell([int(p) for p in (home() / "step").read_text().split()], signal.SIGTERM)


def scontrol(arguments: list[str]) -> None:
    assert arguments == ["requeue", "77"], arguments
    (home() / "requeued").touch()


def kubectl(arguments: list[str]) -> None:
    fail_on_demand("kubectl " + " ".join(arguments))
    if arguments[0] == "create" and "--filename=-" in arguments:
        text = sys.stdin.read()
        if not text.strip():
            say_and_leave("error: no objects passed to create")
        (home() / "created.yaml").write_text(text)


def nothing(_: list[str]) -> None:
    """For tools of which only the call matters."""


def main() -> None:
    tool, arguments = sys.argv[1], sys.argv[2:]
    with (home() / "calls.jsonl").open("a") as stream:
        stream.write(json.dumps([tool, *arguments]) + "\n")
    # fmt: off
    bodies = {
        "gcloud": gcloud, "sbatch": sbatch, "srun": srun, "scancel": scancel, "scontrol": scontrol,
        "kubectl": kubectl, "sudo": sudo, "systemd-run": systemd_run, "systemctl": systemctl,
        "mountpoint": mountpoint, "uv": uv, "sycojax": sycojax, "python": python,
    }
    # fmt: on
    bodies.get(tool, nothing)(arguments)


if __name__ == "__main__":
    main()
