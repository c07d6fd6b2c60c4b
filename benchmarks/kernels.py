"""What a device can do at most, and where its time goes: the kernels that ran while a function did, summed by name."""

from __future__ import annotations

import collections
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.hardware import chip

MOST, WIDTH = 12, 72  # kernels that are named, and the letters of a name


def ceilings(repeats: int) -> dict[str, Any]:
    """A bfloat16 matrix product and a copy, each as large as it takes to fill the device."""
    small = jax.default_backend() == "cpu"
    size, length = (1024, 1 << 24) if small else (8192, 1 << 31)
    a, b = (jax.random.normal(jax.random.key(n), (size, size), jnp.bfloat16) for n in (0, 1))
    long = jax.random.bits(jax.random.key(2), (length,), jnp.uint8)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x ^ 1)

    def rate(work: float, run: Callable[[], Any]) -> float:
        jax.block_until_ready(run())
        start = time.perf_counter()
        jax.block_until_ready([run() for _ in range(10)])
        return 10 * work / (time.perf_counter() - start)

    found = max(rate(2 * size**3, lambda: product(a, b)) for _ in range(repeats))
    moved = max(rate(2 * length, lambda: copy(long)) for _ in range(repeats))
    sheet = chip()
    return {
        "value": found / 1e12, "unit": "TFLOP/s", "size": size, "copy_gb_per_second": moved / 1e9,
        "sheet_tflops": sheet and sheet.flops / 1e12,
        "sheet_gb_per_second": sheet and sheet.bandwidth / 1e9,
    }  # fmt: skip


def busiest(run: Callable[[], Any]) -> dict[str, Any]:
    """Seconds of ``run``, those in which kernels ran (added up over streams), and the largest as [name, calls, ms]."""
    with tempfile.TemporaryDirectory(prefix="sycojax-trace-") as directory:
        with jax.profiler.trace(directory):
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
        (file,) = Path(directory).rglob("*.xplane.pb")
        planes = list(jax.profiler.ProfileData.from_file(str(file)).planes)
        devices = [p for p in planes if p.name.startswith("/device:")]
        # A GPU has its kernels by stream, a TPU its operations on one line; a CPU's are the host's.
        wanted = ("Stream", "XLA Ops") if devices else ("XLA",)
        spent: collections.defaultdict[str, list[float]] = collections.defaultdict(list)
        for plane in devices or planes:
            for line in plane.lines:
                if any(part in (line.name or "") for part in wanted):
                    for event in line.events:
                        name = re.sub(r"[._]\d+(?=$|\()", "", event.name)[:WIDTH]
                        spent[name].append(event.duration_ns / 1e6)
    ranked = sorted(spent.items(), key=lambda item: -sum(item[1]))[:MOST]
    return {
        "seconds": seconds,
        "busy_seconds": sum(map(sum, spent.values())) / 1e3,
        "calls": sum(map(len, spent.values())),
        "largest": [[name, len(ms), round(sum(ms), 3)] for name, ms in ranked],
    }
