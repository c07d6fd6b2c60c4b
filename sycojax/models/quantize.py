"""Frozen linear weights in 4 or 8 bits: NF4 with double quantisation (QLoRA's recipe), and int8 per output channel.

Quantised on the host by NumPy, so that every platform trains and scores on the same codes; dequantised by JAX
right before the matmul, so that a full-precision copy exists of one layer's weight at a time.

Own code: qwix quantises by intercepting the calls of a traced NNX model that is whole in memory, has no double
quantisation and its own LoRA, while here weights stream in and go through one hand-written projection.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sycojax.errors import SycojaxError
from sycojax.parallel.mesh import gathered

Quantization = Literal["none", "int8", "nf4"]
BLOCK = 64  # weights along fan_in that share one absmax
GROUP = 256  # absmaxes that share one scale
# Weights whose codes are searched for at once: few enough for a core's cache, which also bounds host memory.
CHUNK = 1 << 20

# The values of the NF4 data type: quantiles of a normal distribution, scaled to [-1, 1], with an exact zero
# (Dettmers et al. 2023, arXiv:2305.14314, appendix E).
NF4_VALUES = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip


def _dynamic_values() -> np.ndarray:
    """The 256 values of the signed dynamic data type, ascending (Dettmers et al. 2022, arXiv:2110.02861).

    Decade i of seven is split into 2^i equal parts, whose midpoints it holds with both signs; 0 and 1 come on top.
    """
    values = [np.float32(0), np.float32(1)]
    for i in range(7):
        edges = np.linspace(0.1, 1, 2**i + 1).astype(np.float32)
        middles = (edges[:-1] + edges[1:]) / np.float32(2) * np.float32(10.0 ** (i - 6))
        values += [*middles, *-middles]
    return np.sort(np.array(values, np.float32))


DYNAMIC_VALUES = _dynamic_values()


class NF4(NamedTuple):
    """A kernel [fan_in, fan_out] in 4.127 bits per weight. With a leading layer axis on every leaf: all layers'."""

    codes: Any  # uint8 [fan_in / 2, fan_out]: rows 2i (high half) and 2i + 1 (low half)
    absmax: Any  # uint8 [fan_in / 64, fan_out], codes of DYNAMIC_VALUES
    absmax_scale: Any  # float32 [ceil(fan_in * fan_out / 64 / 256)]
    absmax_mean: Any  # float32 []


class Int8(NamedTuple):
    """A kernel [fan_in, fan_out] in 8 bits per weight: ``codes * scale``."""

    codes: Any  # int8 [fan_in, fan_out]
    channel_scale: Any  # float32 [fan_out]


def shapes(quantization: Quantization, fan_in: int, fan_out: int) -> NF4 | Int8:
    """Shapes and dtypes of a quantised kernel. Raises ``SycojaxError`` where NF4's blocks do not divide it."""
    if quantization == "int8":
        return Int8(
            jax.ShapeDtypeStruct((fan_in, fan_out), jnp.int8),
            jax.ShapeDtypeStruct((fan_out,), jnp.float32),
        )
    if fan_in % BLOCK:
        raise SycojaxError(
            f"base.quantization='nf4': a weight with {fan_in} inputs does not divide into blocks of {BLOCK}; "
            "use base.quantization=int8 for this model"
        )
    blocks = fan_in // BLOCK
    return NF4(
        jax.ShapeDtypeStruct((fan_in // 2, fan_out), jnp.uint8),
        jax.ShapeDtypeStruct((blocks, fan_out), jnp.uint8),
        jax.ShapeDtypeStruct((-(-blocks * fan_out // GROUP),), jnp.float32),
        jax.ShapeDtypeStruct((), jnp.float32),
    )


def logical_axes(quantization: Quantization, axes: tuple[str, str]) -> NF4 | Int8:
    """Logical axes of each leaf of a kernel with these ones.

    Codes are split like the kernel. Absmaxes are split by output only (11008 / 64 blocks divide by no power of
    two above 4), and their scales not at all, for a group spans outputs: 1/32 and 1/4096 of the codes' bytes.
    """
    if quantization == "int8":
        return Int8(axes, (axes[1],))
    return NF4(axes, ("blocks", axes[1]), ("blocks",), ())


def quantize(quantization: Quantization, kernel: np.ndarray) -> NF4 | Int8:
    """``quantize_int8`` or ``quantize_nf4``."""
    return quantize_int8(kernel) if quantization == "int8" else quantize_nf4(kernel)


def quantize_nf4(kernel: np.ndarray) -> NF4:
    """The nearest NF4 codes of a float kernel [fan_in, fan_out] (Dettmers et al. 2023, section 3).

    Each weight is divided by the largest magnitude of its block of 64 inputs to one output. Those absmaxes, less
    their mean over the kernel, are in turn stored in 8 bits, in groups of 256 that run through the inputs of one
    output before the next: the order of the transposed weight in a checkpoint, which is bitsandbytes' own.
    """
    fan_in, fan_out = kernel.shape
    shapes("nf4", fan_in, fan_out)  # raises where blocks do not divide
    absmax = np.empty((fan_out, fan_in // BLOCK), np.float32)
    codes = np.empty((fan_in // 2, fan_out), np.uint8)
    step = max(1, CHUNK // fan_in)
    for start in range(0, fan_out, step):
        part = slice(start, start + step)
        blocks = kernel[:, part].T.astype(np.float32).reshape(-1, fan_in // BLOCK, BLOCK)
        largest = np.abs(blocks).max(-1)
        blocks *= np.float32(1) / np.maximum(largest, np.float32(1e-38))[..., None]
        found = _nearest(blocks, NF4_VALUES).reshape(-1, fan_in // 2, 2)
        codes[:, part] = (found[..., 0] << 4 | found[..., 1]).T
        absmax[part] = largest
    mean = absmax.mean(dtype=np.float64).astype(np.float32)
    flat = (absmax - mean).reshape(-1)
    groups = np.zeros((-(-flat.size // GROUP), GROUP), np.float32)
    groups.reshape(-1)[: flat.size] = flat
    scale = np.abs(groups).max(-1)
    groups *= np.float32(1) / np.maximum(scale, np.float32(1e-38))[:, None]
    found = np.searchsorted(_midpoints(DYNAMIC_VALUES), groups.reshape(-1)[: flat.size])
    return NF4(codes, found.astype(np.uint8).reshape(absmax.shape).T, scale, mean)


def quantize_int8(kernel: np.ndarray) -> Int8:
    """Round a float kernel [fan_in, fan_out] to -127..127, symmetric, one scale per output channel.

    The weights' half of LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339); activations stay as they are.
    """
    weights = kernel.astype(np.float32)
    absmax = np.abs(weights).max(0)
    weights *= np.float32(127) / np.maximum(absmax, np.float32(1e-36))
    return Int8(np.rint(weights, out=weights).astype(np.int8), absmax / np.float32(127))


def dequantize(q: NF4 | Int8, dtype: Any) -> jax.Array:
    """The kernel [fan_in, fan_out] in ``dtype``; the arithmetic is float32."""
    if isinstance(q, Int8):
        return (q.codes.astype(jnp.float32) * q.channel_scale).astype(dtype)
    half, fan_out = q.codes.shape
    blocks = q.absmax.shape[0]
    scale = jnp.repeat(q.absmax_scale, GROUP)[: blocks * fan_out].reshape(fan_out, blocks).T
    absmax = jnp.asarray(DYNAMIC_VALUES).at[q.absmax].get(mode="promise_in_bounds")
    absmax = absmax * scale + q.absmax_mean
    pairs = jnp.stack([q.codes >> 4, q.codes & 15], axis=1).reshape(blocks, BLOCK, fan_out)
    return (_nf4_values(pairs) * absmax[:, None]).astype(dtype).reshape(2 * half, fan_out)


# The backward pass gathers and dequantises again: stored instead, the weights of all layers would exist in full.
@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=(2, 3))
def product(
    x: jax.Array, q: NF4 | Int8, axes: tuple[str, str] | None = None, mesh: Mesh | None = None
) -> jax.Array:
    """x [..., fan_in] times the dequantised kernel, [..., fan_out] in x's dtype.

    With the kernel's logical ``axes`` and the ``mesh`` it lies on, its codes are gathered over ``fsdp`` first. The
    compiler by itself dequantises each part where it lies and sends the numbers: two to eight times the bytes.
    """
    if axes is not None and mesh is not None:
        names = logical_axes("int8" if isinstance(q, Int8) else "nf4", axes)
        q = type(q)(*(gathered(leaf, mesh, own) for leaf, own in zip(q, names, strict=True)))
    return x @ dequantize(q, x.dtype)


def _nf4_values(codes: jax.Array) -> jax.Array:
    """NF4_VALUES[codes] by one choice per bit: vector instructions everywhere, where a gather is one by one."""
    codes = codes.astype(jnp.int32)
    values: list[Any] = list(NF4_VALUES)
    for bit in (1, 2, 4, 8):
        on = codes & bit != 0
        values = [jnp.where(on, b, a) for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


def _midpoints(values: np.ndarray) -> np.ndarray:
    return (values[:-1] + values[1:]) / np.float32(2)


def _nearest(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Index uint8 of the nearest of few ascending values; a tie goes to the smaller one."""
    codes = np.zeros(x.shape, np.uint8)
    for bound in _midpoints(values):
        codes += x > bound
    return codes
