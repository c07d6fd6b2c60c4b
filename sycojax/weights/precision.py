"""What ``base.dtype="auto"`` stands for: bfloat16 where it is known to be faster, else float32; asked once and kept by a workdir."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from sycojax.config import StudyConfig
from sycojax.files import read_json
from sycojax.models.compute import Dtype
from sycojax.parallel.distributed import on_first
from sycojax.parallel.mesh import present_devices

# Processors that multiply bfloat16 themselves, by their flags in Linux, and the first jax that lets them. On two cores that have the
# first, ``study.effort.product_speed`` at SmolLM2's shape gives 390 GFLOP/s against 208 in float32 with jax 0.12.0.1, and 207 against 193
# with jax 0.10.2.
_FLAGS = {"avx512_bf16", "amx_bf16"}
_JAX = (0, 11, 2)
_PROCESSOR = Path("/proc/cpuinfo")


def settled(
    config: StudyConfig, workdir: Path | None = None, *, accelerator: bool = False
) -> StudyConfig:
    """``config`` with the precision of the study in ``workdir`` in place of "auto"; where none is, what is faster here.

    ``accelerator``: it is for one that is not here. Processes that share a run settle it together.
    """
    if config.base.dtype != "auto":
        return config

    def found() -> str:
        study = workdir / "study.json" if workdir else None
        kept = ""
        if study is not None and study.is_file():
            kept = read_json(study).get("config", {}).get("base", {}).get("dtype", "")
        return kept or ("bfloat16" if accelerator else faster(present_devices()))

    return config.changed({"base.dtype": on_first(found)})


def exact_products(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """A block in which float32 is multiplied as it is: accelerators round its inputs otherwise. Other types are left alone."""
    exact = dtype == "float32"
    return jax.default_matmul_precision("highest") if exact else contextlib.nullcontext()


def faster(devices: Sequence[Any]) -> Dtype:
    """What these devices multiply faster: by their kind and, of a CPU, by its flags and jax's version; nothing is timed."""
    platform = devices[0].platform
    if platform == "cpu":
        flags = _PROCESSOR.read_text().split() if _PROCESSOR.is_file() else ()
        able = bool(_FLAGS.intersection(flags)) and jax.__version_info__ >= _JAX
    elif platform == "tpu":
        able = True
    else:
        # "9.0" on NVIDIA's devices from Ampere (8.0) on, "gfx90a" and the like on AMD's.
        capability = str(getattr(devices[0], "compute_capability", ""))
        able = not capability[:1].isdigit() or float(capability) >= 8
    return "bfloat16" if able else "float32"
