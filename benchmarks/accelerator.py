"""Minutes on an accelerator: training, scoring and decoding at a 7B's shape beside the peers that are installed.

``benchmarks/accelerator.sh --out=found.jsonl``. Each part has its time, and runs in a process that is ended with it where it takes
longer or fails; results are written after each part, and a table at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accelerator_parts import MARK, PARTS
from benchmarks.shapes import SHAPES

LEAST = 10.0  # seconds that a part is worth beginning with
# What a process of each kind computes with: JAX has the whole device, or none of it beside torch.
ENVIRONMENT = {
    "jax": {"XLA_PYTHON_CLIENT_PREALLOCATE": "true", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"},
    "torch": {"JAX_PLATFORMS": "cpu"},
    "vllm": {"JAX_PLATFORMS": "cpu"},
}

Result = Mapping[str, Any]


class Worker:
    """A process that runs parts, one at a time."""

    def __init__(self, kind: str, command: Sequence[str]):
        self.kind = kind
        self.child = subprocess.Popen(
            [*command, *["--no-weights"] * (kind != "jax")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | ENVIRONMENT[kind], process_group=0,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(line)
        self._lines.put(None)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.child.poll() is not None

    def run(self, part: str, seconds: float) -> Result:
        """The part's result; where there is none in ``seconds``, why, and the process is gone."""
        end = time.monotonic() + seconds
        with contextlib.suppress(BrokenPipeError):
            assert self.child.stdin is not None
            self.child.stdin.write(part + "\n")
            self.child.stdin.flush()
        try:
            while (line := self._lines.get(timeout=max(end - time.monotonic(), 0))) is not None:
                if line.startswith(MARK):
                    return json.loads(line.removeprefix(MARK))
                print(line, end="", flush=True)
            error = f"its process ended with {self.child.wait()}"
        except queue.Empty:
            error = f"no result within {seconds:.0f} s"
        self.end()
        return {"part": part, "seconds": seconds - (end - time.monotonic()), "error": error}

    def end(self, patience: float = 0.0) -> None:
        """End the process, in ``patience`` seconds by itself, with all it has started; the device is free then."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if patience and self.child.stdin is not None:
                self.child.stdin.close()
                self.child.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self._reader.join(5)
        for pipe in (self.child.stdin, self.child.stdout):
            with contextlib.suppress(OSError):  # what it was not told any more
                if pipe is not None:
                    pipe.close()


def measure(
    parts: Sequence[str], command: Sequence[str], minutes: float, out: Path | None
) -> list[Result]:
    """Run the parts in order for ``minutes`` at most, by processes that ``command`` starts.

    Where a part has no result, ``error`` says why. Results are added to ``out`` as they come.
    """
    end = time.monotonic() + 60 * minutes
    results: list[Result] = []
    worker: Worker | None = None
    try:
        for name in parts:
            part, left = PARTS[name], end - time.monotonic()
            absent = [p for p in part.needs if importlib.util.find_spec(p) is None]
            if absent or left < LEAST:
                why = f"{', '.join(absent)} not installed" if absent else "no time left"
                result: Result = {"part": name, "seconds": 0.0, "error": why}
            else:
                limit = min(part.seconds, left)
                print(f"{name}: {limit:.0f} s at most, {left:.0f} s left", flush=True)
                if worker is None or worker.kind != part.process or worker.ended:
                    if worker is not None:
                        worker.end(patience=5)
                    worker = Worker(part.process, command)
                result = worker.run(name, limit)
            results.append(result)
            print(f"{name}: {_said(result)}", flush=True)
            if out is not None:
                with out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(result) + "\n")
    finally:
        if worker is not None:
            worker.end(patience=5 if len(results) == len(parts) else 0)
        print(table(results), flush=True)
    return results


def table(results: Sequence[Result]) -> str:
    """A row for each part. ``times`` is its speed over that of the part it is compared with."""
    head = ("part", "value", "unit", "times", "of sheet", "of measured", "compiling s", "s", "")
    by_name = {result["part"]: result for result in results if "value" in result}
    ceiling = by_name.get("ceilings", {})
    rows: list[tuple[str, ...]] = [head]
    for result in results:
        base = by_name.get(PARTS[result["part"]].base, {}).get("value")
        value = result.get("value")
        reached, of = result.get("tflops_arranged", result.get("tflops")), ceiling.get("value")
        if "gb_per_second" in result:
            reached = result.get("gb_per_second_of_steps", result["gb_per_second"])
            of = ceiling.get("copy_gb_per_second")
        shares = ("mfu_arranged", "mfu", "share_of_bandwidth_of_steps")
        sheet = next((result[name] for name in shares if name in result), None)
        rows.append((
            result["part"], _number(value), result.get("unit", ""),
            _number(value / base if value and base else None), _number(sheet),
            _number(reached / of if reached and of else None),
            _number(result.get("compile_seconds")), _number(result["seconds"]), result["error"] or "",
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _said(result: Result) -> str:
    if result["error"]:
        return f"{result['error']}, after {result['seconds']:.1f} s"
    left_out = ("part", "shape", "device", "error", "value", "unit", "spread", "kernels")
    found = {k: v for k, v in result.items() if k not in left_out and v is not None}
    details = ", ".join(f"{key} {_number(value)}" for key, value in found.items())
    return f"{_number(result['value'])} {result['unit']} ({details})"


def _number(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    return "" if value is None else str(value)


def main(argv: Sequence[str] | None = None) -> list[Result]:
    """Measure, and print what was found. Returns the results."""
    parser = argparse.ArgumentParser(prog="benchmarks/accelerator.sh", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="llama2_7b")
    parser.add_argument("--data", type=Path, help="splits/, probes.json and a tokenizer's files")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="medians are taken over these")
    parser.add_argument("--minutes", type=float, default=9, help="for all parts together")
    parser.add_argument("--out", type=Path, help="JSON lines are added to it, one for each part")
    asked = parser.parse_args(argv)
    parts = asked.parts.split(",")
    if unknown := [name for name in parts if name not in PARTS]:
        parser.error(f"--parts: {', '.join(unknown)} not known (known: {', '.join(PARTS)})")
    if shutil.which("nvidia-smi"):
        query = "--query-gpu=name,driver_version,memory.total,clocks.sm,power.draw,power.limit"
        subprocess.run(["nvidia-smi", query, "--format=csv,noheader"], check=False)
    command = [sys.executable, "-m", "benchmarks.accelerator_parts"]
    command += [f"--shape={asked.shape}", f"--repeats={asked.repeats}"]
    command += [f"--data={asked.data}"] if asked.data else []
    return measure(parts, command, asked.minutes, asked.out)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    main()
