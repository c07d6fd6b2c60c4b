"""Losses, scores and greedy text do not depend on the shape of the mesh; where every parameter of a Llama lies."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as scoring
import training_cases as training
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from sycojax.config import ScoreConfig
from sycojax.models.base import FrozenBase, abstract, logical_axes
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import MESH_AXES, make_mesh, partition_spec, shardings
from sycojax.scoring.decode import Continuation, Decoder, Prompt
from sycojax.scoring.scorer import Scorer
from sycojax.training.batches import pack_step, stack
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram

# data x fsdp x tensor
MESHES = [(8, 1, 1), (2, 2, 2), (1, 4, 2), (4, 1, 2)]
GOLDEN = Path(__file__).parent / "golden" / "partition_specs.json"
LLAMA_2_7B = LlamaConfig(
    32_000, 4096, 11_008, 32, 32, 32, 128, 4096, 1e-5, 1e4, None, False, 1, (2,)
)
LLAMA_2_70B = LlamaConfig(
    32_000, 8192, 28_672, 80, 64, 8, 128, 4096, 1e-5, 1e4, None, False, 1, (2,)
)
SHAPES = {"llama-2-7b": LLAMA_2_7B, "llama-2-70b": LLAMA_2_70B}
SCORE = ScoreConfig(batch_tokens=256, buckets=(64,), decode_batch=8)
REQUESTS = scoring.sample_requests(6)
PROMPTS = [Prompt(text, 6) for text in ("Q: the cat", "A", "xyz (A) or (B)?")]


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Compiling is nearly all of these tests' time; what is compared is compiled alike."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def _train(base: FrozenBase) -> tuple[np.ndarray, Any]:
    """Two steps with dropout and a validation: losses, and the adapter they give."""
    config = dataclasses.replace(training.CONFIG, micro_batch_rows=8, examples_per_step=8)
    program = BankProgram(base, make_optimizer(config), width=1)
    state, values = program.start([3]), []
    for step in range(2):
        batch = pack_step(training.make_examples(8, seed=step, longest=16), config)
        rows = program.place_rows(stack([batch]))
        state, metrics = program.train(state, rows, batch.count, step, [3], [0.01], [True])
        values += [metrics.loss[0], metrics.grad_norm[0]]
    state, value = program.validate(state, rows, batch.count, 2, [True])
    return np.array([*values, value[0]]), jax.device_get(program.best(state, 0))


def _score(devices: FrozenBase) -> tuple[np.ndarray, list[Continuation]]:
    bank = scoring.make_bank(1)
    (records,) = Scorer(devices, scoring.tokenizer(), SCORE).score(REQUESTS, bank, progress=False)
    decoder = Decoder(devices, scoring.tokenizer(), SCORE)
    (texts,) = decoder.generate(PROMPTS, bank, progress=False)
    return np.concatenate([record.logprobs for record in records]), texts


@pytest.fixture(scope="module")
def one_device() -> Any:
    base = training.make_base(training.one_device_mesh())
    return _train(base), _score(scoring.make_base())


@pytest.mark.parametrize("shape", MESHES, ids=lambda shape: "x".join(map(str, shape)))
def test_a_mesh_of_eight_equals_one_device(shape: tuple[int, int, int], one_device: Any) -> None:
    (values, adapter), (logprobs, texts) = one_device
    mesh = make_mesh(*shape)
    found, trained = _train(training.make_base(mesh))
    np.testing.assert_allclose(found, values, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), trained, adapter)
    scores, continuations = _score(scoring.make_base(mesh=mesh))
    np.testing.assert_allclose(scores, logprobs, rtol=5e-7, atol=1e-5)
    assert continuations == texts


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


@pytest.mark.parametrize("name", SHAPES)
def test_no_large_weight_is_whole_anywhere(name: str) -> None:
    """On fsdp x tensor = 4 x 8 a device holds a 32nd of every matrix, and the norms whole."""
    mesh = AbstractMesh((1, 4, 8), MESH_AXES, axis_types=(AxisType.Auto,) * 3)
    config, lora = SHAPES[name], LoRAConfig()
    shapes = abstract(config, lora, Compute("bfloat16")).base
    for leaf, place in zip(
        jax.tree.leaves(shapes),
        jax.tree.leaves(shardings(mesh, logical_axes(config, lora).base)),
        strict=True,
    ):
        held = int(np.prod(place.shard_shape(leaf.shape)))
        parts = 1 if place.spec in (PartitionSpec(None), PartitionSpec(None, None)) else 32
        assert held == leaf.size // parts


if __name__ == "__main__":
    lines = {
        name: "{\n"
        + ",\n".join(f'    "{k}": {json.dumps(v)}' for k, v in specs(config).items())
        + "\n  }"
        for name, config in SHAPES.items()
    }
    GOLDEN.write_text("{\n" + ",\n".join(f'  "{n}": {text}' for n, text in lines.items()) + "\n}\n")
