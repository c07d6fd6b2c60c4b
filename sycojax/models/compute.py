"""How a base is computed: one value, held by the base and by its model."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jax.sharding import Mesh

from sycojax.models.backends import Backend
from sycojax.models.quantize import Quantization
from sycojax.parallel.mesh import row_ways

Dtype = Literal["float32", "bfloat16"]
AskedDtype = Literal["auto", "float32", "bfloat16"]
Remat = Literal["none", "dots", "full"]
AskedRemat = Literal["auto", "none", "dots", "full"]


@dataclasses.dataclass(frozen=True)
class Compute:
    """All that decides how numbers are computed, beside the architecture, the weights and the adapters."""

    dtype: Dtype = "float32"  # of weights and activations; adapters are always float32
    quantization: Quantization = "none"  # how the layers' projections are stored
    remat: Remat = "none"  # what the backward pass computes again instead of storing it
    attention: Backend = "xla"  # of packed rows; ``backends.choose`` finds the one for the devices
    # The devices that weights and rows are split over; None: activations go where the compiler puts them.
    mesh: Mesh | None = None
    # The mesh axis that the adapters of a bank are laid over; None: each device has all of them.
    bank_axis: str | None = None

    @property
    def bank_ways(self) -> int:
        """Into how many parts, on different devices, a bank is split."""
        return 1 if self.mesh is None or not self.bank_axis else self.mesh.shape[self.bank_axis]

    @property
    def row_ways(self) -> int:
        """Into how many parts, on different devices, the rows of a batch are split."""
        return 1 if self.mesh is None else row_ways(self.mesh, self.bank_axis)

    def axis_of(self, width: int) -> str | None:
        """``bank_axis`` where a bank of ``width`` adapters can be laid over it, which an uneven one cannot."""
        return self.bank_axis if self.bank_ways > 1 and width % self.bank_ways == 0 else None


DEFAULT = Compute()
