"""The Slurm script: one node, several nodes, the time limit, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from launch_cases import Place, fails, works

from sycojax.parallel.distributed import detected

STUDY = ("study", "--config=configs/toy.py", "--workdir=runs/toy")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.environment["SYCOJAX"] = "sycojax"
    return place


def log(place: Place) -> str:
    return (place.checkout / "sycojax-77.log").read_text()


def test_one_node(place: Place) -> None:
    done = place.run("sbatch", "--gpus-per-node=4", "launch/slurm.sh", *STUDY)
    assert done.returncode == 0, log(place)
    assert place.calls("sycojax") == [["sycojax", *STUDY]]
    assert (place.checkout / "runs/toy/study.json").is_file()


def test_a_bucket_elsewhere_is_no_workdir(place: Place) -> None:
    study = (*STUDY, "--config.data.path=gs://bucket/rows")
    done = place.run("sbatch", "launch/slurm.sh", *study)
    assert done.returncode == 0, log(place)
    assert place.calls("sycojax") == [["sycojax", *study]]


def test_sycojax_that_is_not_there(place: Place) -> None:
    """As after a submission from another directory."""
    place.environment["SYCOJAX"] = ".venv/bin/sycojax --flag"
    assert place.run("sbatch", "launch/slurm.sh", *STUDY).returncode == 2
    [line] = log(place).splitlines()
    assert line.startswith(f"slurm.sh: .venv/bin/sycojax is not here ({place.checkout})")
    assert not place.calls("srun")


def test_several_nodes_have_a_process_per_gpu(place: Place) -> None:
    done = place.run(
        "sbatch", "--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=2", "launch/slurm.sh", *STUDY
    )
    assert done.returncode == 0, log(place)
    assert place.calls("sycojax") == [["sycojax", *STUDY]] * 4


def test_sycojax_joins_what_the_script_starts() -> None:
    """The variables that srun sets, by which sycojax knows that it is one of several."""
    step = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "4"}
    assert detected(step) == "Slurm"
    assert detected(step | {"SLURM_NTASKS": "1"}) == ""


@pytest.mark.parametrize("tasks", [1, 2])
def test_the_time_limit_saves_requeues_and_continues(place: Place, tasks: int) -> None:
    place.change(study={"steps": 6, "wait_for_term": 4}, slurm={"signal": True})
    flags = (f"--ntasks-per-node={tasks}", f"--gpus-per-node={tasks}")
    done = place.run("sbatch", *flags, "launch/slurm.sh", *STUDY)
    assert done.returncode == 0, log(place)
    assert place.calls("scontrol") == [["scontrol", "requeue", "77"]]
    assert "stopped by SIGTERM after step 3" in log(place)
    assert (place.checkout / "runs/toy/starts").read_text().split() == ["0", "3"]
    metrics = (place.checkout / "runs/toy/training/bank/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [1, 2, 3, 4, 5, 6]


def test_a_task_of_an_array_requeues_itself_alone(place: Place) -> None:
    """The last one has the id of the array: of that id, Slurm would requeue the others, too, unsaved."""
    place.environment |= {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "1"}
    place.change(study={"steps": 6, "wait_for_term": 4}, slurm={"signal": True})
    done = place.run("sbatch", "launch/slurm.sh", *STUDY)
    assert done.returncode == 0, log(place)
    assert place.calls("scontrol") == [["scontrol", "requeue", "77_1"]]
    assert (place.checkout / "runs/toy/starts").read_text().split() == ["0", "3"]


def test_a_study_that_fails_is_not_requeued(place: Place) -> None:
    place.change(study={"steps": 5, "status": 2})
    assert place.run("sbatch", "launch/slurm.sh", *STUDY).returncode == 2
    assert not place.calls("scontrol")
    assert "unknown config key" in log(place)


@pytest.mark.parametrize(
    ("flags", "arguments", "words"),
    [
        ((), (), "what should run?"),
        ((), STUDY[:2], "--workdir=DIR is missing"),
        ((), (*STUDY[:2], "--workdir=gs://b/x"), "must be a directory"),
        (("--ntasks-per-node=2", "--gpus-per-node=4"), STUDY, "one per GPU, --ntasks-per-node=4"),
        (("--nodes=2", "--gpus-per-node=4"), STUDY, "one per GPU, --ntasks-per-node=4"),
    ],
)  # fmt: skip
def test_refused(
    place: Place, flags: tuple[str, ...], arguments: tuple[str, ...], words: str
) -> None:
    assert place.run("sbatch", *flags, "launch/slurm.sh", *arguments).returncode == 2
    [line] = log(place).splitlines()
    assert line.startswith("slurm.sh: ")
    assert words in line
    assert not place.calls("srun")


def test_a_study_as_a_batch_script(place: Place) -> None:
    flags = ("--gpus-per-node=4", "--comment=two words")
    script = works(place.run("python", "-m", "launch.slurm", *flags, "--", *STUDY))
    assert "#SBATCH '--comment=two words'" in script.splitlines()
    (place.checkout / "study.sh").write_text(script)
    works(place.run("sbatch", "study.sh"))
    assert place.calls("sycojax") == [["sycojax", *STUDY]]
    bucket = place.run("python", "-m", "launch.slurm", "--", *STUDY[:2], "--workdir=gs://b/x")
    fails(bucket, "must be a directory that all nodes see")


def test_run_without_slurm(place: Place) -> None:
    done = place.run("bash", "launch/slurm.sh", *STUDY)
    assert done.returncode == 2
    assert done.stderr.startswith("slurm.sh: this is a batch script: sbatch ")
    assert "SLURM_JOB_ID" not in os.environ
