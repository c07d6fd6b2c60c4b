"""The device mesh and the one table that maps logical axes to mesh axes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from sycojax.errors import SycojaxError
from sycojax.parallel import known_answer
from sycojax.parallel.distributed import on_first

MESH_AXES = ("data", "fsdp", "tensor")

# Logical axis of a parameter -> mesh axis (None: replicated). A name that is not here is an error, so a
# misspelt axis can never silently replicate a weight.
RULES: dict[str, str | None] = {
    "layers": None,
    "embed": "fsdp",
    "vocab": "tensor",
    "q_heads": "tensor",
    "kv_heads": "tensor",
    "mlp": "tensor",
    "norm": None,
    "lora_rank": None,
    "blocks": None,
    "bank": None,  # or "data", where `mesh.bank_over_data` says so
}

# Rows of a batch are split over both: fsdp shards weights and data alike.
BATCH_AXES = ("data", "fsdp")


def batch_axes(bank_axis: str | None = None) -> tuple[str, ...]:
    """The mesh axes that split the rows of a batch: those that the adapters of a bank leave free."""
    return tuple(axis for axis in BATCH_AXES if axis != bank_axis)


def row_ways(mesh: Mesh | AbstractMesh, bank_axis: str | None = None) -> int:
    """Into how many parts the rows of a batch are split."""
    return math.prod(mesh.shape[axis] for axis in batch_axes(bank_axis))


def on_cpu(mesh: Mesh | AbstractMesh | None) -> bool:
    """Whether it is one of CPUs; None: the default devices. One without devices stands for accelerators that are planned for."""
    if mesh is None:
        return jax.default_backend() == "cpu"
    return not isinstance(mesh, AbstractMesh) and mesh.devices.flat[0].platform == "cpu"


def alone_on_cpu(mesh: Mesh | AbstractMesh | None) -> bool:
    """Whether it is one CPU device; None: what a jitted function runs on."""
    return on_cpu(mesh) and (mesh is None or mesh.size == 1)


def present_devices() -> list[Any]:
    """All devices of this run. Raises ``SycojaxError`` where JAX can use none, or computes wrong numbers on them."""
    try:
        devices = jax.devices()
    # The second, without a word, is what JAX_PLATFORMS=cuda gives on a machine that has no NVIDIA GPU.
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get("JAX_PLATFORMS", "")
        said = str(error).strip() or f"JAX_PLATFORMS={wanted}, and no NVIDIA GPU can be seen here"
        raise SycojaxError(
            f"JAX finds no device to run on: {said.splitlines()[0]}. Look for the driver (nvidia-smi; a container needs "
            "--gpus=all) and the plugin (pip install 'sycojax[cuda]' or 'sycojax[tpu]'); JAX_PLATFORMS=cpu runs without"
        ) from error
    known_answer.check(devices)
    return devices


def make_mesh(
    data: int = -1, fsdp: int = 1, tensor: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
    """A mesh over all devices, or over those given. Raises ``SycojaxError`` as ``mesh_sizes``, and where JAX can use no device."""
    count = len(present_devices() if devices is None else devices)
    # GSPMD places the collectives; explicit axes (jax's new default) would need them in every op.
    auto = (AxisType.Auto,) * 3
    sizes = mesh_sizes(data, fsdp, tensor, count)
    return jax.make_mesh(sizes, MESH_AXES, axis_types=auto, devices=devices)


def mesh_sizes(data: int, fsdp: int, tensor: int, count: int) -> tuple[int, int, int]:
    """Devices along each axis of a mesh over ``count`` of them; -1 for at most one axis takes what is left.

    Raises ``SycojaxError`` when the sizes do not multiply to their number.
    """
    sizes = [data, fsdp, tensor]
    if sizes.count(-1) > 1 or any(s == 0 or s < -1 for s in sizes):
        raise SycojaxError(f"mesh sizes {sizes}: positive numbers, at most one of them -1")
    if -1 in sizes:
        rest = math.prod(s for s in sizes if s != -1)
        sizes[sizes.index(-1)] = max(count // rest, 1)
    if math.prod(sizes) != count:
        raise SycojaxError(f"mesh data x fsdp x tensor = {sizes} does not use the {count} devices")
    return sizes[0], sizes[1], sizes[2]


def in_words(sizes: Mapping[str, int]) -> str:
    """Such as ``data 2 x fsdp 4 x tensor 1``."""
    return " x ".join(f"{axis} {size}" for axis, size in sizes.items())


def device_memory(devices: Iterable[Any]) -> int | None:
    """Bytes that programs may take on a device, the same in all processes; None where it does not say (a CPU)."""

    def smallest() -> int | None:
        here = (device for device in devices if device.process_index == jax.process_index())
        said = [device.memory_stats() or {} for device in here]
        return min((stats["bytes_limit"] for stats in said if "bytes_limit" in stats), default=None)

    return on_first(smallest)


def partition_spec(axes: tuple[str, ...], bank_axis: str | None = None) -> PartitionSpec:
    """The spec of a parameter with these logical axes. Raises on an unknown name or a mesh axis used twice.

    ``bank_axis``: the mesh axis that the adapters of a bank are laid over.
    """
    rules = {**RULES, "bank": bank_axis}
    for axis in axes:
        if axis not in rules:
            raise SycojaxError(f"logical axis {axis!r} has no rule (known: {', '.join(rules)})")
    spec = [rules[axis] for axis in axes]
    used = [axis for axis in spec if axis is not None]
    if len(set(used)) < len(used):
        raise SycojaxError(f"logical axes {axes} use a mesh axis twice: {spec}")
    return PartitionSpec(*spec)


def shardings(mesh: Mesh, axes: Any, *, bank: bool = False, bank_axis: str | None = None) -> Any:
    """NamedShardings for a tree of logical-axis tuples (``models.base.logical_axes``).

    ``bank`` adds the bank axis in front, laid over the mesh axis ``bank_axis`` if one is named.
    """

    def one(names: tuple[str, ...]) -> NamedSharding:
        return NamedSharding(mesh, partition_spec(("bank", *names) if bank else names, bank_axis))

    return jax.tree.map(one, axes, is_leaf=lambda x: isinstance(x, tuple))


def batch_sharding(mesh: Mesh, *, bank_axis: str | None = None) -> NamedSharding:
    """Rows over the ``batch_axes``."""
    return NamedSharding(mesh, PartitionSpec(batch_axes(bank_axis)))


def gathered(x: jax.Array, mesh: Mesh, axes: tuple[str, ...]) -> jax.Array:
    """A weight with these logical axes, put together from its parts on ``fsdp``; its other splits stay."""
    spec = PartitionSpec(*(None if a == "fsdp" else a for a in partition_spec(axes)))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def distribute(value: Any, sharding: Sharding) -> jax.Array:
    """An array with this sharding. Of a host array every process hands its own devices their parts only.

    A host array must be equal on all processes.
    """
    if sharding.is_fully_addressable or isinstance(value, jax.Array):
        return jax.device_put(value, sharding)
    array = np.asarray(value)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
