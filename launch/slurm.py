"""The cells of a sweep as a Slurm array, or a study, as a batch script: ``launch/slurm.sh`` with its arguments.

    python -m launch.slurm --partition=gpu --gpus-per-node=4 -- study --config=configs/toy.py --workdir=runs/toy | sbatch

Flags that are not this launcher's own are options of ``sbatch``.
"""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Sequence

from launch import study
from sycojax.errors import SycojaxError

SCRIPT = "launch/slurm.sh"


def script(options: Namespace) -> str:
    """The batch script; task I of an array runs cell I. Raises ``SycojaxError`` for a workdir in a bucket."""
    work = options.study
    if "://" in work.workdir:
        raise SycojaxError(f"--workdir={work.workdir} must be a directory that all nodes see")
    lines = (study.HERE / SCRIPT).read_text(encoding="utf-8").splitlines()
    header = [line for line in lines if line.startswith("#SBATCH")]
    cells, cell = [], ""
    if work.cells:
        header = [line for line in header if "--output" not in line]
        header += [
            f"#SBATCH --array=0-{len(work.cells) - 1}", "#SBATCH --output=sycojax-%A_%a.log",
        ]  # fmt: skip
        cells = ["cells=(", *(f"  {shlex.quote(name)}" for name in work.cells), ")"]
        cell = ' --cell="${cells[$SLURM_ARRAY_TASK_ID]}"'
    return "\n".join(
        (
            "#!/usr/bin/env bash",
            "# From the checkout: sbatch THIS_FILE; options of sbatch override these lines.",
            *header,
            *(f"#SBATCH {shlex.quote(option)}" for option in options.others),
            *cells,
            f"exec bash {SCRIPT} {shlex.join(work.arguments(work.workdir))}{cell}",
            "",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = study.Parser("slurm", "[--OPTION_OF_SBATCH ...]")
    return study.main(parser, script, arguments, others=True)


if __name__ == "__main__":
    raise SystemExit(main())
