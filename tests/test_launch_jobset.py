"""JobSet manifests: their published form, what each topology asks for, and one clear message for bad input."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
import yaml
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet
from launch_cases import Place, fails, works

from launch.jobset import job_set, parser
from launch.study import options_of
from sycojax.errors import SycojaxError
from sycojax.planning.slices import GENERATIONS

REQUIRED = ("--image=registry.example/sycojax:tpu", "--claim=studies")
STUDY = ("--", "study", "--config=configs/llama2_7b.py", "--workdir=runs/llama2_7b")
TOPOLOGIES = (
    *(f"{v}:{t}" for v, g in GENERATIONS.items() for t in g.topologies), "gpu:1x1", "gpu:1x8", "gpu:2x8",
)  # fmt: skip


def rendered(*flags: str, study: tuple[str, ...] = STUDY) -> dict[str, Any]:
    options = options_of(parser(), [*REQUIRED, *flags, *study])
    [(name, cell)] = options.study.jobs().items()
    return job_set(options, name, cell)


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
        where, name, value = list(broken_fields(manifest))[number]
        if value is None:
            del where[name]
        else:
            where[name] = value
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
    container = pod_of(rendered("--topology=gpu:2x8"))["containers"][0]
    assert container["args"][-3:] == [
        "--coordinator=llama2-7b-study-0-0.llama2-7b:8476", "--processes=2", "--process=$(PROCESS)",
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
    manifest = rendered("--topology=v5e:2x4", study=(*STUDY, "--config.train.seeds=0,1"))
    container = pod_of(manifest)["containers"][0]
    mount = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}["workdir"]
    assert manifest["metadata"]["name"] == "llama2-7b"
    assert f"--workdir={mount}/runs/llama2_7b" in container["args"]
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


def test_what_is_printed_is_what_kubectl_gets(place: Place) -> None:
    pipe = 'python -m launch.jobset "$@" | kubectl create --filename=-'
    works(place.run("bash", "-c", pipe, "pipe", *REQUIRED, "--topology=gpu:2x8", *STUDY))
    created = (place.world / "created.yaml").read_text()
    assert list(yaml.safe_load_all(created)) == [rendered("--topology=gpu:2x8")]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), ["required: --topology"]),
        (("--topology=v5e:3x3",), ["unknown topology 'v5e:3x3'", "2x4"]),
        (("--topology=h100:8",), ["unknown topology", "gpu:NODESxGPUS"]),
        (("--topology=gpu:0x8",), ["unknown topology"]),
        (("--topology=v5e:2x4", "--node-selector=a"), ["must be LABEL=VALUE"]),
        (("--topology=v5e:2x4", "--max-restarts=-1"), ["must not be negative"]),
        (("--topology=v5e:2x4", "--max-restarts=x"), ["--max-restarts"]),
        (("--topology=v5e:2x4", "--frobnicate"), ["--frobnicate"]),
    ],
)  # fmt: skip
def test_bad_input_prints_one_message_and_no_manifest(
    place: Place, flags: tuple[str, ...], words: list[str]
) -> None:
    fails(place.run("python", "-m", "launch.jobset", *REQUIRED, *flags, *STUDY), "launch: ", *words)


def test_a_file_that_is_not_in_the_image(place: Place) -> None:
    study = (*STUDY, "--probe=my_probe.py")
    done = place.run("python", "-m", "launch.jobset", *REQUIRED, "--topology=v5e:2x4", *study)
    fails(done, "my_probe.py must lie below configs/")


def test_a_workdir_that_is_not_on_the_claim() -> None:
    for workdir in ("/runs/x", "gs://studies/x", "../x"):
        with pytest.raises(SycojaxError, match="must be a relative path"):
            rendered("--topology=v5e:2x4", study=(*STUDY[:3], f"--workdir={workdir}"))
