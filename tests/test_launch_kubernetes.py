"""JobSet manifests: the fields that are known, what each topology asks for, and one clear message for bad input."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from launch_cases import Place

from launch.kubernetes import job_set, options_of
from launch.topology import GENERATIONS

yaml = pytest.importorskip("yaml")

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


# The fields of JobSet v1alpha2, batch/v1 and core/v1 that a manifest of ours may use, kept by hand: name -> type, or
# the fields below it. A trailing ! marks a field that must be there.
STRINGS: dict[str, Any] = {"*": str}
SCHEMA: dict[str, Any] = {
    "apiVersion!": str, "kind!": str,
    "metadata!": {"name!": str, "namespace": str, "labels": STRINGS, "annotations": STRINGS},
    "spec!": {
        "network": {"enableDNSHostnames": bool, "publishNotReadyAddresses": bool},
        "failurePolicy": {
            "maxRestarts": int,
            "rules": [{"name!": str, "action!": str, "onJobFailureReasons": [str]}],
        },
        "replicatedJobs!": [{
            "name!": str, "replicas": int,
            "template!": {"spec!": {
                "completionMode": str, "parallelism": int, "completions": int, "backoffLimit": int,
                "podFailurePolicy": {"rules!": [
                    {"action!": str, "onPodConditions": [{"type!": str, "status!": str}]}
                ]},
                "template!": {"metadata": {"labels": STRINGS}, "spec!": {
                    "restartPolicy": str, "terminationGracePeriodSeconds": int, "nodeSelector": STRINGS,
                    "securityContext": {"runAsUser": int, "runAsNonRoot": bool, "fsGroup": int},
                    "tolerations": [{"key": str, "operator": str, "value": str, "effect": str}],
                    "containers!": [{
                        "name!": str, "image!": str, "args": [str],
                        "env": [{
                            "name!": str, "value": str,
                            "valueFrom": {
                                "fieldRef": {"fieldPath!": str}, "secretKeyRef": {"name!": str, "key!": str},
                            },
                        }],
                        "resources": {"requests": {"*": int}, "limits": {"*": int}},
                        "volumeMounts": [{"name!": str, "mountPath!": str}],
                        "securityContext": {"runAsUser": int, "privileged": bool},
                    }],
                    "volumes": [{
                        "name!": str, "persistentVolumeClaim": {"claimName!": str}, "emptyDir": {"medium": str},
                    }],
                }},
            }},
        }],
    },
}  # fmt: skip


def mistakes(value: Any, schema: Any, path: str = "") -> list[str]:
    """What of ``value`` is not of the form above."""
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{path} is no list"]
        parts = [mistakes(v, schema[0], f"{path}[{i}]") for i, v in enumerate(value)]
        return list(itertools.chain(*parts))
    if not isinstance(schema, dict):
        return [] if type(value) is schema else [f"{path} is no {schema.__name__}: {value!r}"]
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    fields = {name.rstrip("!"): below for name, below in schema.items()}
    found = [
        f"{path}.{n[:-1]} is missing" for n in schema if n.endswith("!") and n[:-1] not in value
    ]
    for name, below in value.items():
        if name not in fields and "*" not in fields:
            found.append(f"{path}.{name} is unknown")
        else:
            found += mistakes(below, fields.get(name, fields.get("*")), f"{path}.{name}")
    return found


def published_mistakes(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """The same against an OpenAPI schema, as the API server reads it: unknown fields are mistakes."""
    if schema.get("x-kubernetes-int-or-string"):
        return [] if isinstance(value, int | str) else [f"{path} is neither integer nor string"]
    kind = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}[schema["type"]]  # fmt: skip
    if type(value) is not kind:
        return [f"{path} is no {schema['type']}: {value!r}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}={value!r} is not one of {schema['enum']}")
    if kind is list:
        for i, item in enumerate(value):
            found += published_mistakes(item, schema["items"], f"{path}[{i}]")
    if kind is dict:
        found += [f"{path}.{n} is missing" for n in schema.get("required", ()) if n not in value]
        if schema.get("x-kubernetes-preserve-unknown-fields") or (
            "properties" not in schema and "additionalProperties" not in schema
        ):
            return found
        for name, below in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if known is None:
                found.append(f"{path}.{name} is unknown")
            else:
                found += published_mistakes(below, known, f"{path}.{name}")
    return found


VARIANTS = ((), ("--spot", "--queue=team", "--hub-secret=hub", "--namespace=lab", "--node-selector=a=b"))  # fmt: skip


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_manifests_have_the_known_form(topology: str) -> None:
    for flags in VARIANTS:
        assert mistakes(rendered(f"--topology={topology}", *flags), SCHEMA) == []


def test_the_form_notices_mistakes() -> None:
    manifest = rendered("--topology=v5e:2x4")
    job_of(manifest)["paralellism"] = 2
    pod_of(manifest)["containers"][0].pop("image")
    pod_of(manifest)["nodeSelector"]["x"] = 1
    assert len(mistakes(manifest, SCHEMA)) == 3


def test_manifests_fit_the_published_schema() -> None:
    """Set SYCOJAX_JOBSET_CRD to config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml of a JobSet release."""
    path = os.environ.get("SYCOJAX_JOBSET_CRD", "")
    if not path:
        pytest.skip("SYCOJAX_JOBSET_CRD names no JobSet CRD")
    [version] = [
        v
        for v in yaml.safe_load(Path(path).read_text())["spec"]["versions"]
        if v["name"] == "v1alpha2"
    ]
    schema = version["schema"]["openAPIV3Schema"]
    for topology, flags in itertools.product(TOPOLOGIES, VARIANTS):
        assert published_mistakes(rendered(f"--topology={topology}", *flags), schema) == []
    broken = rendered("--topology=gpu:2x8")
    broken["spec"]["failurePolicy"]["rules"][0]["action"] = "Restart"
    job_of(broken)["paralellism"] = 2
    assert len(published_mistakes(broken, schema)) == 2


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
    assert (place.world / "created.yaml").read_text() == done.stdout


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
