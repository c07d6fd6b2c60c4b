"""Seconds until ``sycojax --help`` is there, and until the first training step of the embedded base is done.

    python -m benchmarks.help_seconds --out=benchmarks.jsonl

The peer is ``lm_eval --help``. Start-up is measured in a fresh process: importing, reading base and data, and the
first step with its compilation.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.hardware import device
from benchmarks.measure import OURS, PEER, Line, arguments, compared, interleave, report

FIRST_STEP = """
import json, time
begin = time.perf_counter()
def lap():
    global begin
    now = time.perf_counter()
    seconds, begin = now - begin, now
    return seconds
from benchmarks.lora_train import Ours
from benchmarks.shapes import jobs, opened
from sycojax.training.bank import Bank
found = {"import_s": lap()}
with opened("toy") as bench:
    found["load_base_s"] = lap()
    bank = Bank(jobs(bench.data()), bench.shape.train, 1, 0)
    found["data_s"] = lap()
    ours = Ours(bench.base, bank)
    ours.steps([0])
    found["first_step_s"] = lap()
    ours.steps([1])
    found["second_step_s"] = lap()
print(json.dumps(found))
"""


def first_step() -> dict[str, float]:
    """Seconds of each part of a toy study up to its first two training steps."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STEP], check=True, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def measure(repeats: int, peer: bool) -> Line:
    """The line."""

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    sides = {OURS: lambda _: run(sys.executable, "-m", "sycojax", "--help")}
    script = shutil.which("lm_eval", path=sysconfig.get_path("scripts"))
    why = peers.missing("lm_eval") or ("" if peer and script else "not asked for")
    if not why and script:
        sides[PEER] = lambda _: run(script, "--help")
    timings = interleave(sides, repeats)
    return compared(
        "help_seconds", "-", device(), timings, 1, "s", peer=why or "lm_eval --help", **first_step()
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure."""
    asked = arguments(__doc__ or "", ["-"], argv)
    report([measure(asked.repeats, not asked.no_peer)], asked.out)


if __name__ == "__main__":
    main()
