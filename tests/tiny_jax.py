"""The same quantities as ``parity/torch_reference.py``, computed by sycojax."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tiny_models as tiny
from jax.sharding import Mesh
from scipy.special import log_softmax

from sycojax.config import TrainConfig
from sycojax.models.base import FrozenBase, Tree, merge, zero_lora
from sycojax.models.compute import Compute
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.training.loss import Rows, loss
from sycojax.training.optimizer import learning_rates, make_optimizer
from sycojax.training.step import AdapterState, train_step
from sycojax.weights.huggingface import load_base
from sycojax.weights.peft import load_adapter

LORA = LoRAConfig(rank=tiny.RANK, alpha=tiny.ALPHA, dropout=0.0)
WIDTH = 40  # of a padded training row


def load(directory: Path, **options: Any) -> FrozenBase:
    """The base on one device, float32 unless told."""
    return load_base(directory, LORA, Compute(**{"mesh": one_device(), **options}))


def one_device() -> Mesh:
    """A mesh of the first device: nothing is computed eight times over."""
    return make_mesh(devices=jax.devices()[:1])


def zero_adapter(base: FrozenBase) -> Tree:
    return zero_lora(base.config, base.lora)


def peft_adapter(directory: Path, base: FrozenBase, b_scale: float) -> Tree:
    """``tiny.adapter`` through a PEFT directory, as a user's adapter would come in."""
    targets = LORA.targets
    tiny.write_adapter(directory, base.config, targets, tiny.RANK, b_scale, lora_alpha=tiny.ALPHA)
    return load_adapter(directory, base.config)[1]


@functools.partial(jax.jit, static_argnums=0)
def _logits(graph: Any, lora: Tree, base: Tree, token_ids: jax.Array, length: jax.Array) -> Any:
    model = merge(graph, lora, base)
    positions = jnp.arange(token_ids.shape[1])[None]
    segment_ids = (positions < length).astype(jnp.int32)
    return model.logits(model.hidden(token_ids, positions, segment_ids))


def logits(base: FrozenBase, lora: Tree, token_ids: np.ndarray) -> np.ndarray:
    """[T, V] of one sequence, padded to one length so that all prompts share a compilation."""
    padded = np.zeros((1, 96), np.int32)
    padded[0, : len(token_ids)] = token_ids
    out = _logits(base.graph, lora, base.params, padded, len(token_ids))
    return np.asarray(out)[0, : len(token_ids)]


def token_logprobs(base: FrozenBase, lora: Tree, token_ids: np.ndarray) -> np.ndarray:
    """log p of tokens 1.. given those before, [T - 1]."""
    table = log_softmax(logits(base, lora, token_ids), axis=-1)
    return table[np.arange(len(token_ids) - 1), token_ids[1:]]


def rows(batch: list[tiny.Text]) -> Rows:
    """One step's examples as [2, 2, T] rows; every completion token weighs one over their number."""
    targets = sum(len(text.token_ids) - text.start for text in batch)
    shape = (len(batch), WIDTH)
    token_ids, target_ids = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    segments, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for row, text in enumerate(batch):
        n = len(text.token_ids)
        token_ids[row, :n], target_ids[row, : n - 1] = text.token_ids, text.token_ids[1:]
        segments[row, :n] = 1
        weights[row, text.start - 1 : n - 1] = 1 / targets
    positions = np.where(segments, np.arange(WIDTH, dtype=np.int32), 0).astype(np.int32)
    parts = (token_ids, target_ids, positions, segments, weights)
    return Rows(*(part.reshape(2, 2, WIDTH) for part in parts))


def gradients(base: FrozenBase, lora: Tree, batch: list[tiny.Text]) -> Tree:
    """Gradient of the step loss with respect to the adapter."""
    flat = Rows(*(part.reshape(4, WIDTH) for part in rows(batch)))
    return jax.jit(jax.grad(loss, argnums=1), static_argnums=0)(base.graph, lora, base.params, flat)


def train(base: FrozenBase, lora: Tree) -> tuple[np.ndarray, np.ndarray, Tree]:
    """The 20 steps by the project's own training step: losses, gradient norms, final adapter."""
    config = TrainConfig(
        learning_rate=tiny.LEARNING_RATE,
        warmup_steps=tiny.WARMUP,
        weight_decay=tiny.WEIGHT_DECAY,
    )
    optimizer = make_optimizer(config)
    lora = jax.tree.map(jnp.asarray, lora)
    state = AdapterState(lora, optimizer.init(lora), lora, jnp.float32(np.inf), jnp.int32(0))

    @jax.jit
    def step(params: Tree, state: AdapterState, rows: Rows, rate: jax.Array) -> Any:
        key = jax.random.key(0)  # dropout is 0
        filled = jnp.full(2, rows.token_ids.shape[-1])
        return train_step(base.graph, optimizer, params, state, rows, filled, key, rate)

    losses, norms = [], []
    batches = tiny.training_batches(base.config)
    for batch, rate in zip(batches, learning_rates(config, tiny.STEPS), strict=True):
        state, metrics = step(base.params, state, rows(batch), jnp.float32(rate))
        losses.append(float(metrics.loss))
        norms.append(float(metrics.grad_norm))
    return np.array(losses), np.array(norms), state.lora


def by_peft_name(tree: Tree) -> dict[str, np.ndarray]:
    """A lora-shaped tree as PEFT's tensors."""
    out = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        _, block, module, matrix = (part.key for part in keys)
        letter = {"lora_a": "A", "lora_b": "B"}[matrix]
        for i, layer in enumerate(np.asarray(leaf)):
            out[f"base_model.model.model.layers.{i}.{block}.{module}.lora_{letter}.weight"] = (
                layer.T
            )
    return out


def equations(jaxpr: Any) -> Iterator[Any]:
    """The equations of a jaxpr, at any depth."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)  # of a closed one, the open one
            if hasattr(inner, "eqns"):
                yield from equations(inner)
