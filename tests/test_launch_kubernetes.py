"""JobSet manifests: their published form, what each topology asks for, and one clear message for bad input."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
import yaml
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet
from launch_cases import Place

from launch.kubernetes import job_set, options_of
from launch.topology import GENERATIONS

REQUIRED = (
    "--config=configs/llama2_7b.py",
    "--image=registry.example/sycojax:tpu",
    "--claim=studies",
)
TOPOLOGIES = (
    *(f"{v}:{t}" for v, g in GENERATIONS.items() for t in g.topologies), "gpu:1x1", "gpu:1x8", "gpu:2x8",
)  # fmt: skip


def rendered(*flags: str) -> dict[str, Any]:
    return job_set(options_of([*REQUIRED, *flags]))


def job_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"]["replicatedJobs"][0]["template"]["spec"]


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return job_of(manifest)["template"]["spec"]


def mistakes(manifest: dict[str, Any]) -> list[str]:
    """What of ``manifest`` is not of the published form of a JobSet, and of the Job and the Pod in it.

    The models are generated from the OpenAPI documents of JobSet v1alpha2, batch/v1 and core/v1. They check types; a
    field that they do not know is lost in them, and one that they miss is filled in. The values that a string may take
    are in its description.
    """
    try:
        model = JobsetV1alpha2JobSet.from_dict(manifest)
    except pydantic.ValidationError as error:
        return [f"{e['loc']}: {e['msg']}" for e in error.errors()]
    assert model is not None
    return [*differences(manifest, model.to_dict(), ""), *strange_values(model)]


def differences(ours: Any, theirs: Any, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        unknown = [f"{path}.{name} is unknown" for name in ours.keys() - theirs.keys()]
        missing = [f"{path}.{name} is missing" for name in theirs.keys() - ours.keys()]
        both = [differences(ours[n], theirs[n], f"{path}.{n}") for n in ours.keys() & theirs.keys()]
        return [*unknown, *missing, *itertools.chain(*both)]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{path}[{i}]")]
    return [] if ours == theirs else [f"{path} is {ours!r}, read as {theirs!r}"]


def strange_values(model: pydantic.BaseModel) -> list[str]:
    found = []
    for name, field in type(model).model_fields.items():
        value, said = getattr(model, name), field.description or ""
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]  # fmt: skip
        named = re.search("[Vv]alid values are|Possible enum values", said)
        for one in values:
            if isinstance(one, pydantic.BaseModel):
                found += strange_values(one)
            elif named and isinstance(one, str) and one not in re.findall(r"\w+", said):
                found.append(f"{name}={one!r} is none of its values")
    return found


VARIANTS = ((), ("--spot", "--queue=team", "--hub-secret=hub", "--namespace=lab", "--node-selector=a=b"))  # fmt: skip


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_manifests_have_the_published_form(topology: str) -> None:
    for flags in VARIANTS:
        assert mistakes(rendered(f"--topology={topology}", *flags)) == []


def broken_fields(manifest: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Where a mistake can be made: the object, the field and a wrong value, None to leave it out."""
    spec, job, pod = manifest["spec"], job_of(manifest), pod_of(manifest)
    [rule], [container] = spec["failurePolicy"]["rules"], pod["containers"]
    yield spec, "replicatedJob", []
    yield spec["failurePolicy"], "maxRestarts", "3"
    yield rule, "action", "Restart"
    yield rule, "name", None
    yield spec["replicatedJobs"][0], "name", None
    yield job, "paralellism", 2
    yield job, "completionMode", "indexed"
    yield job["podFailurePolicy"]["rules"][0], "action", "Fail"
    yield pod, "restartPolicy", "never"
    yield pod, "nodeSelector", {"x": 1}
    yield pod["tolerations"][0], "operator", "exists"
    yield container, "name", None
    yield container, "args", "study"
    yield container["env"][0]["valueFrom"]["fieldRef"], "path", "metadata.name"
    yield pod["volumes"][0]["persistentVolumeClaim"], "claimName", None


def test_the_published_form_notices_mistakes() -> None:
    for number in range(len(list(broken_fields(rendered("--topology=gpu:2x8"))))):
        manifest = rendered("--topology=gpu:2x8")
        place, name, value = list(broken_fields(manifest))[number]
        if value is None:
            del place[name]
        else:
            place[name] = value
        assert len(mistakes(manifest)) == 1, (name, mistakes(manifest))


@pytest.mark.parametrize(
    ("topology", "pods", "resource", "per_pod"),
    [
        ("v5e:2x4", 1, "google.com/tpu", 8), ("v5e:4x4", 4, "google.com/tpu", 4), ("v6e:2x2", 1, "google.com/tpu", 4),
        ("v5p:2x2x2", 2, "google.com/tpu", 4), ("gpu:1x8", 1, "nvidia.com/gpu", 8), ("gpu:3x4", 3, "nvidia.com/gpu", 4),
    ],
)  # fmt: skip
def test_pods_and_chips(topology: str, pods: int, resource: str, per_pod: int) -> None:
    manifest = rendered(f"--topology={topology}")
    job, pod = job_of(manifest), pod_of(manifest)
    assert (job["parallelism"], job["completions"], job["completionMode"]) == (pods, pods, "Indexed")  # fmt: skip
    resources = pod["containers"][0]["resources"]
    assert resources["limits"] == resources["requests"] == {resource: per_pod}
    version, _, shape = topology.partition(":")
    if version in GENERATIONS:
        assert pod["nodeSelector"] == {
            "cloud.google.com/gke-tpu-accelerator": GENERATIONS[version].label,
            "cloud.google.com/gke-tpu-topology": shape,
        }


def test_who_tells_the_processes_of_each_other() -> None:
    """One pod is on its own; GPU pods get the flags; TPU hosts learn it from GKE, through JAX."""
    arguments = pod_of(rendered("--topology=gpu:1x8"))["containers"][0]["args"]
    assert arguments[-1] == "--processes=1"
    container = pod_of(rendered("--topology=gpu:2x8", "--name=big"))["containers"][0]
    assert container["args"][-3:] == [
        "--coordinator=big-study-0-0.big:8476", "--processes=2", "--process=$(PROCESS)",
    ]  # fmt: skip
    assert container["env"][0]["name"] == "PROCESS"
    arguments = pod_of(rendered("--topology=v5e:4x4"))["containers"][0]["args"]
    assert not any(a.startswith("--process") for a in arguments)


def test_a_lost_pod_restarts_all_and_a_wrong_config_ends() -> None:
    manifest = rendered("--topology=v5e:4x4", "--spot")
    policy = manifest["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 3  # whatever else fails
    [rule] = policy["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    [condition] = job_of(manifest)["podFailurePolicy"]["rules"][0]["onPodConditions"]
    assert condition["type"] == "DisruptionTarget"
    assert job_of(manifest)["backoffLimit"] == 0
    assert pod_of(manifest)["restartPolicy"] == "Never"  # podFailurePolicy asks for it
    assert pod_of(manifest)["nodeSelector"]["cloud.google.com/gke-spot"] == "true"


def test_the_workdir_is_on_the_claim() -> None:
    manifest = rendered("--topology=v5e:2x4", "--", "--config.train.seeds=0,1")
    container = pod_of(manifest)["containers"][0]
    mount = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}["workdir"]
    assert f"--workdir={mount}/llama2-7b" in container["args"]
    assert "--config.train.seeds=0,1" in container["args"]
    [claim] = [v for v in pod_of(manifest)["volumes"] if v["name"] == "workdir"]
    assert claim["persistentVolumeClaim"] == {"claimName": "studies"}


def test_a_token_is_named_never_written() -> None:
    env = pod_of(rendered("--topology=v5e:2x4", "--hub-secret=hub"))["containers"][0]["env"]
    [token] = [e for e in env if e["name"] == "HF_TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hub", "key": "token"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("kubernetes"))


def render(place: Place, *flags: str) -> subprocess.CompletedProcess[str]:
    return place.run("python", "-m", "launch.kubernetes", *flags)


def test_what_is_printed_is_what_kubectl_gets(place: Place) -> None:
    done = render(place, *REQUIRED, "--topology=gpu:2x8")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout) == rendered("--topology=gpu:2x8")
    assert place.run("kubectl", "create", "--filename=-", text=done.stdout).returncode == 0
    made = place.world / "jobsets"
    assert (made / "llama2-7b").read_text() == done.stdout
    # As documented, in a pipe: the second `create` and a manifest that there is none of change nothing.
    pipe = 'python -m launch.kubernetes "$@" | kubectl create --filename=-'
    for flags in (("--topology=v5e:2x4",), ("--topology=v5e:3x3", "--name=other")):
        assert place.run("bash", "-c", pipe, "pipe", *REQUIRED, *flags).returncode == 1
    assert [path.name for path in made.iterdir()] == ["llama2-7b"]
    assert (made / "llama2-7b").read_text() == done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (REQUIRED, ["--topology is missing"]),
        ((*REQUIRED, "--topology=v5e:3x3"), ["unknown topology 'v5e:3x3'", "2x4"]),
        ((*REQUIRED, "--topology=h100:8"), ["unknown topology", "gpu:NODESxGPUS"]),
        ((*REQUIRED, "--topology=gpu:0x8"), ["unknown topology"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--image="), ["--image is missing"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--config=configs/nope.py"), ["must be a file below configs/"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--name=My_Study"), ["--name=My_Study"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--node-selector=a"), ["must be LABEL=VALUE"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--max-restarts=-1"), ["must not be negative"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--max-restarts=x"), ["--max-restarts"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--", "--workdir=x"), ["before the --"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--frobnicate"), ["--frobnicate"]),
        ((*REQUIRED, "--topology=v5e:2x4", "--", "--config.train.lr=1"), ["study: unknown config key 'lr'"]),
    ],
)  # fmt: skip
def test_bad_input_prints_one_message_and_no_manifest(
    place: Place, flags: tuple[str, ...], words: list[str]
) -> None:
    done = render(place, *flags)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for word in ("launch: ", *words):
        assert word in done.stderr
