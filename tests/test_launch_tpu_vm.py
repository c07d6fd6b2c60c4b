"""One TPU slice by the gcloud script, from nothing to results; what workers get runs for real."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from launch_cases import Place, fails, works

SLICE = ("--zone=us-west4-a", "--type=v5litepod-8")
STUDY = ("--", "study", "--config=configs/toy.py", "--workdir=gs://studies/llama")
SHARE = ("--zone=us-west4-a", "--type=v5litepod-16", "--share=10.0.0.2:/studies")
ON_SHARE = ("--", "study", "--config=configs/toy.py", "--workdir=runs/big")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (place.world / "buckets/studies").mkdir(parents=True)
    return place


def vm(place: Place, verb: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return place.run("bash", "launch/tpu_vm.sh", verb, "try", *flags)


def verbs(place: Place) -> list[str]:
    return [call[4] for call in place.calls("gcloud", "compute", "tpus")]


def waited_for(path: Path) -> Path:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.02)
    return path


def test_all_in_one(place: Place) -> None:
    token = place.world / "token"
    token.write_text("secret")
    flags = (*SLICE, "--spot", f"--hub-token={token}")
    done = vm(place, "all", *flags, *STUDY, "--config.name=two words")
    assert "sycojax 0" in works(done)
    assert "study continues after step 0" in done.stdout, "the log is followed"
    assert "costs money" not in done.stderr
    assert verbs(place) == ["create", "scp", "scp", "ssh", "describe", "ssh", "ssh", "delete"]
    [create] = place.calls("gcloud", "compute", "tpus", "tpu-vm", "create")
    assert {"--accelerator-type=v5litepod-8", "--version=v2-alpha-tpuv5-lite", "--spot"} < set(create)  # fmt: skip
    assert ["sycojax", *STUDY[1:], "--config.name=two words"] in place.calls("sycojax")
    [service] = place.calls("systemd-run")
    assert {"--property=LimitMEMLOCK=infinity", "--property=TimeoutStopSec=600"} < set(service)
    assert not any("secret" in word for call in place.calls() for word in call)
    assert json.loads((place.checkout / "runs/try/study.json").read_text())["steps"] == 5
    assert not list((place.world / "vms").iterdir())


def test_workers_get_the_commit_and_the_token(place: Place) -> None:
    works(vm(place, "create", *SLICE, *STUDY))
    (place.checkout / "token").write_text("secret")
    fails(vm(place, "setup", *SLICE), "commit them first", "token")
    (place.checkout / "token").rename(place.world / "token")
    works(vm(place, "setup", *SLICE, f"--hub-token={place.world}/token"))
    home = place.world / "vms/try/worker-0"
    assert (home / ".cache/huggingface/token").read_text() == "secret"
    assert not (home / "hub-token").exists()
    (place.checkout / "configs/mine.py").touch()
    works(place.run("git", "add", "."))
    works(place.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "mine"))
    works(vm(place, "setup", *SLICE))  # again, for a newer commit
    head = works(place.run("git", "rev-parse", "HEAD"))
    assert works(place.run("git", "-C", str(home / "sycojax"), "rev-parse", "HEAD")) == head


def test_stop_lets_the_study_save_and_run_continues(place: Place) -> None:
    place.change(study={"steps": 9, "wait_for_term": 3})
    works(vm(place, "create", *SLICE, *STUDY))
    fails_early = vm(place, "run", *SLICE, *STUDY)
    assert "run setup first" in fails_early.stderr
    works(vm(place, "setup", *SLICE))
    works(vm(place, "run", *SLICE, *STUDY))
    waited_for(place.world / "under-way")
    again = vm(place, "run", *SLICE, *STUDY)
    assert again.returncode
    assert "already loaded" in again.stderr
    works(vm(place, "stop", *SLICE))
    said = vm(place, "logs", *SLICE)
    assert said.returncode == 2, "the study's own status"
    assert "stopped by SIGTERM after step 2" in said.stdout
    works(vm(place, "run", *SLICE, *STUDY))
    works(vm(place, "logs", *SLICE))
    works(vm(place, "fetch", *SLICE, "--workdir=gs://studies/llama"))
    assert (place.checkout / "runs/try/starts").read_text().split() == ["0", "2"]


def test_a_slice_that_is_lost(place: Place) -> None:
    """A new one continues from the copy in the bucket, not from the start."""
    place.change(study={"steps": 6, "wait_for_term": 4})
    for verb in ("create", "setup", "run"):
        works(vm(place, verb, *SLICE, *STUDY))
    bucket = place.world / "buckets/studies/llama"
    half = bucket / waited_for(bucket / "LATEST").read_text()
    while not list(bucket.glob("*/training/bank/checkpoints/3/state")):
        time.sleep(0.02)
    time.sleep(0.5)  # till that copy is whole
    works(vm(place, "delete", *SLICE))
    place.change(study={"steps": 6})
    works(vm(place, "all", *SLICE, *STUDY))
    assert half.exists()
    assert (place.checkout / "runs/try/starts").read_text().split() == ["0", "3"]
    metrics = (place.checkout / "runs/try/training/bank/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [1, 2, 3, 4, 5, 6]


def test_several_hosts_share_a_file_system(place: Place) -> None:
    works(vm(place, "all", *SHARE, *ON_SHARE))
    mount = ("sudo", "mount", "-t", "nfs", "-o", "hard,actimeo=0", "10.0.0.2:/studies")
    assert len(place.calls(*mount)) == 4
    started = [c for c in place.calls("sycojax") if c[1] == "study"]
    assert started == [["sycojax", *ON_SHARE[1:3], "--workdir=/mnt/sycojax/runs/big"]] * 4
    assert (place.checkout / "runs/try/starts").is_file(), "fetched from the first"


def test_a_wrong_share_does_not_stay(place: Place) -> None:
    works(vm(place, "create", *SHARE, *ON_SHARE))
    away = {"match": "mount -t nfs", "stderr": "mount.nfs: Connection timed out", "times": 4}
    place.change(fail=[away])
    assert "timed out" in vm(place, "setup", *SHARE[:2], "--share=10.0.0.3:/studies").stderr
    home = place.world / "vms/try/worker-0"
    assert not (home / ".fstab").exists()
    works(vm(place, "setup", *SHARE))
    assert (home / ".fstab").read_text() == "10.0.0.2:/studies /mnt/sycojax nfs hard,actimeo=0,_netdev 0 0\n"  # fmt: skip
    works(vm(place, "setup", *SHARE))
    other = vm(place, "setup", *SHARE[:2], "--share=10.0.0.2:/other")
    assert "/mnt/sycojax is 10.0.0.2:/studies" in other.stderr


def test_a_workdir_on_the_machine_is_fetched_whole(place: Place) -> None:
    study = (*ON_SHARE[:3], "--workdir=runs/here")
    for verb in ("create", "setup", "run", "logs"):
        works(vm(place, verb, *SLICE, *study))
    lost = {"match": "tpu-vm scp", "stderr": "scp: lost connection"}
    place.change(fail=[lost])
    assert "lost connection" in vm(place, "fetch", *SLICE, *study).stderr
    assert not (place.checkout / "runs/try").exists()
    works(vm(place, "fetch", *SLICE, *study))
    assert (place.checkout / "runs/try/study.json").is_file()
    assert [path.name for path in (place.checkout / "runs").iterdir()] == ["try"]
    fails(vm(place, "fetch", *SLICE, *study), "runs/try exists already", "--to=DIR")


def test_a_study_that_fails_leaves_the_slice_and_says_so(place: Place) -> None:
    place.change(study={"steps": 5, "status": 2})
    done = vm(place, "all", *SLICE, *STUDY)
    assert done.returncode == 2
    assert "unknown config key train.lr" in done.stdout
    assert "launch/tpu_vm.sh delete try --zone=us-west4-a" in done.stderr
    assert (place.world / "vms/try").exists()
    place.change(study={"steps": 5})  # mended
    works(vm(place, "run", *SLICE, *STUDY))
    works(vm(place, "logs", *SLICE))


def test_a_refused_creation(place: Place) -> None:
    full = {"match": "tpu-vm create", "stderr": "ERROR: (gcloud) no more capacity in the zone"}
    place.change(fail=[full])
    done = vm(place, "all", *SLICE, *STUDY)
    assert done.returncode == 1
    assert "no more capacity" in done.stderr
    assert verbs(place) == ["create"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (SLICE, ["which study?"]),
        (SLICE[1:], ["--zone=ZONE is missing"]),
        ((*SLICE, "--sport"), ["unknown flag --sport"]),
        ((*SLICE, "--hub-token=nowhere"), ["--hub-token=nowhere is no file"]),
        ((SLICE[0], "--type=v5litepod-9", *STUDY), ["unknown TPU type", "v5litepod-16"]),
        ((SLICE[0], "--type=v5litepod-16", *STUDY), ["4 hosts must see one file system", "--share"]),
        ((*SLICE, *STUDY, "--config.train.lr=1"), ["study: unknown config key 'lr'"]),
        ((*SLICE, *STUDY[:3], "--workdir=gs://nowhere/x"), ["cannot use gs://nowhere: ERROR", "404"]),
    ],
)  # fmt: skip
def test_what_is_said_before_it_costs_money(
    place: Place, flags: tuple[str, ...], words: list[str]
) -> None:
    place.change(fail=[{"match": "storage ls gs://nowhere", "stderr": "ERROR: gs://nowhere 404."}])
    fails(vm(place, "create", *flags), *words)
    assert verbs(place) == []


def test_what_stands_in_the_way_of_fetching_is_said_first(place: Place) -> None:
    (place.checkout / "runs/try").mkdir(parents=True)
    fails(vm(place, "all", *SHARE, *ON_SHARE), "runs/try exists already")
    fails(vm(place, "fetch", *SLICE), "--workdir=DIR is missing")
    fails(vm(place, "keep", *SLICE), "unknown verb keep")


def test_the_script_explains_itself(place: Place) -> None:
    done = place.run("bash", "launch/tpu_vm.sh")
    assert done.returncode == 2
    for verb in ("all", "create", "setup", "run", "logs", "fetch", "delete", "stop"):
        assert re.search(rf"^ *`?{verb}\b|`{verb}`", done.stderr, re.M), verb


EVERYWHERE = {"--quiet", "--format"}  # of every gcloud command


@pytest.mark.slow
def test_gcloud_knows_every_flag(place: Place, tmp_path: Path) -> None:
    """Where the Google Cloud CLI is installed: its own reference has what the script gives to it."""
    gcloud = shutil.which("gcloud")
    if not gcloud:
        pytest.skip("the Google Cloud CLI is not installed")
    works(vm(place, "all", *SLICE, "--spot", *STUDY))
    works(vm(place, "create", *SLICE, *ON_SHARE))
    works(vm(place, "setup", *SLICE))
    works(vm(place, "run", *SLICE, *ON_SHARE))
    works(vm(place, "fetch", *SLICE, "--workdir=runs/big", "--to=runs/other"))
    # `--help` asks nobody and needs no account; a settings directory of its own keeps it from the user's.
    environment = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / "config")}
    given: dict[tuple[str, ...], set[str]] = {}
    for words in place.calls("gcloud"):
        command = tuple(words[1 : 3 if words[1] == "storage" else 5])
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        given.setdefault(command, set()).update(flags - EVERYWHERE)
    assert len(given) == 8, shlex.join(map(" ".join, given))
    for command, flags in given.items():
        done = subprocess.run(
            [gcloud, *command, "--help"], env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        known = set(re.findall(r"--[a-z][a-z-]+", done.stdout))
        assert flags <= known, (command, flags - known)
