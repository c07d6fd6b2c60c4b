"""``v5e:2x4``, ``gpu:H100x8``, ``cpu:8``: devices to compile for, present or not."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import re
from typing import Any

import jax
from jax.experimental import topologies

from sycojax.errors import SycojaxError
from sycojax.planning.hardware import CHIPS, Chip, compiler_target
from sycojax.planning.slices import CUBES, FLAT

KNOWN = (
    f"v5e:RxC and v6e:RxC ({', '.join(FLAT)}), v5p:XxYxZ ({', '.join(CUBES)}), "
    "gpu:A100, gpu:H100, gpu:H200 (one node of N: gpu:H100xN), cpu:N"
)


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice or node of equal chips."""

    name: str  # as it was given
    shape: tuple[int, ...]
    chip: Chip | None  # None: this machine's CPU, of which no figures are known

    @property
    def count(self) -> int:
        """Number of devices."""
        return math.prod(self.shape)


def parse(name: str) -> Topology:
    """Read a topology's name. Raises ``SycojaxError`` listing the known ones."""
    if found := re.fullmatch(r"(v5e|v6e|v5p):(\d+(?:x\d+)*)", name):
        shape = tuple(map(int, found[2].split("x")))
        if len(shape) == (3 if found[1] == "v5p" else 2) and math.prod(shape):
            return Topology(name, shape, CHIPS[found[1]])
    elif found := re.fullmatch(r"gpu:([A-Z]\d+)(?:x(\d+))?", name):
        chip, count = CHIPS.get(found[1]), int(found[2] or 1)
        if chip is not None and count:
            return Topology(name, (count,), chip)
    elif (found := re.fullmatch(r"cpu:(\d+)", name)) and int(found[1]):
        return Topology(name, (int(found[1]),), None)
    raise SycojaxError(f"--topology={name} is not known; known are {KNOWN}")


def devices(topology: Topology) -> list[Any]:
    """Devices to put a mesh over. What is compiled for them cannot run here unless they are this machine's.

    Raises ``SycojaxError`` naming the extra to install where a compiler is missing, or the shapes there are.
    """
    if topology.chip is None:
        return _cpus(topology)
    if topology.chip.platform == "tpu":
        _require(("libtpu",), topology, "tpu")
        _no_tpu_here()
        # A host holds four chips unless told otherwise; the smallest slice is part of one.
        bounds = {"chips_per_host_bounds": (1, 1, 1)} if topology.count == 1 else {}
        return _describe(topology, platform="tpu", topology_name=topology.name, **bounds)
    _require(("jax_cuda12_plugin", "jax_cuda13_plugin"), topology, "cuda")
    model = topology.name.removeprefix("gpu:").partition("x")[0]
    return _describe(
        topology, platform="cuda", topology_name=model, target_config=compiler_target(model),
        topology=f"1x1x{topology.count}",
    )  # fmt: skip


def _cpus(topology: Topology) -> list[Any]:
    present = jax.devices("cpu")
    if len(present) < topology.count:
        raise SycojaxError(
            f"--topology={topology.name} needs {topology.count} CPU devices and there are {len(present)}: set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={topology.count}"
        )
    return present[: topology.count]


def _require(modules: tuple[str, ...], topology: Topology, extra: str) -> None:
    if not any(map(importlib.util.find_spec, modules)):
        raise SycojaxError(
            f"--topology={topology.name} needs the compiler that comes with the {extra!r} extra: "
            f"pip install -e '.[{extra}]' (no {topology.chip.name if topology.chip else 'device'} is needed)"
        )


def _no_tpu_here() -> None:
    """Keep libtpu from asking a metadata server which TPU this is, and from claiming the machine for one process."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_WORKER_ID", "0")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")


def _describe(asked: Topology, **arguments: Any) -> list[Any]:
    try:
        return list(topologies.get_topology_desc(**arguments).devices)
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise SycojaxError(
            f"--topology={asked.name} is refused by its compiler ({reason}); known are {KNOWN}"
        ) from error
