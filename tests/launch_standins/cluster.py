"""Slurm's commands, ``kubectl`` and ``sky``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from world import flag, home, tell, until, world


def sbatch(arguments: list[str]) -> None:
    """Runs the script at once, again when it was requeued, in the environment that Slurm gives it."""
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


def job() -> str:
    """This job alone: in an array, 77 would be all of its tasks."""
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"77_{task}" if task else "77"


def scancel(arguments: list[str]) -> None:
    assert arguments == ["--signal=TERM", f"{job()}.0"], arguments
    tell([int(p) for p in (home() / "step").read_text().split()], signal.SIGTERM)


def scontrol(arguments: list[str]) -> None:
    assert arguments == ["requeue", job()], arguments
    (home() / "requeued").touch()


def kubectl(arguments: list[str]) -> None:
    if "--filename=-" in arguments:
        (home() / "created.yaml").write_text(sys.stdin.read())


def sky(arguments: list[str]) -> None:
    """What a managed job is launched from, by its name or the file's."""
    file = Path(arguments[-1])
    if file.suffix == ".yaml":
        name = flag(arguments, "name", file.stem)
        (home() / f"job-{name}.yaml").write_text(file.read_text())
