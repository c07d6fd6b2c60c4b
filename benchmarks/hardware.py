"""What the figures depend on: the device, and its peaks."""

from __future__ import annotations

import os
import resource
from typing import Any

import jax

from sycojax.models.base import FrozenBase
from sycojax.planning.hardware import CHIPS, Chip
from sycojax.study.effort import product_speed

# A part of ``jax.Device.device_kind`` -> the chip's name in ``planning.hardware``.
KINDS = {
    "H200": "H200", "H100": "H100", "A100": "A100",
    "TPU v5 lite": "v5e", "TPU v5p": "v5p", "TPU v6 lite": "v6e",
}  # fmt: skip


def threads() -> int:
    """Processors that this process may use; both sides get all of them."""
    return len(os.sched_getaffinity(0))


def cpu_seconds() -> float:
    """Processor time of this process and of its finished children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def device() -> str:
    """The first device in words."""
    first = jax.devices()[0]
    return f"{threads()} CPU threads" if first.platform == "cpu" else first.device_kind


def chip() -> Chip | None:
    """The data sheet's figures of an accelerator that is known; None on a CPU."""
    kind = jax.devices()[0].device_kind
    return next((CHIPS[name] for part, name in KINDS.items() if part in kind), None)


def speed(flops: float, seconds: float) -> dict[str, Any]:
    """Details of a line: the FLOPs that its result needs per second, and as a share of the data sheet's peak."""
    known, found = chip(), {"tflops": flops / seconds / 1e12}
    return found | ({"mfu": flops / seconds / known.flops} if known else {})


def bound(base: FrozenBase, least: float, ours: float, peer: float | None) -> dict[str, float]:
    """Details of a line on a CPU, for which no data sheet gives a peak: a matrix product's speed stands for it (``study.effort``).

    ``least`` are the FLOPs that the result cannot do without; ``ours`` and ``peer`` the seconds of both sides. ``share_of_product`` is
    the part of that speed which is reached, and ``ratio_at_most`` what the ratio would be at all of it.
    """
    if chip():
        return {}
    known = product_speed(base)
    found = {"product_tflops": known / 1e12, "share_of_product": least / ours / known}
    return found | ({"ratio_at_most": peer * known / least} if peer else {})
