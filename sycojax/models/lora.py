"""LoRA: the projection every linear map of the model goes through, and its two adapter matrices.

``y = x W + scaling * (dropout(x) A) B`` with ``scaling = alpha / rank`` (Hu et al. 2021, arXiv:2106.09685).
A is drawn from U(+-1/sqrt(fan_in)) and B is zero, which is PEFT's default, so a fresh adapter leaves
every output of the base bit-identical.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from sycojax.errors import SycojaxError
from sycojax.models import quantize
from sycojax.models.compute import Compute
from sycojax.models.dropout import dropped_out
from sycojax.settings import setting

ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_TARGETS = ("gate_proj", "up_proj", "down_proj")
TARGETS = ATTENTION_TARGETS + MLP_TARGETS
SAVED_PROJECTION = "projection"  # the name of what ``base.remat=dots`` stores of a projection


class BaseParam(nnx.Variable):
    """A weight of the frozen base. Not an ``nnx.Param``, so no filter for those can ever train it."""


class LoRAParam(nnx.Variable):
    """A trainable adapter matrix, always float32."""


@dataclasses.dataclass(frozen=True)
class LoRAConfig:
    """Which projections carry an adapter and how strong it is."""

    rank: int = setting(16, "adapter")
    alpha: float = setting(32.0, "adapter")
    dropout: float = setting(0.1, "adapter")
    targets: tuple[str, ...] = setting(TARGETS, "adapter")

    def __post_init__(self) -> None:
        unknown = sorted(set(self.targets) - set(TARGETS))
        if unknown:
            raise SycojaxError(
                f"lora.targets: unknown projection {', '.join(unknown)} (known: {', '.join(TARGETS)})"
            )
        if not self.targets:
            raise SycojaxError("lora.targets is empty: name at least one projection")
        if self.rank < 1:
            raise SycojaxError(f"lora.rank must be at least 1, got {self.rank}")
        if self.alpha <= 0:
            raise SycojaxError(f"lora.alpha must be positive, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise SycojaxError(f"lora.dropout must be in [0, 1), got {self.dropout}")

    @property
    def scaling(self) -> float:
        """The factor on the adapter's output."""
        return self.alpha / self.rank


# The smallest shape of an adapter. Where none is meant, there is one of this shape, all zeros.
NO_ADAPTER = LoRAConfig(rank=1, alpha=1.0, dropout=0.0, targets=("q_proj",))


def covering(adapters: Sequence[LoRAConfig]) -> LoRAConfig:
    """The smallest shape that holds all of ``adapters``; itself where they are one. Without dropout otherwise."""
    if len({dataclasses.replace(lora, dropout=0.0) for lora in adapters}) == 1:
        return adapters[0]
    rank = max(lora.rank for lora in adapters)
    targets = tuple(t for t in TARGETS if any(t in lora.targets for lora in adapters))
    return LoRAConfig(rank, alpha=float(rank), dropout=0.0, targets=targets)


class Projection(nnx.Module):
    """A linear map stacked over layers, with a bias where the model has one and an adapter where ``lora`` names it.

    Leaves carry a leading layer axis, which the scan over layers takes off before the call. The kernel is one leaf, or
    the several leaves of its quantised form; those, and biases, start at zero, and ``load_base`` fills them.
    """

    def __init__(
        self,
        name: str,
        fan_in: int,
        fan_out: int,
        layers: int,
        axes: tuple[str, str],
        bias: bool,
        lora: LoRAConfig,
        compute: Compute,
        rngs: nnx.Rngs,
    ):
        self.quantized = None
        self.mesh, self.axes = compute.mesh, axes
        if compute.quantization == "none":
            kernel = jax.random.normal(rngs.params(), (layers, fan_in, fan_out), jnp.float32) * 0.02
            self.kernel = BaseParam(kernel.astype(compute.dtype), axes=("layers", *axes))
        else:
            forms = quantize.shapes(compute.quantization, fan_in, fan_out)
            names = quantize.logical_axes(compute.quantization, axes)
            self.quantized = type(forms)
            for leaf, form, axis in zip(forms._fields, forms, names, strict=True):
                zeros = jnp.zeros((layers, *form.shape), form.dtype)
                setattr(self, leaf, BaseParam(zeros, axes=("layers", *axis)))
        self.biased = bias
        if bias:
            zeros = jnp.zeros((layers, fan_out), compute.dtype)
            self.bias = BaseParam(zeros, axes=("layers", axes[1]))
        self.adapted = name in lora.targets
        self.scaling, self.dropout = lora.scaling, lora.dropout
        # Each projection draws its own dropout masks from the layer's keys.
        self.dropout_index = TARGETS.index(name)
        if self.adapted:
            bound = 1 / math.sqrt(fan_in)
            a = jax.random.uniform(
                rngs.params(), (layers, fan_in, lora.rank), jnp.float32, -bound, bound
            )
            self.lora_a = LoRAParam(a, axes=("layers", axes[0], "lora_rank"))
            b = jnp.zeros((layers, lora.rank, fan_out), jnp.float32)
            self.lora_b = LoRAParam(b, axes=("layers", "lora_rank", axes[1]))

    def __call__(self, x: jax.Array, dropout_keys: jax.Array | None) -> jax.Array:
        """[B, ..., fan_in] -> [B, ..., fan_out] in x's dtype; the adapter branch runs in float32.

        ``dropout_keys`` [B] are those of the rows; None: nothing is dropped.
        """
        if self.quantized is None:
            y = x @ self.kernel[...]
        else:
            leaves = [getattr(self, leaf)[...] for leaf in self.quantized._fields]
            # A step of decoding, of one token, multiplies the parts where they lie (``Llama.step``).
            mesh = self.mesh if x.shape[-2] > 1 else None
            y = quantize.product(x, self.quantized(*leaves), self.axes, mesh)
        if self.biased:
            y = y + self.bias[...]
        if not self.adapted:
            return checkpoint_name(y, SAVED_PROJECTION)
        h = x.astype(jnp.float32)
        if dropout_keys is not None and self.dropout > 0:
            own = jax.vmap(jax.random.fold_in, (0, None))(dropout_keys, self.dropout_index)
            h = dropped_out(h, own, self.dropout)
        # Flattened to one row per token: over two axes, the gradients of A and B would first transpose arrays as wide
        # as the layer, which is a quarter of a toy step on a CPU. Scaled where the array is narrow.
        narrow = h.reshape(-1, h.shape[-1]) @ self.lora_a[...] * self.scaling
        delta = (checkpoint_name(narrow, SAVED_PROJECTION) @ self.lora_b[...]).reshape(y.shape)
        return checkpoint_name(y + delta.astype(y.dtype), SAVED_PROJECTION)
