"""From a study's config to the base it names: how that is computed, and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sycojax.config import StudyConfig
from sycojax.models.backends import choose
from sycojax.models.base import FrozenBase
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.parallel.mesh import device_memory, make_mesh, present_devices
from sycojax.weights.huggingface import load_base, load_config, resolve_base
from sycojax.weights.layout import chosen_sizes, computed_on


def compute_of(
    config: StudyConfig,
    architecture: LlamaConfig,
    devices: Sequence[Any] | None = None,
    memory: int | None = None,
) -> Compute:
    """How ``config`` says that a base is computed, on the devices that are here or those given, of ``memory`` bytes each.

    Raises ``SycojaxError`` where the mesh does not fit the devices' number, or the attention asked for cannot run on them.
    """
    base = config.base
    if devices is None:
        devices = present_devices()
        memory = device_memory(devices)
    mesh = make_mesh(*chosen_sizes(config, architecture, len(devices), memory), devices)
    attention = choose(
        base.attention, architecture, base.computed_in, mesh, config.train.row_length
    )
    return computed_on(config, architecture, mesh, memory, attention)


def load_frozen(config: StudyConfig, *, progress: bool = True) -> FrozenBase:
    """The base of ``config`` for adapters of ``config.lora``. Raises as ``load_base`` and ``compute_of`` do."""
    path = resolve_base(config.base.path)
    compute = compute_of(config, load_config(path))
    return load_base(path, config.lora, compute, progress=progress)
