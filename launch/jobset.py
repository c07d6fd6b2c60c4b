"""A study as a Kubernetes JobSet, or a JobSet for each cell of a sweep, printed as YAML.

    python -m launch.jobset --topology=v5e:4x4 --image=IMAGE --claim=CLAIM -- study --config=configs/llama2_7b.py \\
        --workdir=llama2_7b | kubectl create --filename=-

JobSet (sigs.k8s.io/jobset) starts all pods together and all of them again when one is lost; Kueue queues it when
``--queue`` is given. Fields: JobSet v1alpha2, batch/v1 Job and core/v1 Pod; labels of GKE's "Plan TPUs in GKE".
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from launch import study
from sycojax.errors import SycojaxError
from sycojax.planning.slices import slice_of_topology

WORKDIR = "/workdir"  # where the claim is mounted
JOB = "study"  # the replicated job; its pods are NAME-study-0-I


def job_set(options: Namespace, name: str, cell: str) -> dict[str, Any]:
    """The manifest. Raises ``SycojaxError`` for an unknown topology."""
    gpu = re.fullmatch(r"gpu:([1-9]\d*)x([1-9]\d*)", options.topology)
    if gpu:
        pods, per_pod, resource = int(gpu[1]), int(gpu[2]), "nvidia.com/gpu"
        selector: dict[str, str] = {}
    else:
        slice_ = slice_of_topology(options.topology)
        pods, resource = slice_.hosts, "google.com/tpu"
        per_pod = slice_.chips // pods
        selector = {
            "cloud.google.com/gke-tpu-accelerator": slice_.generation.label,
            "cloud.google.com/gke-tpu-topology": slice_.topology,
        }
    if options.spot:
        selector["cloud.google.com/gke-spot"] = "true"
    selector |= dict(pair.split("=", 1) for pair in options.node_selector)

    arguments = options.study.arguments(options.study.below(WORKDIR), cell)
    if pods == 1:
        arguments.append("--processes=1")  # inside Kubernetes, sycojax would look for the others
    elif gpu:
        first = f"{name}-{JOB}-0-0.{name}"
        arguments += [f"--coordinator={first}:{study.PORT}", f"--processes={pods}", "--process=$(PROCESS)"]  # fmt: skip
    # With several TPU hosts GKE tells JAX who they are.

    container: dict[str, Any] = {
        "name": JOB,
        "image": options.image,
        "args": arguments,
        "env": [
            {
                "name": "PROCESS",
                "valueFrom": {
                    "fieldRef": {
                        "fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"
                    }
                },
            },
            {"name": "HF_HOME", "value": f"{WORKDIR}/huggingface"},  # fetched once for all pods
        ],
        "resources": {"requests": {resource: per_pod}, "limits": {resource: per_pod}},
        "volumeMounts": [{"name": "workdir", "mountPath": WORKDIR}],
    }
    if options.hub_secret:
        container["env"].append(
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": options.hub_secret, "key": "token"}}}
        )  # fmt: skip
    volumes: list[dict[str, Any]] = [
        {"name": "workdir", "persistentVolumeClaim": {"claimName": options.claim}}
    ]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",  # the JobSet restarts, and all pods together
        "terminationGracePeriodSeconds": 120,  # the study finishes its step and saves
        "nodeSelector": selector,
        "containers": [container],
        "volumes": volumes,
        "tolerations": [{"key": resource, "operator": "Exists", "effect": "NoSchedule"}],
    }
    if gpu:
        pod["securityContext"] = {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 1000}
        container["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})  # NCCL's, 64 MB otherwise
    else:
        container["securityContext"] = {"runAsUser": 0, "privileged": True}  # the chips' devices
    if options.spot:
        pod["tolerations"].append(
            {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        )  # fmt: skip

    metadata: dict[str, Any] = {"name": name, "labels": {"app": "sycojax"}}
    if options.queue:
        metadata["labels"]["kueue.x-k8s.io/queue-name"] = options.queue
    if not gpu and pods > 1:  # all pods on one slice
        metadata["annotations"] = {
            "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
        }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": {
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            "failurePolicy": {
                "maxRestarts": 3,
                # A pod that its node was taken from is nobody's fault: restarts of that kind are not counted.
                "rules": [
                    {
                        "name": "preempted",
                        "action": "RestartJobSetAndIgnoreMaxRestarts",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [
                {
                    "name": JOB,
                    "replicas": 1,
                    "template": {
                        "spec": {
                            "completionMode": "Indexed",
                            "parallelism": pods,
                            "completions": pods,
                            "backoffLimit": 0,
                            "podFailurePolicy": {
                                "rules": [
                                    {
                                        "action": "FailJob",
                                        "onPodConditions": [
                                            {"type": "DisruptionTarget", "status": "True"}
                                        ],
                                    }
                                ]
                            },
                            "template": {"metadata": {"labels": {"app": "sycojax"}}, "spec": pod},
                        }
                    },
                }
            ],
        },
    }


def manifests(options: Namespace) -> str:
    """The JobSets as YAML. Raises ``SycojaxError``."""
    for file in options.study.files:
        if not file.startswith("configs/"):
            raise SycojaxError(
                f"{file} must lie below configs/ of the checkout, which the image holds"
            )
    for pair in options.node_selector:
        if "=" not in pair:
            raise SycojaxError(f"--node-selector={pair} must be LABEL=VALUE")
    jobs = options.study.jobs()
    return study.as_yaml([job_set(options, name, cell) for name, cell in jobs.items()])


def parser() -> study.Parser:
    """The flags."""
    flags = study.Parser("jobset", "--topology=SHAPE --image=IMAGE --claim=CLAIM")
    flags.add_argument(
        "--topology", required=True, help="v5e:2x4, v6e:4x4, v5p:2x2x2, gpu:NODESxGPUS"
    )
    flags.add_argument("--image", required=True, help="built from launch/Containerfile")
    flags.add_argument(
        "--claim", required=True, help="PersistentVolumeClaim for workdir and downloads"
    )
    flags.add_argument("--queue", default="", help="a LocalQueue of Kueue")
    flags.add_argument("--spot", action="store_true", help="GKE's spot nodes")
    flags.add_argument(
        "--node-selector", action="append", default=[], help="LABEL=VALUE, again for more"
    )
    flags.add_argument("--hub-secret", default="", help="Secret with a Hugging Face `token`")
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    return study.main(parser(), manifests, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
