"""Compiling one program, and what the compiler says of its memory and its collectives."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

import jax

from sycojax.planning.collectives import Collective, collectives

# The compiler of TPUs refuses what does not fit; this is how it says how much that would have been.
USED = re.compile(r"Used ([\d.]+)([KMGT]) of [\d.]+[KMGT] hbm")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Bytes of HBM per device. Of a program that was refused only ``peak`` is known, and not always."""

    refused: str  # why the compiler gave up, or empty
    arguments: int | None
    temporaries: int | None
    peak: int | None  # arguments, temporaries and results at the worst moment
    collectives: list[Collective]
    seconds: float  # that tracing and compiling took

    def fits(self, limit: int | None) -> bool | None:
        """Whether it runs in so many bytes; None where that is not known."""
        if self.refused:
            return False
        if limit is None or self.peak is None:
            return None
        return self.peak <= limit


def compile_program(lower: Callable[[], jax.stages.Lowered]) -> Compiled:
    """Trace, lower and compile; a program that is too large for its device is an answer, not an error."""
    started = time.perf_counter()
    lowered = lower()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        message = str(error)
        if "RESOURCE_EXHAUSTED" not in message:
            raise
        used = USED.search(message)
        peak = int(float(used[1]) * UNITS[used[2]]) if used else None
        refused = next(line for line in message.splitlines() if line.strip())
        return Compiled(refused, None, None, peak, [], time.perf_counter() - started)
    memory: Any = compiled.memory_analysis()
    peak = memory.peak_memory_in_bytes or (
        memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
    )
    return Compiled(
        "", memory.argument_size_in_bytes, memory.temp_size_in_bytes, peak,
        collectives(compiled.as_text() or ""), time.perf_counter() - started,
    )  # fmt: skip
