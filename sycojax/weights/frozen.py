"""From a study's config to the base it names: how that is computed, and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jax.sharding import AbstractMesh

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.models.backends import Backend, choose
from sycojax.models.base import FrozenBase, abstract_base, device_bytes
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.parallel.mesh import (
    MESH_AXES,
    device_memory,
    make_mesh,
    mesh_sizes,
    present_devices,
)
from sycojax.weights.huggingface import load_base, load_config, resolve_base

# The share of a device's memory that weights may take where the config leaves open how they are spread: the rest is for
# activations, caches and adapters.
SHARE = 0.5


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
    return computed_on(config, mesh, attention)


def computed_on(config: StudyConfig, mesh: Any, attention: Backend = "xla") -> Compute:
    """How ``config`` says that a base is computed on a mesh of its sizes: the one place that its settings are taken from.

    ``mesh`` may be an ``AbstractMesh``, of which there are shapes alone.
    """
    base, axis = config.base, config.mesh.bank_axis
    return Compute(base.computed_in, base.quantization, base.remat, attention, mesh, axis)


def chosen_sizes(
    config: StudyConfig, architecture: LlamaConfig, count: int, memory: int | None
) -> tuple[int, int, int]:
    """The mesh of ``config`` over ``count`` devices of ``memory`` bytes each; see ``chosen_fsdp``.

    Raises ``SycojaxError`` where it does not use all of them.
    """
    asked = config.mesh
    fsdp = asked.fsdp or chosen_fsdp(config, architecture, count, memory)
    return mesh_sizes(asked.data, fsdp, asked.tensor, count)


def chosen_fsdp(
    config: StudyConfig, architecture: LlamaConfig, count: int, memory: int | None
) -> int:
    """In how many parts the weights lie on ``count`` devices of ``memory`` bytes each, where ``mesh.fsdp`` is 0.

    As few as let a device hold its part, and its part of the layers once more (decoding copies them), in ``SHARE`` of its
    memory, if that is known; all that there are where none does. Sizes that ``mesh.data`` names leave it the rest.
    """
    asked = config.mesh
    if asked.data != -1 and asked.tensor != -1:
        return -1
    ways = count // asked.tensor
    if asked.data != -1 or ways < 1 or memory is None:
        return 1
    dividing = 1
    for fsdp in (n for n in range(1, ways + 1) if ways % n == 0):
        mesh: Any = AbstractMesh((ways // fsdp, fsdp, asked.tensor), MESH_AXES)
        try:
            params = abstract_base(architecture, config.lora, computed_on(config, mesh)).params
        except SycojaxError:  # these sizes do not divide a weight
            continue
        dividing = fsdp
        if device_bytes(params) + device_bytes(params["layers"]) <= SHARE * memory:
            break
    return dividing


def load_frozen(config: StudyConfig, *, progress: bool = True) -> FrozenBase:
    """The base of ``config`` for adapters of ``config.lora``. Raises as ``load_base`` and ``compute_of`` do."""
    path = resolve_base(config.base.path)
    compute = compute_of(config, load_config(path))
    return load_base(path, config.lora, compute, progress=progress)
