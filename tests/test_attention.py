"""Attention backends: equal to XLA's where they can run, lowered or compiled ahead of time where they cannot."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from sycojax.errors import SycojaxError
from sycojax.models import backends
from sycojax.models.attention import packed_mask
from sycojax.models.base import abstract, merge
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.models.row_attention import attend_rows
from sycojax.parallel.mesh import MESH_AXES, make_mesh

LENGTH = 128
CONFIG = LlamaConfig(96, 128, 96, 2, 2, 1, 64, 256, 1e-5, 1e4, None, False, 1, (2,))


def _segments(rows: int, length: int = LENGTH) -> np.ndarray:
    """Two or three segments per row and padding behind them."""
    rng = np.random.default_rng(0)
    ids = np.zeros((rows, length), np.int32)
    for row in ids:
        cuts = np.sort(rng.choice(np.arange(8, length - 8), 3, replace=False))
        for segment, (start, end) in enumerate(zip((0, *cuts), cuts, strict=False), 1):
            row[start:end] = segment
    return ids


def _inputs(rows: int, heads: int = 4, kv_heads: int = 2, width: int = 64) -> Any:
    rng = np.random.default_rng(1)
    shapes = [(rows, LENGTH, n, width) for n in (heads, kv_heads, kv_heads, heads)]
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def _value_and_gradients(attention: Any, q: Any, k: Any, v: Any, weights: Any) -> Any:
    def total(q: Any, k: Any, v: Any) -> Any:
        out = attention(q, k, v)
        return jnp.sum(out * weights), out

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)


def _assert_close(got: Any, want: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-4), got, want)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "splash", functools.partial(backends.splash, interpret=True))


@pytest.fixture
def cudnn_by_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN runs on GPUs alone; what is ours around it, the passes and their mapping, runs anywhere."""
    plain = functools.partial(backends._dot_product_attention, implementation="xla")
    monkeypatch.setattr(backends, "_dot_product_attention", plain)


def _backend(name: str, segments: Any, mesh: Mesh | None = None) -> Any:
    return backends.packed_attention(name, jnp.asarray(segments), None, mesh)  # pyright: ignore[reportArgumentType]


def _reference(segments: Any) -> Any:
    return functools.partial(jax.nn.dot_product_attention, mask=packed_mask(jnp.asarray(segments)))


@pytest.mark.parametrize("length", [40, 128, 200])
def test_rows_by_xla_are_those_of_jax(length: int):
    """One block, an exact one and a last one cut short; grouped queries, segments and padding."""
    rng = np.random.default_rng(1)
    segments = _segments(2, length)
    shapes = [(2, length, n, 8) for n in (4, 2, 2, 4)]
    q, k, v, weights = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes)
    got = _value_and_gradients(_backend("xla", segments), q, k, v, weights)
    _assert_close(got, _value_and_gradients(_reference(segments), q, k, v, weights))


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_are_attended_one_by_one_on_a_cpu(rows: int):
    """The same numbers, also of one mask for all rows and under a bank's ``vmap``; of several devices, all rows at once."""
    rng = np.random.default_rng(1)
    shapes = [(2, rows, 200, n, 8) for n in (4, 2, 2, 4)]
    lanes = [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]
    segments = jnp.asarray(np.stack([_segments(rows, 200), _segments(rows, 200)[::-1]]))

    def total(attend: Any, q: Any, k: Any, v: Any, weights: Any, segments: Any) -> Any:
        shared = attend(q, k, v, packed_mask(jnp.ones((1, 200), jnp.int32)))
        return jnp.sum((attend(q, k, v, packed_mask(segments)) + shared) * weights)

    def mapped(attend: Any) -> Any:
        each = jax.value_and_grad(functools.partial(total, attend), argnums=(0, 1, 2))
        return jax.jit(jax.vmap(each))(*lanes, segments)

    _assert_close(
        mapped(backends.by_xla(make_mesh(1, 1, 1, jax.devices()[:1]))), mapped(attend_rows)
    )
    loops = jax.make_jaxpr(lambda q, k, v: _backend("xla", segments[0])(q, k, v))(
        *(x[0] for x in lanes[:3])
    )
    assert (" scan[" in str(loops)) == (rows > 1)
    assert backends.by_xla(make_mesh(8)) is attend_rows


def test_rows_in_bfloat16_keep_their_scores_exact():
    q, k, v, _ = (x.astype(jnp.bfloat16) for x in _inputs(1))
    segments = _segments(1)
    found = _backend("xla", segments)(q * 4, k, v)
    exact = _reference(segments)(*(x.astype(jnp.float32) for x in (q * 4, k, v)))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(np.float32), exact, atol=0.05)


@pytest.mark.parametrize("name", ["splash", "cudnn"])
def test_values_and_gradients_are_those_of_xla(name: str, interpreted: None, cudnn_by_xla: None):
    """Grouped queries, several segments and padding, one device."""
    segments, (q, k, v, weights) = _segments(2), _inputs(2)
    got = _value_and_gradients(_backend(name, segments), q, k, v, weights)
    want = _value_and_gradients(_reference(segments), q, k, v, weights)
    _assert_close(got, want)
    other = _value_and_gradients(_backend("xla", np.ones_like(segments)), q, k, v, weights)
    assert np.abs(np.asarray(got[0][1] - other[0][1])).max() > 0.1, "segments matter"


@pytest.mark.parametrize("bank_axis", ["data", None])
@pytest.mark.parametrize("name", ["splash", "cudnn"])
@pytest.mark.slow
def test_nothing_is_gathered_for_it(
    name: Any, bank_axis: str | None, interpreted: None, cudnn_by_xla: None
):
    """A bank laid over devices, or its rows: forward and backward pass stay on each device."""
    mesh = make_mesh(2, 2, 2)
    segments, arrays = np.stack([_segments(4)] * 2), [jnp.stack([x, 2 - x]) for x in _inputs(4)]
    rows = ("data", "fsdp") if bank_axis is None else "fsdp"
    places = NamedSharding(mesh, PartitionSpec(bank_axis, rows, None, "tensor"))
    ids = jax.device_put(segments, NamedSharding(mesh, PartitionSpec(bank_axis, rows)))

    def total(mesh: Mesh | None, q: Any, k: Any, v: Any, weights: Any, segments: Any) -> Any:
        attend = backends.packed_attention(name, segments, None, mesh, bank_axis)
        return jnp.sum(attend(q, k, v) * weights)

    def gradients(mesh: Mesh | None) -> Any:
        each = jax.grad(functools.partial(total, mesh), argnums=(0, 1, 2))
        return jax.jit(jax.vmap(each, spmd_axis_name=bank_axis if mesh else None))

    placed = jax.device_put(arrays, places)
    compiled = gradients(mesh).lower(*placed, ids).compile()
    _assert_close(compiled(*placed, ids), gradients(None)(*arrays, jnp.asarray(segments)))
    moved = re.findall(r"all-gather|all-to-all|collective-permute|all-reduce", compiled.as_text())
    assert not moved


@pytest.mark.parametrize("name", ["splash", "cudnn"])
def test_a_bank_maps_over_it(name: str, interpreted: None, cudnn_by_xla: None):
    """Lanes with rows of their own, as in training; and with the same rows, as in scoring."""
    segments = np.stack([_segments(2), _segments(2)[::-1]])
    lanes = [jnp.stack([x, 2 - x]) for x in _inputs(2, heads=2, kv_heads=1)]

    def total(name: str, q: Any, k: Any, v: Any, weights: Any, segments: Any) -> Any:
        return jnp.sum(_backend(name, segments)(q, k, v) * weights)

    def mapped(name: str, axis: int | None) -> Any:
        each = jax.value_and_grad(functools.partial(total, name), argnums=(0, 1, 2))
        ids = segments if axis == 0 else segments[0]
        return jax.jit(jax.vmap(each, in_axes=(0, 0, 0, 0, axis)))(*lanes, jnp.asarray(ids))

    for axis in (0, None):
        _assert_close(mapped(name, axis), mapped("xla", axis))


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
@pytest.mark.slow
def test_a_model_trains_the_same(remat: Any, interpreted: None):
    """Through the layer scan and rematerialisation: gradients of an adapter."""
    lora = LoRAConfig(rank=2, alpha=4.0, dropout=0.0, targets=("q_proj", "v_proj"))
    parts = {
        name: abstract(CONFIG, lora, Compute(remat=remat, attention=name))
        for name in ("xla", "splash")
    }
    rng = np.random.default_rng(2)
    base, adapter = jax.tree.map(
        lambda s: jnp.asarray(rng.standard_normal(s.shape) * 0.1, s.dtype),
        (parts["xla"].base, parts["xla"].lora),
    )
    segments = jnp.asarray(_segments(2))
    token_ids = jnp.asarray(rng.integers(3, 96, segments.shape), jnp.int32)
    positions = jnp.broadcast_to(jnp.arange(LENGTH), segments.shape)

    def total(name: str, adapter: Any) -> Any:
        model = merge(parts[name].graph, adapter, base)
        return jnp.sum(jnp.sin(model.hidden(token_ids, positions, segments)))

    got, want = (
        jax.jit(jax.value_and_grad(functools.partial(total, name)))(adapter)
        for name in ("splash", "xla")
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-3), got, want)


def test_trees_are_xlas_on_a_tpu_and_a_mask_on_a_gpu(cudnn_by_xla: None):
    q, k, v, _ = _inputs(2)
    segments = jnp.asarray(_segments(2))
    ends = jnp.full(segments.shape, LENGTH // 2)
    want = jax.nn.dot_product_attention(q, k, v, mask=packed_mask(segments, ends))
    for name in ("splash", "cudnn"):
        found = backends.packed_attention(name, segments, ends, None)(q, k, v)
        np.testing.assert_allclose(found, want, rtol=2e-5, atol=2e-5)


class _Device:
    def __init__(self, platform: str, capability: str = ""):
        self.platform, self.device_kind = platform, platform
        if capability:
            self.compute_capability = capability


class _Devices:
    """As much of a mesh as the choice looks at."""

    def __init__(self, device: _Device, tensor: int = 1):
        self.devices, self.shape = np.array([device]), {"tensor": tensor}


GPU, AMD, OLD = _Device("gpu", "9.0"), _Device("gpu", "gfx90a"), _Device("gpu", "7.5")
TPU, CPU = _Device("tpu"), _Device("cpu")
BF16, F32 = jnp.bfloat16, jnp.float32


@pytest.mark.parametrize(
    ("device", "dtype", "row_length", "want"),
    [
        (GPU, BF16, 512, "cudnn"), (GPU, F32, 512, "xla"), (GPU, BF16, None, "cudnn"),
        (OLD, BF16, 512, "xla"), (AMD, BF16, 512, "xla"), (TPU, BF16, 512, "splash"),
        (TPU, F32, 512, "splash"), (TPU, BF16, 500, "xla"), (CPU, BF16, 512, "xla"),
    ],
)  # fmt: skip
def test_auto(device: Any, dtype: Any, row_length: int | None, want: str):
    mesh: Any = _Devices(device)
    assert backends.choose("auto", CONFIG, dtype, mesh, row_length) == want
    parted: Any = _Devices(device, tensor=2)  # one key head on two devices
    assert backends.choose("xla", CONFIG, dtype, parted, row_length) == "xla"


@pytest.mark.parametrize(
    ("attention", "mesh", "dtype", "row_length", "message"),
    [
        ("cudnn", _Devices(CPU), BF16, 512, "an NVIDIA GPU, and this is a cpu"),
        ("cudnn", _Devices(AMD), BF16, 512, "an NVIDIA GPU"),
        ("cudnn", _Devices(OLD), BF16, 512, "compute capability 8.0"),
        ("cudnn", _Devices(GPU), F32, 512, "base.dtype=bfloat16"),
        ("cudnn", _Devices(GPU), BF16, 511, "an even train.row_length"),
        ("cudnn", _Devices(GPU, tensor=2), BF16, 512, "heads that divide over mesh.tensor=2"),
        ("splash", _Devices(GPU), BF16, 512, "a TPU, and this is a gpu"),
        ("splash", _Devices(TPU), BF16, 500, "a train.row_length that is a multiple of 128, not 500"),
        ("splash", _Devices(TPU, tensor=2), BF16, 512, "heads that divide over mesh.tensor=2"),
    ],
)  # fmt: skip
def test_a_backend_that_cannot_run_is_refused(
    attention: Any, mesh: Any, dtype: Any, row_length: int, message: str
):
    with pytest.raises(SycojaxError, match=rf"base\.attention='{attention}' needs .*{message}"):
        backends.choose(attention, CONFIG, dtype, mesh, row_length)


def test_rows_that_splash_cannot_take_are_refused():
    x = jnp.zeros((1, 100, 2, 64))
    with pytest.raises(
        SycojaxError, match=r"base\.attention='splash' needs rows of a multiple of 128"
    ):
        backends.splash(x, x, x, jnp.ones((1, 100), jnp.int32), None)


@pytest.mark.parametrize("dtype", [BF16, F32])
def test_splash_lowers_for_a_tpu(dtype: Any):
    """Without a TPU and without libtpu: the kernels of the forward and of the backward pass are there."""
    mesh = AbstractMesh((2, 2, 2), MESH_AXES, axis_types=(AxisType.Auto,) * 3)
    q = jax.ShapeDtypeStruct((4, 2 * LENGTH, 4, 64), dtype)
    k = jax.ShapeDtypeStruct((4, 2 * LENGTH, 2, 64), dtype)
    segments = jax.ShapeDtypeStruct((4, 2 * LENGTH), jnp.int32)

    def total(q: Any, k: Any, v: Any, segments: Any) -> Any:
        out = backends.splash(q, k, v, segments, mesh)  # pyright: ignore[reportArgumentType]
        return jnp.sum(out.astype(jnp.float32))

    with jax.default_matmul_precision("highest" if dtype == F32 else "default"):
        traced = jax.jit(jax.grad(total, argnums=(0, 1, 2))).trace(q, k, k, segments)
        text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert text.count("tpu_custom_call") == 3, "forward, dq, dkv"
    whole = math.prod((4, 4, 2 * LENGTH, 2 * LENGTH))
    assert f"tensor<4x4x{2 * LENGTH}x{2 * LENGTH}x" not in text, f"no scores of {whole} places"
