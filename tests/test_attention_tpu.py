"""A whole LoRA gradient with splash attention, compiled for a real TPU topology by libtpu, which no device needs."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import topologies
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from sycojax.models import backends
from sycojax.models.base import abstract_base, split
from sycojax.models.compute import Compute, Dtype
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import MESH_AXES, batch_sharding
from sycojax.scoring.bank import abstract_pass
from sycojax.training.loss import Rows, loss

pytestmark = pytest.mark.slow
ROWS, LENGTH = 8, 256


@pytest.fixture(scope="module")
def mesh() -> Any:
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed; `pip install 'sycojax[tpu]'` to run this test")
    # Or it asks a metadata server for these, and a second process could not load it.
    for name, value in {
        "TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_ID": "0",
        "TPU_WORKER_HOSTNAMES": "localhost", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }.items():  # fmt: skip
        os.environ.setdefault(name, value)
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4")
    return jax.make_mesh(
        (2, 2, 2), MESH_AXES, devices=topology.devices, axis_types=(AxisType.Auto,) * 3
    )


@pytest.mark.parametrize(("width", "dtype"), [(128, "bfloat16"), (64, "float32")])
def test_a_training_step_compiles_for_a_tpu(mesh: Any, width: int, dtype: Dtype):
    """Rows over data and fsdp, heads over tensor; the kernels' calls are in the compiled program."""
    config = LlamaConfig(512, 256, 512, 2, 8, 4, width, 512, 1e-5, 1e4, None, False, 1, (2,))
    lora = LoRAConfig(rank=4, alpha=8.0, dropout=0.1)
    assert backends.choose("auto", config, dtype, mesh, LENGTH) == "splash"
    rows_at, everywhere = batch_sharding(mesh), NamedSharding(mesh, PartitionSpec())

    base = abstract_base(config, lora, Compute(dtype, remat="dots", attention="splash", mesh=mesh))
    adapter = abstract_pass(1, base)
    place = jax.ShapeDtypeStruct((ROWS, LENGTH), jnp.int32, sharding=rows_at)
    weights = jax.ShapeDtypeStruct((ROWS, LENGTH), jnp.float32, sharding=rows_at)
    key = jax.eval_shape(lambda: jax.random.key(0))
    key = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=everywhere)

    def step(adapter: Any, base: Any, rows: Any, key: Any) -> Any:
        return jax.value_and_grad(loss, argnums=1)(split.graph, adapter, base, rows, key, 64)

    with jax.default_matmul_precision("highest" if dtype == "float32" else "default"):
        lowered = jax.jit(step).lower(adapter, base, Rows(*[place] * 4, weights), key)
    # dots keeps what the forward kernel gave: it runs once, and so do those of the two gradients.
    assert lowered.compile().as_text().count("tpu_custom_call") == 3
