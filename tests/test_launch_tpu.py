"""Cloud TPU VMs from nothing to results, and through preemptions; the workers' scripts run for real."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from launch_cases import Place, fails, works

TYPE = "--type=v5litepod-8"
BUCKET = "--bucket=gs://studies/llama"
STUDY = ("--", "study", "--config=configs/toy.py")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, commit=True)


def test_one_host_step_by_step(place: Place) -> None:
    works(place.tpu("create", TYPE, "--spot"))
    [create] = place.calls("gcloud", "compute", "tpus", "tpu-vm", "create")
    assert {"--accelerator-type=v5litepod-8", "--version=v2-alpha-tpuv5-lite", "--spot"} < set(
        create
    )
    (place.checkout / "token").write_text("secret")
    works(place.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--allow-empty", "-qm", "x"))  # fmt: skip
    fails(place.tpu("setup"), "commit them first", "token")
    (place.checkout / "token").rename(place.world / "token")
    assert "sycojax 0" in works(place.tpu("setup", f"--hub-token={place.world}/token"))
    home = place.world / "vms" / "sycophancy" / "worker-0"
    assert (home / ".cache/huggingface/token").read_text() == "secret"
    assert not (home / "hub-token").exists()
    assert not any("secret" in word for call in place.calls() for word in call)
    head = place.run("git", "rev-parse", "HEAD").stdout
    there = place.run("git", "-C", str(home / "sycojax"), "rev-parse", "HEAD").stdout
    assert there == head

    works(place.tpu("run", *STUDY))
    while "running" in (said := works(place.tpu("status"))):
        pass
    assert said.splitlines() == ["sycophancy: TPU VM READY", "workers: exit 0"]
    assert "report" in works(place.tpu("logs"))
    works(place.tpu("fetch"))
    assert json.loads((place.checkout / "runs/sycophancy/study.json").read_text())["steps"] == 5
    fails(place.tpu("fetch"), "exists already", "--to=DIR")
    works(place.tpu("delete"))
    assert place.state()["vms"] == {}
    fails(place.tpu("delete"), "there is no sycophancy in us-west4-a")


def test_a_queued_request_is_waited_for(place: Place) -> None:
    said = works(place.tpu("create", TYPE, "--queued"))
    [create] = place.calls("gcloud", "compute", "tpus", "queued-resources", "create")
    assert {"--node-id=sycophancy", "--runtime-version=v2-alpha-tpuv5-lite"} < set(create)
    assert "WAITING_FOR_RESOURCES" in said
    assert "PROVISIONING" in said
    assert place.state()["vms"]["sycophancy"]["state"] == "READY"
    works(place.tpu("delete"))
    assert place.state()["requests"] == {}


def test_keep_survives_a_preemption(place: Place) -> None:
    """The machine vanishes before step 4; a new one continues from the copy in the bucket, not from the start."""
    place.change(study={"steps": 6, "preempt_at": 4})
    said = place.tpu("keep", TYPE, "--spot", BUCKET, *STUDY)
    works(said)
    assert "sycophancy is lost" in said.stdout
    assert said.stderr.count(" bundle create ") == 1  # the new machine gets the same commit
    assert len(place.calls("gcloud", "compute", "tpus", "queued-resources", "create")) == 2
    assert place.state()["vms"] == place.state()["requests"] == {}
    # Every step once: what the first machine had done and copied was not done again.
    assert (place.checkout / "runs/sycophancy/starts").read_text().split() == ["0", "3"]
    metrics = (place.checkout / "runs/sycophancy/training/bank/metrics.jsonl").read_text()
    steps = [json.loads(line)["step"] for line in metrics.splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert (place.checkout / "runs/sycophancy/study.json").is_file()


def test_keep_survives_a_preemption_while_it_sets_up(place: Place) -> None:
    lost = {"match": "tpu-vm scp", "stderr": "ssh: connection closed", "preempts": "sycophancy"}
    place.change(fail=[lost])
    begun = place.tpu("keep", TYPE, BUCKET, *STUDY)
    assert "sycophancy is lost (TPU VM PREEMPTED, queued resource SUSPENDED)" in works(begun)
    assert len(place.calls("gcloud", "compute", "tpus", "queued-resources", "create")) == 2
    assert (place.checkout / "runs/sycophancy/study.json").is_file()


def test_keep_tries_again_when_a_later_machine_is_refused(place: Place) -> None:
    works(place.tpu("create", TYPE))
    full = {
        "match": "queued-resources create",
        "stderr": "ERROR: (gcloud) internal error",
        "times": 2,
    }
    lost = {"match": "tpu-vm scp", "stderr": "ssh: connection closed", "preempts": "sycophancy"}
    place.change(fail=[full, lost])
    said = works(place.tpu("keep", TYPE, BUCKET, *STUDY))
    assert said.count("cannot create sycophancy: ERROR: (gcloud) internal error") == 2
    assert len(place.calls("gcloud", "compute", "tpus", "queued-resources", "create")) == 3
    assert (place.checkout / "runs/sycophancy/study.json").is_file()


def test_keep_gives_up_where_no_machine_can_be_had(place: Place) -> None:
    """Without a first one there is something to mend, not to wait for."""
    quota = {"match": "queued-resources create", "stderr": "ERROR: (gcloud) Quota exceeded", "times": 9}  # fmt: skip
    place.change(fail=[quota])
    fails(place.tpu("keep", TYPE, BUCKET, *STUDY), "cannot create sycophancy", "no quota")
    assert len(place.calls("gcloud", "compute", "tpus", "queued-resources", "create")) == 1


def test_keep_asks_for_no_machine_that_could_not_be_set_up(place: Place) -> None:
    (place.checkout / "new.py").touch()
    fails(place.tpu("keep", TYPE, BUCKET, *STUDY), "commit them first", "new.py")
    assert not place.calls("gcloud", "compute", "tpus", "queued-resources", "create")


def test_keep_goes_on_after_a_reboot(place: Place) -> None:
    """Its SIGTERM is the machine's, not that of `stop`: nothing is to be reported."""
    place.change(study={"steps": 6, "reboot_at": 4, "host": "worker-0"})
    works(place.tpu("keep", TYPE, BUCKET, *STUDY))
    assert len(place.calls("gcloud", "compute", "tpus", "queued-resources", "create")) == 1
    assert (place.checkout / "runs/sycophancy/starts").read_text().split() == ["0", "3"]


def test_keep_takes_a_restarted_host_back_in(place: Place) -> None:
    """The others wait for it in vain; all are ended, where one has nothing to end, and start again."""
    place.change(study={"steps": 6, "reboot_at": 5, "host": "worker-1", "wait_for_term": 5})
    sixteen = ("--type=v5litepod-16", "--share=10.0.0.2:/studies")
    works(place.tpu("keep", *sixteen, *STUDY))
    assert len([c for c in place.calls("sycojax") if c[1] == "study"]) == 8
    assert len(place.calls("gcloud", "compute", "tpus", "tpu-vm", "scp", "--recurse")) == 1
    assert len(place.calls("sudo", "mount")) == 4
    assert place.state()["vms"] == {}


def test_keep_takes_up_what_is_there(place: Place) -> None:
    """It can be interrupted and called again: machine, installation and study are not made twice."""
    place.change(study={"steps": 5, "wait_for_look": 3})  # so that it is found at work
    works(place.tpu("create", TYPE))
    works(place.tpu("setup"))
    works(place.tpu("run", BUCKET, *STUDY))
    works(place.tpu("keep", TYPE, BUCKET, *STUDY))
    assert len(place.calls("gcloud", "compute", "tpus", "tpu-vm", "scp")) == 1
    assert len(place.calls("systemd-run")) == 1
    assert not place.calls("gcloud", "compute", "tpus", "queued-resources", "create")
    assert place.state()["vms"] == {}


def test_several_hosts_share_a_file_system(place: Place) -> None:
    works(place.tpu("create", "--type=v5litepod-16"))
    works(place.tpu("setup", "--share=10.0.0.2:/studies"))
    assert (
        len(place.calls("sudo", "mount", "-t", "nfs", "-o", "hard,actimeo=0", "10.0.0.2:/studies"))
        == 4
    )
    works(place.tpu("run", "--share=10.0.0.2:/studies", *STUDY))
    started = [c for c in place.calls("sycojax") if c[1] == "study"]
    while len(started) < 4:
        started = [c for c in place.calls("sycojax") if c[1] == "study"]
    assert (
        started
        == [["sycojax", "study", "--config=configs/toy.py", "--workdir=/mnt/sycojax/sycophancy"]]
        * 4
    )


def test_a_wrong_share_does_not_stay(place: Place) -> None:
    works(place.tpu("create", TYPE))
    away = {"match": "mount -t nfs", "stderr": "mount.nfs: Connection timed out for 10.0.0.3:/studies"}  # fmt: skip
    place.change(fail=[away])
    fails(place.tpu("setup", "--share=10.0.0.3:/studies"), "cannot set up", "the share cannot be mounted", "timed out")  # fmt: skip
    home = place.world / "vms/sycophancy/worker-0"
    assert not (home / ".fstab").exists()
    works(place.tpu("setup", "--share=10.0.0.2:/studies"))
    assert (home / ".fstab").read_text() == "10.0.0.2:/studies /mnt/sycojax nfs hard,actimeo=0,_netdev 0 0\n"  # fmt: skip
    works(place.tpu("setup", "--share=10.0.0.2:/studies"))
    fails(place.tpu("setup", "--share=10.0.0.2:/other"), "/mnt/sycojax is 10.0.0.2:/studies")


def test_stop_where_nothing_runs(place: Place) -> None:
    works(place.tpu("create", TYPE))
    works(place.tpu("setup"))
    assert "no study runs here" in works(place.tpu("stop"))
    assert "workers: none" in works(place.tpu("status"))


def test_a_study_that_still_copies_is_running(place: Place) -> None:
    """systemd calls it deactivating, and would refuse to start another."""
    home = place.world / "vms/sycophancy/worker-0"
    works(place.tpu("create", TYPE))
    works(place.tpu("setup"))
    copying = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (home / ".service").write_text(str(copying.pid))
        (home / ".told").touch()
        assert "workers: running" in works(place.tpu("status"))
        fails(place.tpu("run", BUCKET, *STUDY), "a study runs here already")
    finally:
        copying.kill()
        copying.wait()


def test_stop_lets_the_study_save(place: Place) -> None:
    place.change(study={"steps": 9, "wait_for_term": 3})
    works(place.tpu("create", TYPE))
    works(place.tpu("setup"))
    works(place.tpu("run", BUCKET, *STUDY))
    while not (place.world / "under-way").exists():
        pass
    fails(place.tpu("run", BUCKET, *STUDY), "a study runs here already")
    works(place.tpu("stop"))
    assert "stopped" in works(place.tpu("status"))
    assert "stopped by SIGTERM after step 2" in works(place.tpu("logs"))
    half = (place.world / "buckets/studies/llama/LATEST").read_text()
    kept = place.world / "buckets/studies/llama" / half / "training/bank/checkpoints"
    assert (kept / "2" / "state").read_text() == "xx"


def test_a_study_that_fails_is_reported_and_kept(place: Place) -> None:
    place.change(study={"steps": 5, "status": 2})
    fails(place.tpu("keep", TYPE, BUCKET, *STUDY), "the study ended", "exit 2", "see `logs`")
    assert place.state()["vms"]["sycophancy"]["state"] == "READY"
    assert "unknown config key train.lr" in works(place.tpu("logs"))
    place.change(study={"steps": 5})  # mended
    works(place.tpu("keep", TYPE, BUCKET, *STUDY))
    assert (place.checkout / "runs/sycophancy/study.json").is_file()


def test_a_machine_that_refuses_ssh(place: Place) -> None:
    works(place.tpu("create", TYPE))
    refused = "someone@10.1.1.1: Permission denied (publickey).\nERROR: (gcloud) [/usr/bin/ssh] exited with return code [255]."
    place.change(fail=[{"match": "tpu-vm scp", "stderr": refused}])
    fails(place.tpu("setup"), "cannot be reached by SSH", "Permission denied (publickey)")
