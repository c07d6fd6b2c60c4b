"""What one chip of each kind can do. Published peak figures: nothing here was measured, and nothing reaches them.

``interconnect`` is what one chip can receive from the others of its slice or node, all its links together; the
makers publish the sum of both directions, so half of that stands here. A slice too small to have all links (a v5e:2x4
has no wrap-around) gets less.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

GIB = 1 << 30
TERA = 1e12
GIGA = 1e9


@dataclasses.dataclass(frozen=True)
class Chip:
    """One device as JAX sees it."""

    name: str
    platform: Literal["tpu", "gpu"]
    memory: int  # bytes of HBM
    usable: float  # share of it that a program may take
    flops: float  # bfloat16 multiply-adds, dense, counted as two: per second
    bandwidth: float  # bytes per second from and to HBM
    interconnect: float  # bytes per second received from other chips

    @property
    def limit(self) -> int:
        """Bytes that a program may take."""
        return int(self.memory * self.usable)


# TPUs: Google Cloud, "TPU v5e", "TPU v5p" and "TPU v6e", tables of key chip specifications (cloud.google.com/tpu/docs).
# Their compiler takes the rest for itself and refuses what does not fit in `usable` ("exceeds available HBM").
# GPUs: NVIDIA's data sheets of A100 80GB SXM, H100 SXM and H200 SXM, figures without sparsity; memory as the driver reports it.
# JAX may be given this share of it (XLA_PYTHON_CLIENT_MEM_FRACTION; its default is 0.75).
CHIPS = {
    "v5e": Chip("TPU v5e", "tpu", 16 * GIB, 15.75 / 16, 197 * TERA, 819 * GIGA, 200 * GIGA),
    "v5p": Chip("TPU v5p", "tpu", 95 * GIB, 1.0, 459 * TERA, 2765 * GIGA, 600 * GIGA),
    "v6e": Chip("TPU v6e", "tpu", 32 * GIB, 31.25 / 32, 918 * TERA, 1600 * GIGA, 400 * GIGA),
    "A100": Chip("NVIDIA A100 80GB SXM", "gpu", 85_100_068_864, 0.95, 312 * TERA, 2039 * GIGA, 300 * GIGA),
    "H100": Chip("NVIDIA H100 SXM", "gpu", 84_942_979_072, 0.95, 989 * TERA, 3352 * GIGA, 450 * GIGA),
    "H200": Chip("NVIDIA H200 SXM", "gpu", 151_397_597_184, 0.95, 989 * TERA, 4800 * GIGA, 450 * GIGA),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Cores:
    """What XLA must know of a GPU to compile for it: NVIDIA, CUDA C++ Programming Guide, compute capabilities."""

    capability: int  # major
    count: int  # streaming multiprocessors
    fpus: int  # float32 units of each
    shared_memory: int  # bytes of each; a block may use 1 KiB less
    cache: int  # bytes of L2
    clock: float  # GHz, boost


CORES = {
    "A100": Cores(8, 108, 64, 164 << 10, 40 << 20, 1.41),
    "H100": Cores(9, 132, 128, 228 << 10, 50 << 20, 1.98),
    "H200": Cores(9, 132, 128, 228 << 10, 50 << 20, 1.98),
}


def compiler_target(name: str) -> str:
    """The text form of XLA's ``GpuTargetConfigProto`` for a GPU of ``CORES``."""
    chip, cores = CHIPS[name], CORES[name]
    device = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 48 << 10,
        "shared_memory_per_core": cores.shared_memory,
        "shared_memory_per_block_optin": cores.shared_memory - 1024,
        "threads_per_core_limit": 2048,
        "core_count": cores.count,
        "fpus_per_core": cores.fpus,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "memory_bandwidth": int(chip.bandwidth),
        "l2_cache_size": cores.cache,
        "clock_rate_ghz": cores.clock,
        "device_memory_size": chip.memory,
        "registers_per_core_limit": 1 << 16,
        "registers_per_block_limit": 1 << 16,
    }
    fields = " ".join(f"{key}: {value}" for key, value in device.items())
    return (
        f"gpu_device_info {{ {fields} cuda_compute_capability {{ major: {cores.capability} }} }} "
        f'platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 }} device_description_str: "{chip.name}"'
    )
