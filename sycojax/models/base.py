"""The frozen base and the adapters that fit it, as pure trees of arrays or of shapes."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from flax.traverse_util import unflatten_dict
from jax.sharding import Mesh

from sycojax.errors import SycojaxError
from sycojax.models.compute import DEFAULT, Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.llama import Llama
from sycojax.models.lora import BaseParam, LoRAConfig, LoRAParam
from sycojax.parallel.mesh import shardings

Tree = Any  # a nested dict of arrays


class Split(NamedTuple):
    """A model taken apart: static graph, adapter tree and base tree."""

    graph: Any
    lora: Tree
    base: Tree


def split(model: Llama) -> Split:
    """Take a model apart; ``merge(graph, lora, base)`` puts it together."""
    graph, lora, base = nnx.split(model, LoRAParam, BaseParam)
    return Split(graph, _plain(lora), _plain(base))


def merge(graph: Any, lora: Tree, base: Tree) -> Llama:
    """The model that ``split`` took apart, with these arrays."""
    return nnx.merge(graph, nnx.State(lora), nnx.State(base))


@dataclasses.dataclass(frozen=True)
class FrozenBase:
    """The base that every configuration of a study shares. ``dataclasses.replace`` makes it one for other adapters."""

    config: LlamaConfig
    lora: LoRAConfig  # the shape of its adapters
    compute: Compute
    params: Tree  # the weights, on the devices of ``mesh``

    @property
    def mesh(self) -> Mesh:
        """The devices that the weights lie on."""
        assert self.compute.mesh is not None
        return self.compute.mesh

    @property
    def graph(self) -> Any:
        """The static part of its model: ``merge(graph, lora, params)`` is the model with an adapter."""
        return self.graph_of(1)

    def graph_of(self, width: int) -> Any:
        """``graph``, for one adapter of a bank of ``width`` (under vmap)."""
        compute = dataclasses.replace(self.compute, bank_axis=self.compute.axis_of(width))
        return abstract(self.config, self.lora, compute).graph


@functools.cache
def abstract(config: LlamaConfig, lora: LoRAConfig, compute: Compute = DEFAULT) -> Split:
    """The split model with ``jax.ShapeDtypeStruct`` leaves: nothing is allocated.

    Cached, because tracing the model takes 50 ms and every call of a scorer asks twice. All callers get the same
    trees, so they must not be changed.
    """
    return split(nnx.eval_shape(lambda: Llama(config, lora, compute, rngs=nnx.Rngs(0))))


@functools.cache
def logical_axes(config: LlamaConfig, lora: LoRAConfig, compute: Compute = DEFAULT) -> Split:
    """Like ``abstract``, and cached like it; each leaf is its tuple of logical axis names."""
    model = nnx.eval_shape(lambda: Llama(config, lora, compute, rngs=nnx.Rngs(0)))
    graph, adapters, base = nnx.split(model, LoRAParam, BaseParam)

    def names(state: nnx.State) -> Tree:
        flat = {path: v.get_metadata("axes") for path, v in nnx.to_flat_state(state)}
        return unflatten_dict(flat)

    return Split(graph, names(adapters), names(base))


def abstract_base(config: LlamaConfig, lora: LoRAConfig, compute: Compute) -> FrozenBase:
    """A base of which nothing is allocated: its ``params`` are ``jax.ShapeDtypeStruct``s, placed on the mesh.

    Raises ``SycojaxError`` where the mesh does not divide a weight.
    """
    mesh = compute.mesh
    assert mesh is not None

    def placed(path: Any, leaf: Any, place: Any) -> jax.ShapeDtypeStruct:
        try:
            place.shard_shape(leaf.shape)
        except ValueError as error:
            name = ".".join(part.key for part in path)
            sizes = " x ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
            raise SycojaxError(
                f"the mesh {sizes} does not divide {name} of shape {leaf.shape}; choose other sizes with "
                "--config.mesh.fsdp=N and --config.mesh.tensor=N"
            ) from error
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    places = shardings(mesh, logical_axes(config, lora, compute).base)
    shapes = abstract(config, lora, compute).base
    params = jax.tree_util.tree_map_with_path(placed, shapes, places)
    return FrozenBase(config, lora, compute, params)


@functools.partial(jax.jit, static_argnums=(0, 1))
def initial_lora(config: LlamaConfig, lora: LoRAConfig, key: jax.Array) -> Tree:
    """A fresh adapter: A uniform, B zero. The same key gives the same adapter."""
    # Under jit the unused base weights are dead code and never allocated.
    return split(Llama(config, lora, rngs=nnx.Rngs(params=key))).lora


def zero_lora(config: LlamaConfig, lora: LoRAConfig) -> Tree:
    """An adapter that changes nothing; float32 NumPy arrays."""
    shapes = abstract(config, lora).lora
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)


def fit_adapter(tree: Tree, own: LoRAConfig, base: FrozenBase) -> Tree:
    """An adapter of shape ``own`` (float32 NumPy leaves) as one of ``base.lora``, which must cover it.

    What it lacks in rank and projections is zero; another ``scaling`` goes into B.
    """
    if dataclasses.replace(own, dropout=base.lora.dropout) == base.lora:
        return tree
    wide = zero_lora(base.config, base.lora)
    for group, projections in tree["layers"].items():
        for name, matrices in projections.items():
            target = wide["layers"][group][name]
            target["lora_a"][..., : own.rank] = matrices["lora_a"]
            ratio = own.scaling / base.lora.scaling
            target["lora_b"][:, : own.rank] = matrices["lora_b"] * np.float32(ratio)
    return wide


def unstack(layers: Tree, count: int, axis: int = 0) -> list[Tree]:
    """A tree of stacked layers as ``count`` trees without the layer axis, which is ``axis``."""

    def layer(n: int) -> Tree:
        take = functools.partial(jax.lax.index_in_dim, index=n, axis=axis, keepdims=False)
        return jax.tree.map(take, layers)

    return [layer(n) for n in range(count)]


def device_bytes(tree: Tree) -> int:
    """Bytes that a tree of arrays, or of placed shapes, takes on one device."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def parameter_count(tree: Tree) -> int:
    """Number of scalars in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _plain(state: nnx.State) -> Tree:
    return unflatten_dict(dict(nnx.to_flat_state(nnx.as_pure(state))))
