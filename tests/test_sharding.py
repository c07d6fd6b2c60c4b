"""Losses, scores and greedy text do not depend on the shape of the mesh; where every parameter of a Llama lies."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as scoring
import training_cases as training

from sycojax.models.base import FrozenBase, abstract, logical_axes
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh, partition_spec
from sycojax.planning import shapes as planned
from sycojax.training.batches import pack_step, stack
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram

pytestmark = pytest.mark.usefixtures("quick_compilation")

# data x fsdp x tensor
MESHES = [
    (8, 1, 1), (2, 2, 2), *(pytest.param(m, marks=pytest.mark.slow) for m in [(1, 4, 2), (4, 1, 2)])
]  # fmt: skip
SHAPES = {
    "llama-2-7b": planned.SHAPES["llama2_7b"],
    "llama-2-70b": planned.SHAPES["llama2_70b"],
    "qwen-2.5-7b": planned.SHAPES["qwen2.5_7b"],
    "qwen-3-8b": planned.SHAPES["qwen3_8b"],
}
GOLDEN = Path(__file__).parent / "golden" / "partition_specs.json"


def _train(base: FrozenBase) -> tuple[np.ndarray, Any]:
    """Two steps with dropout and a validation: losses, and the adapter they give."""
    config = dataclasses.replace(training.CONFIG, micro_batch_rows=8, examples_per_step=8)
    program = BankProgram(base, make_optimizer(config), width=1)
    state, values = program.start([3]), []
    for step in range(2):
        batch = pack_step(training.make_examples(8, seed=step, longest=16), config)
        host_rows, filled = stack([batch])
        rows = program.place_rows(host_rows)
        state, metrics = program.train(state, rows, filled, step, [3], [0.01], [True])
        values += [metrics.loss[0], metrics.grad_norm[0]]
    state, value = program.validate(state, rows, filled, 2, [True])
    return np.array([*values, value[0]]), jax.device_get(program.best(state, 0))


@pytest.fixture(scope="module")
def one_device() -> Any:
    base = training.make_base()
    return _train(base), scoring.answers(scoring.make_base(), 1)


@pytest.mark.parametrize("shape", MESHES, ids=lambda shape: "x".join(map(str, shape)))
def test_a_mesh_of_eight_equals_one_device(shape: tuple[int, int, int], one_device: Any) -> None:
    (values, adapter), (logprobs, texts) = one_device
    mesh = make_mesh(*shape)
    found, trained = _train(training.make_base(mesh))
    np.testing.assert_allclose(found, values, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), trained, adapter)
    scores, continuations = scoring.answers(scoring.make_base(mesh=mesh), 1)
    np.testing.assert_allclose(scores, logprobs, rtol=5e-7, atol=1e-5)
    assert continuations == texts


@pytest.mark.slow
def test_biases_and_norms_of_heads_train_alike_on_any_mesh() -> None:
    given = {"qkv_bias": True, "o_bias": True, "mlp_bias": True, "qk_norm": True}
    values, adapter = _train(training.make_base(**given))
    found, trained = _train(training.make_base(make_mesh(2, 2, 2), **given))
    np.testing.assert_allclose(found, values, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), trained, adapter)
    without, _ = _train(training.make_base())
    assert np.abs(without - values).max() > 1e-3


def specs(config: LlamaConfig) -> dict[str, list[Any]]:
    """Parameter -> [shape, its partition spec] of a base and its adapter on all projections."""
    lora = LoRAConfig()
    shapes, axes = abstract(config, lora), logical_axes(config, lora)
    out: dict[str, list[Any]] = {}
    for tree, names in ((shapes.base, axes.base), (shapes.lora, axes.lora)):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        tuples = jax.tree.leaves(names, is_leaf=lambda x: isinstance(x, tuple))
        for (path, leaf), name in zip(leaves, tuples, strict=True):
            key = ".".join(part.key for part in path)
            out[key] = [list(leaf.shape), list(partition_spec(name))]
    return out


@pytest.mark.parametrize("name", SHAPES)
def test_where_every_parameter_lies(name: str) -> None:
    """After a wanted change: ``python tests/test_sharding.py`` writes the file anew."""
    assert specs(SHAPES[name]) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    lines = {
        name: "{\n"
        + ",\n".join(f'    "{k}": {json.dumps(v)}' for k, v in specs(config).items())
        + "\n  }"
        for name, config in SHAPES.items()
    }
    GOLDEN.write_text("{\n" + ",\n".join(f'  "{n}": {text}' for n, text in lines.items()) + "\n}\n")
