"""The Slurm script: one node, several nodes, the time limit, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from launch_cases import Place, fails, works

STUDY = ("study", "--config=configs/toy.py", "--workdir=runs/toy")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.environment["SYCOJAX"] = "sycojax"
    return place


def log(place: Place) -> str:
    return (place.checkout / "sycojax-77.log").read_text()


def test_one_node(place: Place) -> None:
    study = (*STUDY, "--config.data.path=gs://bucket/rows")  # which is no workdir
    works(place.run("sbatch", "--gpus-per-node=4", "launch/slurm.sh", *study))
    assert place.calls("sycojax") == [["sycojax", *study]]
    assert (place.checkout / "runs/toy/study.json").is_file()


def test_sycojax_that_is_not_there(place: Place) -> None:
    """As after a submission from another directory."""
    place.environment["SYCOJAX"] = ".venv/bin/sycojax --flag"
    assert place.run("sbatch", "launch/slurm.sh", *STUDY).returncode == 2
    [line] = log(place).splitlines()
    assert line.startswith(f"slurm.sh: .venv/bin/sycojax is not here ({place.checkout})")
    assert not place.calls("srun")


def test_several_nodes_have_a_process_per_gpu(place: Place) -> None:
    flags = ("--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=2")
    works(place.run("sbatch", *flags, "launch/slurm.sh", *STUDY))
    assert place.calls("sycojax") == [["sycojax", *STUDY]] * 4


@pytest.mark.parametrize(
    ("tasks", "array", "job"),
    [
        (1, {}, "77"),
        (2, {}, "77"),
        # The last task has the id of the array: of that id, Slurm would requeue the others, too, unsaved.
        (1, {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "1"}, "77_1"),
    ],
)
def test_the_time_limit_saves_and_requeues(
    place: Place, tasks: int, array: dict[str, str], job: str
) -> None:
    place.environment |= {"STUDY_WAITS": "1", **array}
    flags = (f"--ntasks-per-node={tasks}", f"--gpus-per-node={tasks}")
    done = place.run("sbatch", *flags, "launch/slurm.sh", *STUDY)
    assert done.returncode == 0, log(place)
    assert place.calls("scancel") == [["scancel", "--signal=TERM", f"{job}.0"]]
    assert log(place).count("the study stops") == tasks
    assert place.calls("scontrol") == [["scontrol", "requeue", job]]


def test_a_study_that_fails_is_not_requeued(place: Place) -> None:
    place.environment["STUDY_STATUS"] = "3"
    assert place.run("sbatch", "launch/slurm.sh", *STUDY).returncode == 3
    assert not place.calls("scontrol")
    assert "sycojax: a wrong setting" in log(place)


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
    fails(place.run("bash", "launch/slurm.sh", *STUDY), "slurm.sh: this is a batch script: sbatch ")
