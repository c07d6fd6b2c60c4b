"""One TPU slice by the gcloud script, from nothing to results; what hosts get runs for real."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
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


def test_all_in_one(place: Place) -> None:
    token = place.world / "token"
    token.write_text("secret")
    study = (*STUDY, "--config.name=two words")
    done = vm(place, "all", *SLICE, "--spot", f"--hub-token={token}", *study)
    assert "sycojax 0" in works(done)
    assert "the study begins" in done.stdout, "the log is followed"
    assert "costs money" not in done.stderr
    assert verbs(place) == ["create", "scp", "scp", "ssh", "describe", "ssh", "ssh", "delete"]
    [create] = place.calls("gcloud", "compute", "tpus", "tpu-vm", "create")
    assert {"--accelerator-type=v5litepod-8", "--version=v2-alpha-tpuv5-lite", "--spot"} < set(create)  # fmt: skip
    [service] = place.calls("systemd-run")
    assert {"--property=LimitMEMLOCK=infinity", "--property=TimeoutStopSec=600"} < set(service)
    assert not any("secret" in word for call in place.calls() for word in call)
    assert (place.checkout / "runs/try/study.json").read_text().splitlines() == list(study[1:])
    assert not list((place.world / "vms").iterdir())


def test_hosts_get_the_commit_and_the_token(place: Place) -> None:
    works(vm(place, "create", *SLICE, *STUDY))
    assert "run setup first" in vm(place, "run", *SLICE, *STUDY).stderr
    (place.checkout / "token").write_text("secret")
    fails(vm(place, "setup", *SLICE), "commit them first", "token")
    (place.checkout / "token").rename(place.world / "token")
    works(vm(place, "setup", *SLICE, f"--hub-token={place.world}/token"))
    home = place.world / "vms/try/worker-0"
    assert (home / ".cache/huggingface/token").read_text() == "secret"
    assert not (home / "hub-token").exists()
    (place.checkout / "configs/mine.py").touch()
    place.commit()
    works(vm(place, "setup", *SLICE))  # again, for a newer commit
    head = works(place.run("git", "rev-parse", "HEAD"))
    assert works(place.run("git", "-C", str(home / "sycojax"), "rev-parse", "HEAD")) == head


def test_several_hosts_share_a_file_system(place: Place) -> None:
    works(vm(place, "all", *SHARE, *ON_SHARE))
    assert len(place.calls("mount", "-t", "nfs", "-o", "hard,actimeo=0", "10.0.0.2:/studies")) == 4
    started = [call for call in place.calls("sycojax") if call[1] == "study"]
    assert started == [["sycojax", *ON_SHARE[1:3], "--workdir=/mnt/sycojax/runs/big"]] * 4
    assert (place.checkout / "runs/try/study.json").is_file(), "fetched from the first"


def test_a_share_is_mounted_once_and_no_other_taken_for_it(place: Place) -> None:
    works(vm(place, "create", *SHARE, *ON_SHARE))
    for _ in range(2):
        works(vm(place, "setup", *SHARE))
    assert len(place.calls("mount")) == 4
    other = vm(place, "setup", *SHARE[:2], "--share=10.0.0.2:/other")
    assert "/mnt/sycojax is 10.0.0.2:/studies" in other.stderr


def test_a_workdir_on_the_machine_is_fetched_whole(place: Place) -> None:
    study = (*ON_SHARE[:3], "--workdir=runs/here")
    for verb in ("create", "setup", "run", "logs"):
        works(vm(place, verb, *SLICE, *study))
    place.environment["FAIL"] = "tpu-vm scp"
    assert vm(place, "fetch", *SLICE, *study).returncode == 1
    assert not (place.checkout / "runs/try").exists()
    del place.environment["FAIL"]
    works(vm(place, "fetch", *SLICE, *study))
    assert (place.checkout / "runs/try/study.json").is_file()
    assert [path.name for path in (place.checkout / "runs").iterdir()] == ["try"]
    fails(vm(place, "fetch", *SLICE, *study), "runs/try exists already", "--to=DIR")


def test_a_study_that_fails_leaves_the_slice_and_says_so(place: Place) -> None:
    place.environment["STUDY_STATUS"] = "3"
    done = vm(place, "all", *SLICE, *STUDY)
    assert done.returncode == 3, "the study's own status"
    assert "sycojax: a wrong setting" in done.stdout
    assert "launch/tpu_vm.sh delete try --zone=us-west4-a" in done.stderr
    assert (place.world / "vms/try").exists()
    del place.environment["STUDY_STATUS"]  # mended
    works(vm(place, "run", *SLICE, *STUDY))
    works(vm(place, "logs", *SLICE))
    works(vm(place, "stop", *SLICE))
    assert place.calls("systemctl", "stop") == [["systemctl", "stop", "sycojax"]]


def test_a_refused_creation(place: Place) -> None:
    place.environment["FAIL"] = "tpu-vm create"
    done = vm(place, "all", *SLICE, *STUDY)
    assert done.returncode == 1
    assert "tpu-vm create fails" in done.stderr
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


@pytest.mark.slow
def test_gcloud_knows_every_flag(place: Place, tmp_path: Path) -> None:
    """Where the Google Cloud CLI is installed: its own reference has what the script gives to it."""
    gcloud = shutil.which("gcloud")
    if not gcloud:
        pytest.skip("the Google Cloud CLI is not installed")
    works(vm(place, "all", *SLICE, "--spot", *STUDY))
    for verb in ("create", "setup", "run", "logs"):
        works(vm(place, verb, *SLICE, *ON_SHARE))
    works(vm(place, "fetch", *SLICE, "--workdir=runs/big", "--to=runs/other"))
    # `--help` asks nobody and needs no account; a settings directory of its own keeps it from the user's.
    environment = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / "config")}
    given: dict[tuple[str, ...], set[str]] = {}
    for words in place.calls("gcloud"):
        command = tuple(words[1 : 3 if words[1] == "storage" else 5])
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        everywhere = {"--quiet", "--format"}  # of every gcloud command
        given.setdefault(command, set()).update(flags - everywhere)
    assert len(given) == 8, shlex.join(map(" ".join, given))
    for command, flags in given.items():
        done = subprocess.run(
            [gcloud, *command, "--help"], env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        known = set(re.findall(r"--[a-z][a-z-]+", done.stdout))
        assert flags <= known, (command, flags - known)
