"""JobSet manifests: their published form, what each topology asks for, and one clear message for bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet
from own_probe import write_probe

from launch.jobset import job_set, main, parser
from launch.study import options_of
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


def check(manifest: dict[str, Any]) -> None:
    """It has the published form of a JobSet, and of the Job and the Pod in it.

    The models are generated from the OpenAPI documents of JobSet v1alpha2, batch/v1 and core/v1. They check types and
    values; a field that they do not know is lost in them, and one that they miss is filled in.
    """
    model = JobsetV1alpha2JobSet.from_dict(manifest)
    assert model is not None
    assert model.to_dict() == manifest
    # JobSet's own values stand in descriptions only.
    assert model.spec.failure_policy.rules
    for rule in model.spec.failure_policy.rules:
        assert rule.action in type(rule).model_fields["action"].description


VARIANTS = ((), ("--spot", "--queue=team", "--hub-secret=hub", "--node-selector=a=b"))  # fmt: skip


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_manifests_have_the_published_form(topology: str) -> None:
    for flags in VARIANTS:
        check(rendered(f"--topology={topology}", *flags))


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


def test_what_is_printed_is_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*REQUIRED, "--topology=gpu:2x8", *STUDY]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert printed == [rendered("--topology=gpu:2x8")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "required: --topology"),
        (("--topology=v5e:3x3",), "unknown topology 'v5e:3x3' (known for v5e: 1x1, 2x2, 2x4"),
        (("--topology=h100:8",), "unknown topology 'h100:8'"),
        (("--topology=gpu:0x8",), "or gpu:NODESxGPUS"),
        (("--topology=v5e:2x4", "--node-selector=a"), "must be LABEL=VALUE"),
        (("--topology=v5e:2x4", "--frobnicate"), "--frobnicate"),
    ],
)
def test_bad_input_prints_one_message_and_no_manifest(
    refused: Callable[..., str], flags: tuple[str, ...], said: str
) -> None:
    assert said in refused(*REQUIRED, *flags, *STUDY, main=main)


def test_a_file_that_is_not_in_the_image(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_probe(tmp_path)
    said = refused(
        *REQUIRED, "--topology=v5e:2x4", *STUDY, f"--config.data.probes={file}", main=main
    )
    assert f"{file} must lie below configs/" in said
