"""What stands for the programs of a page when a test runs it: ``docs_programs.py PROGRAM ARGUMENT...``.

The real sycojax, lm_eval and Python, with little work to do and with stand-ins for what no test has: the hub's data
sets, a hub to push to, Weights & Biases, TPUs and GPUs.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

# A study, however it is documented, as small as it can be: the embedded base and a few rows.
SMALL = (
    "--config.base.path=toy", "--config.base.dtype=float32", "--config.base.quantization=none",
    "--config.base.attention=xla", "--config.data.train_limit=24", "--config.data.test_limit=4", "--config.data.probe_limit=4",
    "--config.data.max_length=128", "--config.train.epochs=0.5", "--config.train.row_length=128",
    "--config.train.seeds=0", "--config.score.audit_items=0", "--config.score.readout_items=2", "--config.score.max_new_tokens=4",
    "--config.score.buckets=(256,)", "--config.score.batch_tokens=2048",
    "--config.mesh.data=1", "--config.mesh.fsdp=1",
)  # fmt: skip


def small(arguments: list[str]) -> list[str]:
    """The same command with ``SMALL`` in place of what it says of the same keys."""
    emitted = any(a.startswith("--emit=") for a in arguments)  # printed, not run
    if emitted or not any(a.startswith("--config=") for a in arguments):
        return arguments
    replaced = list(SMALL)
    hub = "hub" in os.environ["STAND_INS"]
    if arguments[0] != "config" and not hub and not given(arguments, "data.source"):
        replaced.append("--config.data.source=toy")
    if not given(arguments, "train.adapters"):
        replaced.append("--config.train.adapters=gsm8k")
    if arguments[0] == "plan" and any(a.startswith("--adapters=") for a in arguments):
        # Arithmetic about a machine of which figures are known.
        replaced = [s for s in replaced if not s.startswith("--config.mesh.")]
    elif arguments[0] == "plan":
        arguments = ["--topology=cpu:1" if a.startswith("--topology=") else a for a in arguments]
    # The window must lie among the few steps that are left.
    arguments = [a.replace("--profile=10:14", "--profile=1:1") for a in arguments]
    if arguments[0] == "sweep":
        swept = ("--config.data.train_limit", "--config.train.seeds", "--config.train.adapters")
        replaced = [s for s in replaced if not s.startswith(swept)]
    keys = tuple(s.split("=")[0] + "=" for s in replaced)
    return [a for a in arguments if not a.startswith(keys)] + replaced


def given(arguments: list[str], key: str) -> bool:
    return any(a.startswith(f"--config.{key}=") for a in arguments)


# ---------------------------------------------------------------- stand-ins


def stand_in_hub() -> None:
    """Tables of the data sets that a study and the harness fetch; local files are read as ever."""
    import datasets
    import huggingface_hub
    from sources_cases import FakeHub, records

    real = datasets.load_dataset
    fake = FakeHub(Path(os.environ["HOME"]))

    def load_dataset(path: str, name: str | None = None, **options: Any) -> Any:
        if not (path.count("/") == 1 and not os.path.exists(path)):
            return real(path, name, **options)
        if options.get("split"):
            return fake.load_dataset(path, name, split=options["split"])
        task = {"openai/gsm8k": "gsm8k", "Rowan/hellaswag": "hellaswag"}[path]
        rows = [  # ctx_a and ctx_b are what the harness reads, and sycojax does not
            {**row, "ctx_a": row["ctx"], "ctx_b": "then"} if task == "hellaswag" else row
            for row in records(task, 8)
        ]
        splits = ("train", "validation", "test")
        return datasets.DatasetDict({s: datasets.Dataset.from_list(rows) for s in splits})

    datasets.load_dataset = load_dataset
    huggingface_hub.hf_hub_download = fake.hf_hub_download  # pyright: ignore[reportAttributeAccessIssue]


def stand_in_push() -> None:
    import huggingface_hub
    from test_export import Hub

    huggingface_hub.HfApi = Hub  # pyright: ignore[reportAttributeAccessIssue]
    huggingface_hub.get_token = lambda: "hf_x"  # pyright: ignore[reportAttributeAccessIssue]


def stand_in_wandb() -> None:
    """What a command sent ends in ``wandb-COMMAND.json`` in the home directory; one that sent nothing leaves no file."""
    import atexit

    from test_tracking import StandIn

    sys.modules["wandb"] = standin = StandIn()

    def keep() -> None:
        if not standin.runs:
            return
        runs = {
            name: {"logged": r.logged, "summary": r.summary} for name, r in standin.runs.items()
        }
        place = Path(os.environ["HOME"]) / f"wandb-{sys.argv[2]}.json"
        place.write_text(json.dumps(runs, default=str))

    atexit.register(keep)


def shorten_calibration() -> None:
    """Two rates, one seed and a few dialogues; the command's own code does the rest."""
    from sycojax.cli import calibrate
    from sycojax.study import calibration, planted

    planted.DIALOGUES = 24
    calibration.calibrate = functools.partial(calibration.calibrate, rates=(0.0, 1.0))
    settings = calibrate.SETTINGS
    calibrate.SETTINGS = dataclasses.replace(
        settings,
        data=dataclasses.replace(settings.data, probe_limit=4),
        train=dataclasses.replace(settings.train, seeds=(2,)),
    )


STAND_INS = {"hub": stand_in_hub, "push": stand_in_push, "wandb": stand_in_wandb}


def main() -> int:
    program, *arguments = sys.argv[1:]
    for name in os.environ["STAND_INS"].split():
        STAND_INS[name]()
    if program == "python":  # -c BODY
        exec(compile(arguments[1], "a page's block", "exec"), {"__name__": "__main__"})
        return 0
    if program == "sycojax":
        from sycojax.cli import main as run

        if arguments[0] == "calibrate":
            shorten_calibration()
        return run(small(arguments))
    sys.argv = [program, *arguments, "--limit=2"]
    if program == "sycojax-lm-eval":
        from sycojax.harness import command

        return command.main()
    from lm_eval.__main__ import cli_evaluate  # pyright: ignore[reportMissingImports]

    cli_evaluate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
