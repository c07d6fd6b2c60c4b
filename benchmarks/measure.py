"""Interleaved timing, and what every benchmark writes: a JSON line and a table."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.hardware import cpu_seconds
from sycojax.files import atomic_write
from sycojax.study.workdir import versions

OURS, PEER = "ours", "peer"
PACKAGES = ("jax", "flax", "torch", "transformers", "peft", "lm_eval")  # of both sides


@dataclasses.dataclass
class Timing:
    """One side's repeats, in seconds of wall time and of processor time (all threads, children included)."""

    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return statistics.median(self.wall)

    @property
    def cpu_seconds(self) -> float:
        """Median processor time."""
        return statistics.median(self.cpu)


@dataclasses.dataclass(frozen=True)
class Line:
    """One result. ``ours`` and ``peer`` are in ``unit``; ``ratio`` > 1 says that ours is faster.

    ``cpu_ratio`` is the same ratio in processor time: on a shared machine wall time also measures the
    neighbours. ``peer`` and the ratios are None where there is no peer, and ``details`` says why.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    unit: str
    versions: Mapping[str, str]
    shape: str
    device: str
    repeats: int
    cpu_ratio: float | None
    ours_spread: tuple[float, float]  # smallest and largest of the repeats, in ``unit``
    peer_spread: tuple[float, float] | None
    ours_cpu_seconds: float  # median of one repeat
    peer_cpu_seconds: float | None
    load: float  # machine's load average when measured
    details: Mapping[str, Any]


def interleave(
    sides: Mapping[str, Callable[[int], Any]],
    repeats: int,
    clock: Callable[[], float] | None = None,
) -> dict[str, Timing]:
    """Time every side ``repeats`` times, each repeat in the opposite order of the one before.

    A side is called with the number of the repeat and returns when its work is done. Both see the same
    neighbours on a shared machine, and neither always runs behind the other.
    """
    clock = clock or time.perf_counter
    timings = {name: Timing() for name in sides}
    for repeat in range(repeats):
        order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
        for name in order:
            used, start = cpu_seconds(), clock()
            sides[name](repeat)
            timings[name].wall.append(clock() - start)
            timings[name].cpu.append(cpu_seconds() - used)
    return timings


def seconds(timings: Mapping[str, Timing]) -> tuple[float, float | None]:
    """Median wall time of ours and of the peer, if there is one."""
    peer = timings.get(PEER)
    return timings[OURS].seconds, peer.seconds if peer else None


def compared(
    name: str,
    shape: str,
    device: str,
    timings: Mapping[str, Timing],
    work: float,
    unit: str,
    **details: Any,
) -> Line:
    """The line of two timed sides that did ``work`` (in what ``unit`` counts per second) in every repeat."""
    ours, peer = timings[OURS], timings.get(PEER)

    def spread(timing: Timing) -> tuple[float, float]:
        return work / max(timing.wall), work / min(timing.wall)

    return Line(
        name=name,
        ours=work / ours.seconds,
        peer=work / peer.seconds if peer else None,
        ratio=peer.seconds / ours.seconds if peer else None,
        unit=unit,
        versions=versions(PACKAGES),
        shape=shape,
        device=device,
        repeats=len(ours.wall),
        cpu_ratio=peer.cpu_seconds / ours.cpu_seconds if peer and ours.cpu_seconds else None,
        ours_spread=spread(ours),
        peer_spread=spread(peer) if peer else None,
        ours_cpu_seconds=ours.cpu_seconds,
        peer_cpu_seconds=peer.cpu_seconds if peer else None,
        load=os.getloadavg()[0],
        details=details,
    )


def report(lines: Sequence[Line], out: Path | None) -> None:
    """Print the table; with ``out`` add the JSON lines to that file."""
    print(table(lines))
    if out is None:
        return
    new = "".join(json.dumps(dataclasses.asdict(line)) + "\n" for line in lines)
    before = out.read_text(encoding="utf-8") if out.exists() else ""
    atomic_write(out, before + new)


def table(lines: Sequence[Line]) -> str:
    """One row per line, then its details."""
    head = ("name", "shape", "ours", "peer", "unit", "ratio", "cpu ratio")
    rows = [head, *(
        (
            line.name, line.shape, _number(line.ours), _number(line.peer), line.unit,
            _number(line.ratio), _number(line.cpu_ratio),
        )
        for line in lines
    )]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    for line in lines:
        details = ", ".join(f"{key} {_number(value)}" for key, value in line.details.items())
        text.append(
            f"{line.name} {line.shape} on {line.device}, {line.repeats} repeats, load {line.load:.1f}: {details}"
        )
    return "\n".join(text)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "-" if value is None else str(value)
