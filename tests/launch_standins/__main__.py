"""Stand-ins for gcloud, Slurm, kubectl and what runs on a TPU VM: ``python launch_standins TOOL ARGUMENT...``.

Of any other tool only the call matters.
"""

from __future__ import annotations

import importlib
import json
import sys

from world import home

MODULES = {
    "gcloud": ("gcloud",),
    "worker": ("sudo", "systemd-run", "systemctl", "mountpoint", "findmnt", "uv", "python"),
    "study": ("sycojax",),
    "cluster": ("sbatch", "srun", "scancel", "scontrol", "kubectl", "sky"),
}


def main() -> None:
    tool, arguments = sys.argv[1], sys.argv[2:]
    with (home() / "calls.jsonl").open("a") as stream:
        stream.write(json.dumps([tool, *arguments]) + "\n")
    for module, tools in MODULES.items():
        if tool in tools:
            getattr(importlib.import_module(module), tool.replace("-", "_"))(arguments)


if __name__ == "__main__":
    main()
