"""Which kernel attends in packed rows, chosen by ``base.attention``: the same function, three ways to compute it.

========  =======================================  =====================================================
backend   runs on                                  which rows
========  =======================================  =====================================================
xla       everything                               all; the reference. Scores [B, N, T, S] exist in memory
cudnn     NVIDIA GPUs from Ampere on, bfloat16     all: segments and trees go in as a mask (cuDNN's bias)
splash    TPUs, rows of a multiple of 128 tokens   segments alone, as in training; trees, as in scoring,
                                                   are xla's: splash takes no mask that is data
========  =======================================  =====================================================

Decoding against a cache always uses xla. ``auto`` takes the first of cudnn and splash that the platform, the
dtype and the shapes allow, and xla where neither does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.custom_batching import custom_vmap
from jax.sharding import Mesh, PartitionSpec

from sycojax.errors import SycojaxError
from sycojax.models.attention import packed_mask
from sycojax.models.config import LlamaConfig
from sycojax.models.row_attention import SAVED_ATTENTION, attend_row_by_row, attend_rows
from sycojax.parallel.mesh import alone_on_cpu, batch_axes

Attention = Literal["auto", "xla", "cudnn", "splash"]
Backend = Literal["xla", "cudnn", "splash"]
SPLASH_BLOCK = 128  # splash works on blocks of as many tokens as a TPU's vectors are wide

Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def choose(
    attention: Attention,
    config: LlamaConfig,
    dtype: Any,
    mesh: Mesh | None,
    row_length: int | None = None,
) -> Backend:
    """The backend that ``base.attention`` means on the devices of ``mesh`` (None: the default ones).

    ``row_length`` is that of the rows to train on; None where nothing is trained. Raises ``SycojaxError`` when
    the backend asked for by name cannot run there.
    """
    if attention == "auto":
        candidates: tuple[Backend, ...] = ("cudnn", "splash")
        for backend in candidates:
            if not _obstacle(backend, config, dtype, mesh, row_length):
                return backend
        return "xla"
    obstacle = _obstacle(attention, config, dtype, mesh, row_length)
    if obstacle:
        raise SycojaxError(
            f"base.attention={attention!r} needs {obstacle}: use base.attention=auto or xla"
        )
    return attention


def packed_attention(
    backend: Backend,
    segment_ids: jax.Array,
    ends: jax.Array | None,
    mesh: Mesh | None,
    bank_axis: str | None = None,
) -> Attend:
    """Attention inside packed rows (``attention.packed_mask``): (q [B, T, N, H], k, v [B, T, K, H]) -> [B, T, N, H]."""
    if backend == "splash" and ends is None:
        return functools.partial(splash, segment_ids=segment_ids, mesh=mesh, bank_axis=bank_axis)
    mask = packed_mask(segment_ids, ends)
    if backend == "cudnn":
        return functools.partial(by_device(cudnn, mesh, bank_axis), mask)
    return functools.partial(by_xla(mesh), mask=mask)


def by_xla(mesh: Mesh | None) -> Callable[..., jax.Array]:
    """``attend_rows`` in the way that suits the devices: (q, k, v, mask) as there. Several devices have their rows at once."""
    return attend_row_by_row if alone_on_cpu(mesh) else attend_rows


def by_device(function: Callable[..., jax.Array], mesh: Mesh | None, bank_axis: str | None) -> Any:
    """``function`` (per row [B, ...], q, k, v -> [B, T, N, H]) on each device's own rows and heads.

    The compiler cannot look into a kernel: without this, it would gather all of the kernel's input on every device.
    """
    if mesh is None:
        return function
    axes = batch_axes(bank_axis)
    rows, places = PartitionSpec(axes), PartitionSpec(axes, None, "tensor")
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(rows, places, places, places),
        out_specs=places,
        check_vma=False,  # a kernel's call does not say over which axes its result varies
    )


def splash(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segment_ids: jax.Array,
    mesh: Mesh | None,
    *,
    bank_axis: str | None = None,
    interpret: bool = False,
) -> jax.Array:
    """Causal attention inside segments by JAX's splash kernel; shapes as in ``packed_attention``.

    ``interpret`` runs the kernel's code on any platform, slowly.
    Raises ``SycojaxError`` where T is no multiple of 128.
    """
    # Importing it takes half a second, which only those pay who use it.
    from jax.experimental.pallas.ops.tpu.splash_attention import SegmentIds

    length, width = q.shape[1], q.shape[3]
    if length % SPLASH_BLOCK:
        raise SycojaxError(
            f"base.attention='splash' needs rows of a multiple of {SPLASH_BLOCK} tokens, not {length}: change "
            "train.row_length, or use base.attention=xla"
        )

    def on_device(segments: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        kernel = _splash_kernel(q.shape[2], length, interpret)
        # The kernel takes heads first and does not scale.
        q, k, v = (jnp.swapaxes(x, 1, 2) for x in (q * width**-0.5, k, v))
        return jnp.swapaxes(jax.vmap(kernel)(q, k, v, SegmentIds(segments, segments)), 1, 2)

    return by_device(on_device, mesh, bank_axis)(segment_ids, q, k, v)


def _splash_kernel(heads: int, length: int, interpret: bool) -> Any:
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        BlockSizes,
        CausalMask,
        MultiHeadMask,
        make_splash_mha,
    )

    block = math.gcd(length, 4 * SPLASH_BLOCK)
    names = (
        "block_q", "block_kv", "block_kv_compute", "block_q_dkv", "block_kv_dkv",
        "block_kv_dkv_compute", "block_q_dq", "block_kv_dq",
    )  # fmt: skip
    return make_splash_mha(
        mask=MultiHeadMask([CausalMask((length, length))] * heads),
        head_shards=1,
        q_seq_shards=1,
        block_sizes=BlockSizes(**dict.fromkeys(names, block)),
        residual_checkpoint_name=SAVED_ATTENTION,
        interpret=interpret,
    )


@jax.custom_vjp
def cudnn(mask: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Masked attention by cuDNN's flash kernel; ``mask`` bool [B, 1, T, S], within the causal one.

    The backward pass runs the forward kernel again (1 % of a 7B step's operations at 1024 tokens) instead of storing
    what it leaves behind, so that both passes are plain functions of arrays, as ``over_batch`` needs them.
    """
    return _forward(mask, q, k, v)


def _cudnn_forward(mask: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array) -> Any:
    return checkpoint_name(_forward(mask, q, k, v), SAVED_ATTENTION), (mask, q, k, v)


def _cudnn_backward(residuals: Any, cotangent: jax.Array) -> Any:
    return (None, *_gradients(*residuals, cotangent))


cudnn.defvjp(_cudnn_forward, _cudnn_backward)


def over_batch(function: Callable[..., Any]) -> Any:
    """``function`` of arrays with a leading batch axis, mapped by ``jax.vmap`` as one larger batch.

    JAX's own ``vmap`` of cuDNN attention is an error unless every head has a mask of its own: N times the memory.
    """

    @custom_vmap
    def mapped(*arguments: jax.Array) -> Any:
        return function(*arguments)

    @mapped.def_vmap
    def _(size: int, is_mapped: list[bool], *arguments: jax.Array) -> Any:
        def flat(x: jax.Array, batched: bool) -> jax.Array:
            x = x if batched else jnp.broadcast_to(x, (size, *x.shape))
            return x.reshape(-1, *x.shape[2:])

        def unflat(x: jax.Array) -> jax.Array:
            return x.reshape(size, -1, *x.shape[1:])

        out = mapped(*(flat(x, b) for x, b in zip(arguments, is_mapped, strict=True)))
        return jax.tree.map(unflat, out), jax.tree.map(lambda _: True, out)

    return mapped


def _dot_product_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array,
    implementation: Literal["xla", "cudnn"] = "cudnn",
) -> jax.Array:
    # The mask is causal already; saying so as well lets the kernel skip what lies above the diagonal.
    return jax.nn.dot_product_attention(
        q, k, v, mask=mask, is_causal=True, implementation=implementation
    )


@over_batch
def _forward(mask: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    return _dot_product_attention(q, k, v, mask)


@over_batch
def _gradients(mask: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, cotangent: jax.Array):
    return jax.vjp(lambda q, k, v: _dot_product_attention(q, k, v, mask), q, k, v)[1](cotangent)


def _obstacle(
    backend: str, config: LlamaConfig, dtype: Any, mesh: Mesh | None, row_length: int | None
) -> str:
    """What the backend needs and does not find here; empty when it can run."""
    if backend == "xla":
        return ""
    device: Any = jax.devices()[0] if mesh is None else mesh.devices.flat[0]
    tensor = 1 if mesh is None else mesh.shape["tensor"]
    if backend == "cudnn":
        # "9.0" on NVIDIA's devices, "gfx90a" and the like on AMD's.
        capability = str(getattr(device, "compute_capability", ""))
        if device.platform not in ("gpu", "cuda") or not capability[:1].isdigit():
            return f"an NVIDIA GPU, and this is a {device.platform}"
        if float(capability) < 8:
            return f"compute capability 8.0 (Ampere), and {device.device_kind} has {capability}"
        if jnp.dtype(dtype) != jnp.bfloat16:
            return "base.dtype=bfloat16"
        if config.head_dim % 8 or config.head_dim > 128:
            return f"heads of a multiple of 8 up to 128 wide, not {config.head_dim}"
        if row_length is not None and row_length % 2:
            return f"an even train.row_length, not {row_length}"
    if backend == "splash":
        if device.platform != "tpu":
            return f"a TPU, and this is a {device.platform}"
        if config.head_dim % 64:
            return f"heads of a multiple of 64 wide, not {config.head_dim}"
        if row_length is not None and row_length % SPLASH_BLOCK:
            return f"a train.row_length that is a multiple of {SPLASH_BLOCK}, not {row_length}"
    if config.num_attention_heads % tensor or config.num_key_value_heads % tensor:
        return f"heads that divide over mesh.tensor={tensor}"
    return ""
