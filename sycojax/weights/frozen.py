"""From a study's config to the base it names: how that is computed, and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sycojax.config import StudyConfig
from sycojax.models.backends import choose
from sycojax.models.base import FrozenBase
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.weights.huggingface import load_base, load_config, resolve_base


def compute_of(
    config: StudyConfig, architecture: LlamaConfig, devices: Sequence[Any] | None = None
) -> Compute:
    """How ``config`` says that a base is computed, on the devices that are here or those given.

    Raises ``SycojaxError`` where the mesh does not fit their number, or the attention asked for cannot run on them.
    """
    base, mesh = config.base, config.mesh
    placed = make_mesh(mesh.data, mesh.fsdp, mesh.tensor, devices)
    backend = choose(base.attention, architecture, base.dtype, placed, config.train.row_length)
    return Compute(
        base.dtype, base.quantization, base.remat, backend, placed, bank_axis=mesh.bank_axis
    )


def load_frozen(config: StudyConfig, *, progress: bool = True) -> FrozenBase:
    """The base of ``config`` for adapters of ``config.lora``. Raises as ``load_base`` and ``compute_of`` do."""
    path = resolve_base(config.base.path)
    compute = compute_of(config, load_config(path))
    return load_base(path, config.lora, compute, progress=progress)
