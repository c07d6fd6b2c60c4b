"""What TPU slices there are: their shapes, their names at Cloud TPU and in GKE, their hosts and their system images.

Source: Cloud TPU's pages on each version ("v5e", "Trillium (v6e)", "v5p", "v4", "TPU software versions") and GKE's
"Plan TPUs in GKE". A slice that is missing here is one line to add. ``launch/`` reads this where nothing is installed,
so it imports nothing but the standard library.
"""

from __future__ import annotations

import dataclasses
import math

from sycojax.errors import SycojaxError

FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Generation:
    """One TPU version."""

    prefix: str  # of the accelerator type, PREFIX-NUMBER
    per_chip: int  # the NUMBER counts this many for each chip
    image: str  # system image of a TPU VM
    label: str  # GKE's cloud.google.com/gke-tpu-accelerator
    one_host: int  # chips of the largest slice with a single host; larger ones have 4 on each host
    topologies: tuple[str, ...]


GENERATIONS = {
    "v4": Generation("v4", 2, "tpu-ubuntu2204-base", "tpu-v4-podslice", 4, CUBES),
    "v5e": Generation("v5litepod", 1, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice", 8, FLAT),
    "v5p": Generation("v5p", 2, "v2-alpha-tpuv5", "tpu-v5p-slice", 4, CUBES),
    "v6e": Generation("v6e", 1, "v2-alpha-tpuv6e", "tpu-v6e-slice", 8, FLAT),
}


@dataclasses.dataclass(frozen=True)
class Slice:
    """Chips that are allocated together."""

    generation: Generation
    topology: str

    @property
    def chips(self) -> int:
        return math.prod(int(side) for side in self.topology.split("x"))

    @property
    def hosts(self) -> int:
        return 1 if self.chips <= self.generation.one_host else self.chips // 4

    @property
    def type(self) -> str:
        """Cloud TPU's accelerator type."""
        return f"{self.generation.prefix}-{self.chips * self.generation.per_chip}"


def slice_of_type(name: str) -> Slice:
    """The slice with this accelerator type (``v5litepod-16``). Raises ``SycojaxError`` for an unknown one."""
    known = [Slice(g, topology) for g in GENERATIONS.values() for topology in g.topologies]
    for one in known:
        if one.type == name:
            return one
    family = [s.type for s in known if s.generation.prefix == name.partition("-")[0]]
    some = family or [f"{g.prefix}-N" for g in GENERATIONS.values()]
    raise SycojaxError(f"unknown TPU type {name!r} (known: {', '.join(some)})")


def slice_of_topology(name: str) -> Slice:
    """The slice ``VERSION:TOPOLOGY`` (``v5e:2x4``). Raises ``SycojaxError`` for an unknown one."""
    version, _, topology = name.partition(":")
    if version not in GENERATIONS:
        raise SycojaxError(
            f"unknown topology {name!r}: VERSION:SHAPE with VERSION one of {', '.join(GENERATIONS)} "
            "(v5e:2x4), or gpu:NODESxGPUS (gpu:2x8)"
        )
    generation = GENERATIONS[version]
    if topology not in generation.topologies:
        raise SycojaxError(
            f"unknown topology {name!r} (known for {version}: {', '.join(generation.topologies)})"
        )
    return Slice(generation, topology)
