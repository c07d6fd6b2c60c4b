"""What the figures depend on: the device, its peaks, and the versions of both sides."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import time

import jax
import jax.numpy as jnp

PACKAGES = ("jax", "flax", "torch", "transformers", "peft", "lm_eval")

# Dense bfloat16 FLOP/s and bytes/s of device memory, from the makers' data sheets; by a part of
# ``jax.Device.device_kind``.
PEAKS = {
    "H200": (989e12, 4.8e12),
    "H100": (989e12, 3.35e12),
    "A100": (312e12, 2.04e12),
    "TPU v5 lite": (197e12, 0.819e12),
    "TPU v5p": (459e12, 2.765e12),
    "TPU v6 lite": (918e12, 1.64e12),
}


def versions() -> dict[str, str]:
    """Installed versions of what is measured."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


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


def peaks() -> tuple[float, float] | None:
    """Peak FLOP/s (bfloat16) and bytes/s of an accelerator that is known; None on a CPU."""
    kind = jax.devices()[0].device_kind
    return next((value for name, value in PEAKS.items() if name in kind), None)


def read_bandwidth(bytes_read: int = 1 << 30) -> float:
    """Measured bytes/s of reading device memory: the best of five sums over ``bytes_read`` bytes."""
    values = jnp.ones(bytes_read // 4, jnp.float32)
    total = jax.jit(jnp.sum)
    total(values).block_until_ready()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        total(values).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return bytes_read / best
