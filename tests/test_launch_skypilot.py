"""Tasks of SkyPilot: what its own parser makes of them, and what a machine does with them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from launch_cases import Place, fails, works

from launch.skypilot import main
from sycojax.planning.slices import GENERATIONS, Slice

STUDY = ("--", "study", "--config=configs/toy.py", "--workdir=gs://studies/toy")
ON_SHARE = ("--", "study", "--config=configs/toy.py", "--workdir=runs/toy")
SHARE = "--share=10.0.0.2:/studies"
TPU = "--accelerators=tpu-v5litepod-8"
SWEEP = ("--cell=rate=1,limit=2", "--cell=rate=2", "--", "sweep", "--config=configs/sweeps/toy.py", "--workdir=gs://studies/rates")  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(place: Place, *flags: str) -> subprocess.CompletedProcess[str]:
    return place.run("python", "-m", "launch.skypilot", *flags)


def task_of(place: Place, *flags: str) -> dict[str, Any]:
    return yaml.safe_load(works(write(place, *flags)))


def task_in(script: str) -> str:
    """The task that the script of a sweep writes into a file."""
    return script[script.index("name: ") : script.index("TASK\nlaunch()")]


def test_a_machine_runs_the_study(place: Place, tmp_path: Path) -> None:
    """As SkyPilot would: files, setup, run; and the commit is the one that was checked out."""
    task = task_of(place, TPU, "--spot", *STUDY, "--config.name=two words")
    home = tmp_path / "machine"
    home.mkdir()
    for target, source in task["file_mounts"].items():
        target = home / target.removeprefix("~/")
        target.write_bytes((place.checkout / source).read_bytes())
    place.environment["HOME"] = str(home)
    for step in ("setup", "run"):
        works(place.run("bash", "-c", task[step]))
    assert ["sycojax", *STUDY[1:3], "--config.name=two words", STUDY[3]] in place.calls("sycojax")
    head = works(place.run("git", "rev-parse", "HEAD"))
    assert works(place.run("git", "-C", str(home / "sycojax"), "rev-parse", "HEAD")) == head
    assert (place.world / "buckets/studies/toy/LATEST").is_file()


def test_nodes_find_each_other(place: Place, tmp_path: Path) -> None:
    task = task_of(place, "--accelerators=H100:8", "--nodes=2", SHARE, *ON_SHARE)
    assert task["num_nodes"] == 2
    assert task["setup"] == "bash ~/setup.sh cuda,gcs 10.0.0.2:/studies"
    programs = tmp_path / "sycojax/.venv/bin"  # HOME is tmp_path
    programs.mkdir(parents=True)
    (programs / "sycojax").symlink_to(place.world / "bin/sycojax")
    place.environment |= {
        "SKYPILOT_NODE_IPS": "10.0.0.7\n10.0.0.8", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1",
    }  # fmt: skip
    works(place.run("bash", "-c", task["run"]))
    [call] = place.calls("sycojax")
    assert call[-4:] == [
        "--workdir=/mnt/sycojax/runs/toy", "--coordinator=10.0.0.7:8476", "--processes=2", "--process=1",
    ]  # fmt: skip


def test_a_job_for_every_cell(place: Place) -> None:
    script = works(write(place, TPU, "--hub-token", *SWEEP))
    works(place.run("bash", "-c", script))
    launched = place.calls("sky", "jobs", "launch")
    assert [[w for w in c if w.startswith("--env")] for c in launched] == [["--env=CELL=rate=1,limit=2"], ["--env=CELL=rate=2"]]  # fmt: skip
    assert all("--secret=HF_TOKEN" in call for call in launched)
    task = yaml.safe_load(task_in(script))
    assert task["envs"] == {"CELL": None}
    assert task["run"].endswith('--workdir=gs://studies/rates/"$CELL" --cell="$CELL"'), "one each"
    shared = works(write(place, TPU, SHARE, *SWEEP[:-1], "--workdir=runs/rates"))
    assert '--workdir=/mnt/sycojax/runs/rates --cell="$CELL"' in shared, "one for all"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (STUDY, "required: --accelerators"),
        (("--accelerators=tpu-v5e-8", *STUDY), "unknown TPU type 'v5e-8' (known: v4-N, v5litepod-N"),
        (("--accelerators=H100", *STUDY), "must be GPU:COUNT"),
        (("--accelerators=H100:8", "--nodes=0", *STUDY), "--nodes=N"),
        (("--accelerators=tpu-v5litepod-16", *STUDY), "4 hosts must see one file system"),
        ((TPU, "--nodes=2", *STUDY), "--nodes is for GPUs"),
        ((TPU, *ON_SHARE), "would be lost with the machine"),
    ],
)  # fmt: skip
def test_bad_input(refused: Callable[..., str], flags: tuple[str, ...], said: str) -> None:
    assert said in refused(*flags, main=main)


def test_a_checkout_with_changes_is_refused(place: Place) -> None:
    (place.checkout / "new.py").touch()
    fails(write(place, TPU, *STUDY), "the checkout has changes (new.py, ...)")


# ---------------------------------------------------------------- SkyPilot itself

# It asks for another click than huggingface-hub, so `make parity` installs it beside, in an environment of its own.
SKY = Path(sys.prefix) / "sky" / "bin"
PARSE = """
import json, sys, sky, yaml
found = []
for text in json.load(sys.stdin):
    task = sky.Task.from_yaml_config(
        yaml.safe_load(text), env_overrides=[("CELL", "rate=1")], secrets_overrides=[("HF_TOKEN", "x")])
    task.expand_and_validate_file_mounts()
    [resources] = task.resources
    found.append({
        "accelerators": resources.accelerators, "args": resources.accelerator_args, "spot": resources.use_spot,
        "nodes": task.num_nodes, "envs": task.envs, "cloud": str(resources.cloud), "run": task.run})
print("FOUND", json.dumps(found))
"""


NEEDED = pytest.mark.skipif(not SKY.is_dir(), reason="SkyPilot is not installed: make parity does")


@pytest.mark.parity
@NEEDED
def test_skypilot_reads_them_as_they_are_meant(place: Place) -> None:
    sweep = works(write(place, TPU, "--spot", "--hub-token", *SWEEP))
    types = [
        Slice(g, topology).type for g in GENERATIONS.values() for topology in g.topologies[-1:]
    ]
    texts = [
        works(write(place, "--accelerators=H100:8", "--nodes=2", "--hub-token", SHARE, *ON_SHARE)),
        task_in(sweep),
        *(works(write(place, f"--accelerators=tpu-{t}", SHARE, *ON_SHARE)) for t in types),
    ]
    done = subprocess.run(
        [SKY / "python", "-c", PARSE], input=json.dumps(texts), cwd=place.checkout, env=place.environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    gpu, cell, *slices = json.loads(done.stdout.partition("FOUND ")[2])
    assert (gpu["accelerators"], gpu["nodes"], gpu["spot"]) == ({"H100": 8}, 2, False)
    assert (cell["accelerators"], cell["spot"], cell["cloud"]) == ({"tpu-v5litepod-8": 1}, True, "GCP")  # fmt: skip
    assert cell["envs"]["CELL"] == "rate=1"
    assert cell["args"] == {"runtime_version": "v2-alpha-tpuv5-lite"}
    assert [s["accelerators"] for s in slices] == [{f"tpu-{t}": 1} for t in types]


@pytest.mark.parity
@NEEDED
def test_skypilot_knows_the_flags_that_are_used(place: Place) -> None:
    done = subprocess.run(
        [SKY / "sky", "jobs", "launch", "--help"], env=place.environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    known = set(re.findall(r"--[a-z][a-z-]+", done.stdout))
    sweep = works(write(place, TPU, "--hub-token", *SWEEP))
    [launch] = re.findall("sky jobs launch .*", sweep)
    used = set(re.findall(r"(?<= )--[a-z][a-z-]+", launch))
    assert {"--env", "--secret", "--name"} <= used <= known
