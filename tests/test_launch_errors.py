"""Cloud TPU VMs: ``--dry-run``, and one clear message with nothing half-made for whatever goes wrong."""

from __future__ import annotations

import shlex
import venv
from pathlib import Path

import pytest
from launch_cases import Place, fails, works

from launch.command import LaunchError
from launch.topology import GENERATIONS, Slice, slice_of_topology, slice_of_type

TYPE = "--type=v5litepod-8"
BUCKET = "--bucket=gs://studies/llama"
STUDY = ("--", "study", "--config=configs/toy.py")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """For tests that make nothing."""
    return Place(tmp_path_factory.mktemp("launch"))


# ---------------------------------------------------------------- dry run


@pytest.mark.parametrize(
    "command",
    [
        ("create", TYPE, "--spot"), ("create", TYPE, "--queued"), ("setup", "--share=10.0.0.2:/s"), ("run", *STUDY),
        ("keep", TYPE, BUCKET, *STUDY), ("status",), ("logs",), ("stop",), ("fetch",), ("fetch", BUCKET), ("delete",),
    ],
    ids=lambda c: " ".join(c[:2]),
)  # fmt: skip
def test_dry_run_prints_commands_and_runs_none(empty: Place, command: tuple[str, ...]) -> None:
    before = empty.calls()
    said = works(empty.tpu_here(command[0], "--dry-run", *command[1:]))
    assert empty.calls() == before
    lines = [line for line in said.splitlines() if not line.startswith("#")]
    assert {shlex.split(line)[0] for line in lines} <= {"gcloud", "git", "mv"}
    verbs = {
        "create": "create", "setup": "tpu_setup.sh", "run": "tpu_worker.sh start", "keep": "tpu_worker.sh start",
        "status": "tpu_worker.sh status", "logs": "tail", "stop": "tpu_worker.sh stop", "fetch": "runs/sycophancy", "delete": "delete",
    }  # fmt: skip
    assert any(verbs[command[0]] in line for line in lines), said


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("ERROR: (gcloud) RESOURCE_EXHAUSTED: Quota limit 'TPUV5s' has been exceeded. Limit: 0", ["no quota", "TPUV5s"]),
        ("ERROR: (gcloud) There is no more capacity in the zone \"us-west4-a\"", ["no free machine", "--queued"]),
        ("ERROR: (gcloud) PERMISSION_DENIED: Permission 'tpu.nodes.create' denied", ["TPU Admin"]),
        ("ERROR: (gcloud) SERVICE_DISABLED: Cloud TPU API has not been used in project 1", ["services enable"]),
        ("ERROR: (gcloud) The required property [project] is not currently set.", ["--project=PROJECT"]),
        (
            "ERROR: (gcloud.compute.tpus.locations.list) Error parsing [project].\nThe [project] resource is not properly "
            "specified.\nFailed to find attribute [project]. The attribute can be set in the following ways:",
            ["no project", "--project=PROJECT"],
        ),
        ("ERROR: (gcloud) something nobody has seen", ["something nobody has seen"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("queued", [False, True])
def test_a_refused_creation(place: Place, stderr: str, words: list[str], queued: bool) -> None:
    kind = "queued-resources" if queued else "tpu-vm"
    place.change(fail=[{"match": f"{kind} create", "stderr": stderr}])
    fails(
        place.tpu_here("create", TYPE, *(["--queued"] if queued else [])), "cannot create", *words
    )
    assert place.state()["vms"] == place.state()["requests"] == {}


def test_what_a_failed_creation_leaves_is_deleted(place: Place) -> None:
    half = {"match": "tpu-vm create", "stderr": "ERROR: (gcloud) internal error", "leaves": "sycophancy"}  # fmt: skip
    place.change(fail=[half])
    fails(place.tpu_here("create", TYPE), "cannot create sycophancy", "internal error")
    assert len(place.calls("gcloud", "compute", "tpus", "tpu-vm", "delete")) == 1
    assert place.state()["vms"] == {}


def test_a_request_that_fails_later_is_withdrawn(place: Place) -> None:
    place.change(queue=["WAITING_FOR_RESOURCES", "FAILED"])
    fails(
        place.tpu_here("create", TYPE, "--queued"), "it ended as queued resource FAILED", "deleted"
    )
    assert place.state()["requests"] == {}


def test_a_second_create_leaves_the_first_alone(place: Place) -> None:
    works(place.tpu_here("create", TYPE))
    before = place.state()
    fails(place.tpu_here("create", TYPE), "exists already in us-west4-a (TPU VM READY)")
    fails(place.tpu_here("create", TYPE, "--queued"), "exists already")
    assert place.state() == before
    assert len(place.calls("gcloud", "compute", "tpus", "tpu-vm", "create")) == 1
    assert not place.calls("gcloud", "compute", "tpus", "tpu-vm", "delete")


def test_a_name_taken_in_between_is_not_deleted(place: Place) -> None:
    """The look before finds nothing, another's create comes first."""
    taken = "ERROR: (gcloud) ALREADY_EXISTS: Resource already exists"
    place.change(fail=[{"match": "tpu-vm create", "stderr": taken}])
    fails(place.tpu_here("create", TYPE), "the name is taken")
    assert not place.calls("gcloud", "compute", "tpus", "tpu-vm", "delete")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("gs://studies not found: 404.", ["no such bucket", "buckets create"]),
        ("[someone] does not have permission to access b instance [studies] (or it may not exist)", ["Storage Object Admin"]),
    ],
)  # fmt: skip
def test_a_bucket_that_cannot_be_used(place: Place, said: str, words: list[str]) -> None:
    """It is found out before there is a machine."""
    place.change(fail=[{"match": "storage ls", "stderr": f"ERROR: (gcloud.storage.ls) {said}"}])
    fails(place.tpu_here("keep", TYPE, BUCKET, *STUDY), "cannot use gs://studies:", *words)
    assert not place.calls("gcloud", "compute", "tpus", "queued-resources", "create")


def test_keep_of_another_type(place: Place) -> None:
    works(place.tpu_here("create", TYPE))
    other = ("--type=v5litepod-16", "--share=10.0.0.2:/studies")
    fails(place.tpu_here("keep", *other, *STUDY), "is a v5litepod-8, no v5litepod-16")
    assert place.state()["vms"]["sycophancy"]["state"] == "READY"


def test_nothing_in_the_bucket_yet(place: Place) -> None:
    fails(place.tpu_here("fetch", BUCKET), "cannot fetch", "nothing has been copied there yet")


def test_a_fetch_that_fails_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a workdir would look like one, and stand in the way of the next try."""
    works(place.tpu_here("create", TYPE))
    monkeypatch.chdir(place.checkout)
    lost = {"match": "tpu-vm scp", "stderr": "scp: lost connection", "halfway": "runs/.sycophancy.coming"}  # fmt: skip
    place.change(fail=[lost])
    fails(place.tpu_here("fetch"), "cannot fetch the workdir of sycophancy", "lost connection")
    assert list((place.checkout / "runs").iterdir()) == []
    (place.world / "vms/sycophancy/worker-0/sycojax/runs/sycophancy").mkdir(parents=True)
    works(place.tpu_here("fetch"))
    assert [p.name for p in (place.checkout / "runs").iterdir()] == ["sycophancy"]


@pytest.mark.parametrize("command", [("create", TYPE), ("keep", TYPE, BUCKET, *STUDY)])
def test_no_credentials(place: Place, command: tuple[str, ...]) -> None:
    place.change(account="")
    fails(place.tpu_here(*command), "no credentials", "gcloud auth login")
    assert not place.calls("gcloud", "compute")


def test_credentials_that_ran_out(place: Place) -> None:
    stale = "ERROR: (gcloud) There was a problem refreshing your current auth tokens: invalid_grant"
    place.change(fail=[{"match": "tpu-vm describe", "stderr": stale}])
    fails(place.tpu_here("logs"), "no credentials", "gcloud auth login")


def test_no_gcloud(place: Place) -> None:
    (place.world / "bin" / "gcloud").unlink()
    programs = place.environment["PATH"].split(":")
    place.environment["PATH"] = ":".join(p for p in programs if not (Path(p) / "gcloud").exists())
    fails(place.tpu_here("create", TYPE), "`gcloud` is not installed", "cloud.google.com/sdk")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("create", "--type=v5litepod-9"), ["unknown TPU type", "v5litepod-16"]),
        (("create", "--type=h100"), ["unknown TPU type", "v6e-N"]),
        (("create",), ["--type=TYPE is missing"]),
        (("create", TYPE, "--zone=moon-base1-q"), ["unknown zone 'moon-base1-q'", "us-west4-a"]),
        (("create", TYPE, "--zone=mars"), ["--zone=mars is no zone"]),
        (("create", TYPE, "--zone=us-south1-ai1b"), ["unknown zone 'us-south1-ai1b'"]),
        (("create", TYPE, "--zone=us-east5-b"), ["us-east5-b has no v5litepod-8", "v6e-8"]),
        (("create", TYPE, "--sport"), ["--sport"]),
        (("create", TYPE, *STUDY), ["takes no arguments after --"]),
        (("build",), ["build"]),
        (("run",), ["what should run?"]),
        (("keep", TYPE, BUCKET, "--", "study"), ["study needs --config=FILE"]),
        (("keep", TYPE, BUCKET, "--", "study", "--config", "configs/toy.py"), ["study needs --config=FILE"]),
        (("run", "--workdir=gs://b/x", *STUDY), ["must be a directory on the workers", "--bucket"]),
        (("run", "--bucket=studies", *STUDY), ["must be gs://BUCKET/PATH"]),
        (("run", "--share=nfs", *STUDY), ["must be HOST:/PATH"]),
        (("run", BUCKET, "--share=h:/p", *STUDY), ["one of them"]),
        (("run", "--share=h:/p", "--workdir=runs/x", *STUDY), ["not on the share"]),
        (("run", *STUDY, "--workdir=x"), ["before the --"]),
        (("keep", TYPE, BUCKET, "--", "study", "--config=configs/llama.py"), ["configs/llama.py is no file"]),
        (("keep", TYPE, BUCKET, *STUDY, "--config.train.lr=1"), ["study: unknown config key 'lr'"]),
        (("keep", TYPE, BUCKET, *STUDY, "--config.train.epochs=-1"), ["study: ", "epochs"]),
        (("run", *STUDY, "--frobnicate"), ["study: ", "frobnicate"]),
        (("keep", TYPE, BUCKET, "--", "sweep", "--config=configs/sweeps/toy.py", "--wandb=x"), ["sweep: --wandb is a flag of"]),
        (("run", *STUDY), ["cannot be used (nothing)", "`create` it"]),
        (("keep", TYPE, *STUDY), ["keep needs --bucket or --share"]),
        (("keep", "--type=v5litepod-16", BUCKET, *STUDY), ["4 hosts", "one file system"]),
        (("setup", "--hub-token=nowhere"), ["--hub-token=nowhere is no file"]),
    ],
)  # fmt: skip
def test_bad_input(empty: Place, flags: tuple[str, ...], words: list[str]) -> None:
    fails(empty.tpu_here(*flags), *words)
    assert not [c for c in empty.calls("gcloud") if {"create", "ssh", "scp"} & set(c)]


def test_a_laptop_that_only_launches(place: Place, tmp_path: Path) -> None:
    """Its Python has no package that sycojax needs: a study's settings are checked where it runs."""
    venv.create(tmp_path / "bare")
    python = str(tmp_path / "bare" / "bin" / "python")
    words = ("keep", "sycophancy", "--zone=us-west4-a", TYPE, BUCKET, "--dry-run", *STUDY, "--config.train.lr=1")  # fmt: skip
    assert "tpu_worker.sh start" in works(place.run(python, "-m", "launch.tpu", *words))


def test_a_bad_name(empty: Place) -> None:
    fails(empty.tpu_here("status", name="My_TPU"), "NAME 'My_TPU'")


def test_several_hosts_without_a_share(place: Place) -> None:
    works(place.tpu_here("create", "--type=v5litepod-16"))
    fails(place.tpu_here("run", *STUDY), "has 4 hosts", "--share")
    assert not place.calls("gcloud", "compute", "tpus", "tpu-vm", "ssh")


# ---------------------------------------------------------------- the table of slices


def test_every_slice_has_one_type() -> None:
    every = [Slice(g, topology) for g in GENERATIONS.values() for topology in g.topologies]
    assert len({s.type for s in every}) == len(every)
    for one in every:
        assert slice_of_type(one.type) == one
        assert one.hosts * 4 == one.chips or one.hosts == 1


@pytest.mark.parametrize(
    ("topology", "kind", "hosts"),
    [
        ("v5e:2x4", "v5litepod-8", 1), ("v5e:4x4", "v5litepod-16", 4), ("v6e:16x16", "v6e-256", 64),
        ("v4:2x2x1", "v4-8", 1), ("v4:2x2x2", "v4-16", 2), ("v5p:4x4x4", "v5p-128", 16),
    ],
)  # fmt: skip
def test_known_slices(topology: str, kind: str, hosts: int) -> None:
    assert slice_of_topology(topology).type == kind
    assert slice_of_type(kind).hosts == hosts


@pytest.mark.parametrize("name", ["v5e:3x3", "v9:2x2", "2x4", ""])
def test_unknown_topologies(name: str) -> None:
    with pytest.raises(LaunchError, match="unknown topology"):
        slice_of_topology(name)
