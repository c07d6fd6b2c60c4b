"""A study as a Kubernetes JobSet, printed as YAML: ``python -m launch.kubernetes ... | kubectl create --filename=-``.

    python -m launch.kubernetes --config=configs/llama2_7b.py --topology=v5e:4x4 --image=IMAGE --claim=CLAIM \\
        | kubectl create --filename=-

JobSet (sigs.k8s.io/jobset) starts all pods together and all of them again when one is lost; Kueue queues it when
``--queue`` is given. Fields: JobSet v1alpha2, batch/v1 Job and core/v1 Pod; labels of GKE's "Plan TPUs in GKE".
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch.command import LaunchError, Parser, run_main
from launch.settings import check_settings
from launch.topology import slice_of_topology

WORKDIR = "/workdir"  # where the claim is mounted
JOB = "study"  # the replicated job; its pods are NAME-study-0-I
PORT = 8476  # where process 0 listens


def job_set(options: Namespace) -> dict[str, Any]:
    """The manifest. Raises ``LaunchError`` for an unknown topology."""
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

    arguments = study_arguments(options)
    if pods == 1:
        arguments.append("--processes=1")  # inside Kubernetes, sycojax would look for the others
    elif gpu:
        first = f"{options.name}-{JOB}-0-0.{options.name}"
        arguments += [f"--coordinator={first}:{PORT}", f"--processes={pods}", "--process=$(PROCESS)"]  # fmt: skip
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
    }
    if gpu:
        pod["securityContext"] = {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 1000}
        container["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})  # NCCL's, 64 MB otherwise
        pod["tolerations"] = [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
    else:
        container["securityContext"] = {"runAsUser": 0, "privileged": True}  # the chips' devices
        pod["tolerations"] = [
            {"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
    if options.spot:
        pod["tolerations"].append(
            {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        )  # fmt: skip

    metadata: dict[str, Any] = {"name": options.name, "labels": {"app": "sycojax"}}
    if options.namespace:
        metadata["namespace"] = options.namespace
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
                "maxRestarts": options.max_restarts,
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


def study_arguments(options: Namespace) -> list[str]:
    """What each pod has sycojax do."""
    config = f"--config={options.config}"
    if options.cell:  # all cells of a sweep share a workdir
        workdir = f"--workdir={WORKDIR}/{options.sweep}"
        return ["sweep", config, workdir, f"--cell={options.cell}", *options.study]
    return ["study", config, f"--workdir={WORKDIR}/{options.name}", *options.study]


def options_of(command_line: Sequence[str]) -> Namespace:
    """Parse and check. Raises ``LaunchError``."""
    ours = list(command_line)
    cut = ours.index("--") if "--" in ours else len(ours)
    parser = Parser(
        prog="python -m launch.kubernetes",
        usage="%(prog)s --config=FILE --topology=SHAPE --image=IMAGE --claim=CLAIM [flags] [-- --config.KEY=VALUE ...]",
    )
    parser.add_argument("--config", default="", help="a config file of this checkout")
    parser.add_argument(
        "--topology", default="", help="v5e:2x4, v6e:4x4, v5p:2x2x2, gpu:NODESxGPUS"
    )
    parser.add_argument("--image", default="", help="built from launch/Containerfile")
    parser.add_argument("--claim", default="", help="PersistentVolumeClaim for workdir and cache")
    parser.add_argument(
        "--name", default="", help="of the JobSet and the workdir; default: the config's"
    )
    parser.add_argument("--cell", default="", help="of a sweep: run it in place of a study")
    parser.add_argument("--sweep", default="", help="workdir of the cell's sweep on the claim")
    parser.add_argument("--namespace", default="", help="default: kubectl's own")
    parser.add_argument("--queue", default="", help="a LocalQueue of Kueue")
    parser.add_argument("--spot", action="store_true", help="GKE's spot nodes")
    parser.add_argument(
        "--node-selector", action="append", default=[], help="LABEL=VALUE, again for more"
    )
    parser.add_argument("--hub-secret", default="", help="Secret with a Hugging Face `token`")
    parser.add_argument(
        "--max-restarts", type=int, default=3, help="after failures that are no preemption"
    )
    options = parser.parse_args(ours[:cut])
    options.study = ours[cut + 1 :]
    for flag, example in (
        ("config", "configs/llama2_7b.py"), ("topology", "v5e:2x4"), ("image", "REGISTRY/sycojax:tpu"), ("claim", "studies"),
    ):  # fmt: skip
        if not getattr(options, flag):
            raise LaunchError(f"--{flag} is missing, for example --{flag}={example}")
    config = Path(options.config)
    if config.is_absolute() or not config.is_file() or config.parts[0] != "configs":
        raise LaunchError(
            f"--config={config} must be a file below configs/ of the checkout, which the image holds"
        )
    options.name = options.name or config.stem.replace("_", "-")
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", options.name):
        raise LaunchError(
            f"--name={options.name}: a letter, then at most 39 of a-z, 0-9 and -, not ending in -"
        )
    if options.cell and not options.sweep:
        raise LaunchError(f"--cell={options.cell} needs --sweep=NAME: the workdir of all its cells")
    for pair in options.node_selector:
        if "=" not in pair:
            raise LaunchError(f"--node-selector={pair} must be LABEL=VALUE")
    if options.max_restarts < 0:
        raise LaunchError(f"--max-restarts={options.max_restarts} must not be negative")
    if any(a.split("=")[0] in ("--workdir", "--config") for a in options.study):
        raise LaunchError("give --config before the --; the workdir is --name's on the claim")
    return options


def body(command_line: Sequence[str]) -> None:
    """Print the manifest. Raises ``LaunchError``."""
    options = options_of(command_line)
    manifest = job_set(options)
    check_settings(study_arguments(options))
    try:
        import yaml
    except ImportError as error:
        raise LaunchError("the YAML package is missing: pip install pyyaml") from error
    print(yaml.safe_dump(manifest, sort_keys=False), end="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    return run_main(body, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
