"""A study as a task of SkyPilot, or a script that launches one for each cell of a sweep.

    python -m launch.skypilot --accelerators=tpu-v5litepod-8 --spot -- study --config=configs/llama2_7b.py \\
        --workdir=gs://BUCKET/llama > llama.yaml
    sky jobs launch llama.yaml

A managed job is launched again, wherever there is room, when its machine is taken away, and the study goes on from the
last copy in the bucket. Fields: SkyPilot's "YAML specification".
"""

from __future__ import annotations

import re
import shlex
import subprocess
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from launch import study
from sycojax.errors import SycojaxError
from sycojax.planning.slices import slice_of_type

# What SkyPilot sets on every node of several.
JOIN = (
    ' --coordinator="$(echo "$SKYPILOT_NODE_IPS" | head -n 1)":'
    f'{study.PORT} --processes="$SKYPILOT_NUM_NODES" --process="$SKYPILOT_NODE_RANK"'
)


def task(options: Namespace, bundle: str) -> dict[str, Any]:
    """The task; with cells the one that is named by ``$CELL``. ``bundle`` is a file that holds the commit.

    Raises ``SycojaxError`` for accelerators that there are not, and a workdir that would be lost.
    """
    resources: dict[str, Any] = {"accelerators": options.accelerators, "use_spot": options.spot}
    hosts, extra = options.nodes, "cuda,gcs"
    if options.accelerators.startswith("tpu-"):
        slice_ = slice_of_type(options.accelerators.removeprefix("tpu-"))
        if options.nodes != 1:
            raise SycojaxError(
                "--nodes is for GPUs: a TPU slice has the hosts that its size asks for"
            )
        hosts, extra = slice_.hosts, "tpu"
        resources["accelerator_args"] = {"runtime_version": slice_.generation.image}
    elif not re.fullmatch(r"[A-Za-z][\w.-]*:[1-9]\d*", options.accelerators) or hosts < 1:
        raise SycojaxError(
            f"--accelerators={options.accelerators} must be GPU:COUNT (H100:8) with --nodes=N, or tpu-TYPE (tpu-v5litepod-8)"
        )
    place = options.study.place(options.share, hosts)
    if not options.share and "://" not in place:
        raise SycojaxError(
            f"--workdir={place} would be lost with the machine: give gs://BUCKET/PATH, or --share=HOST:/PATH"
        )
    run = shlex.join([".venv/bin/sycojax", *options.study.arguments(place)])
    if options.study.cells:
        # A bucket keeps the workdir of one machine.
        run += ' --cell="$CELL"' if options.share else '/"$CELL" --cell="$CELL"'
    if options.nodes > 1:
        run += JOIN  # TPU hosts learn it from the slice's own metadata
    made: dict[str, Any] = {"name": options.study.name, "resources": resources}
    if options.nodes > 1:
        made["num_nodes"] = options.nodes
    if options.study.cells:
        made["envs"] = {"CELL": None}
    if options.hub_token:
        made["secrets"] = {"HF_TOKEN": None}
    made["file_mounts"] = {"~/sycojax.bundle": bundle, "~/setup.sh": "launch/setup.sh"}
    made["setup"] = f"bash ~/setup.sh {shlex.join([extra, *filter(None, [options.share])])}"
    made["run"] = f"cd ~/sycojax && {run}"
    return made


def text(options: Namespace) -> str:
    """The task as YAML, or the script. Raises ``SycojaxError``, also where the checkout has changes."""
    task(options, "")  # says what is wrong before anything is made
    done = subprocess.run(
        ["bash", "launch/bundle.sh"], cwd=study.HERE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SycojaxError(done.stderr.strip().splitlines()[-1])
    yaml = study.as_yaml([task(options, done.stdout.strip())])
    secret = " --secret=HF_TOKEN" if options.hub_token else ""
    if not options.study.cells:
        return f"# From the checkout: sky jobs launch{secret} THIS_FILE\n{yaml}"
    launches = (f"launch {name} {shlex.quote(cell)}" for name, cell in options.study.jobs().items())
    return "\n".join(
        (
            "#!/usr/bin/env bash",
            "# A managed job of SkyPilot for each cell of a sweep. From the checkout: bash THIS_FILE",
            "set -euo pipefail",
            "directory=$(mktemp -d)",
            """trap 'rm -r "$directory"' EXIT""",
            """cat >"$directory/task.yaml" <<'TASK'""",
            f"{yaml}TASK",
            "launch() {",
            f'  sky jobs launch --yes --detach-run --name="$1" --env=CELL="$2"{secret} "$directory/task.yaml"',
            "}",
            *launches,
            "",
        )
    )


def parser() -> study.Parser:
    """The flags."""
    flags = study.Parser("skypilot", "--accelerators=KIND")
    flags.add_argument(
        "--accelerators", required=True, help="tpu-v5litepod-8, H100:8, as SkyPilot names them"
    )
    flags.add_argument("--nodes", type=int, default=1, help="GPU machines that share the work")
    flags.add_argument("--spot", action="store_true", help="cheaper, may be taken away")
    flags.add_argument("--share", default="", help="NFS share HOST:/PATH that holds the workdir")
    flags.add_argument(
        "--hub-token", action="store_true", help="pass $HF_TOKEN on, by sky's --secret=HF_TOKEN"
    )
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    return study.main(parser(), text, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
