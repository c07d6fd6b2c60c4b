"""Llama 2/3 as Flax NNX modules: RMSNorm, rotary grouped-query attention, SwiGLU, layers under one scan.

The modules describe parameters and the forward pass. Everything else works on the pure trees that
``split`` returns: ``graph`` (static), ``lora`` (one adapter) and ``base`` (frozen weights).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sycojax.models.attention import rotary_table, rotate
from sycojax.models.backends import Backend, packed_attention
from sycojax.models.cache import KVCache
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import SAVED_PROJECTION, BaseParam, LoRAConfig, LoRAParam, Projection
from sycojax.models.quantize import Quantization, Storage
from sycojax.models.row_attention import SAVED_ATTENTION, attend_rows
from sycojax.parallel.mesh import batch_axes, batch_sharding, gathered

Remat = Literal["none", "dots", "full"]
Tree = Any  # a nested dict of arrays
HEAD_AXES = ("embed", "vocab")


class RMSNorm(nnx.Module):
    """x / rms(x) * scale, in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, shape: tuple[int, ...], axes: tuple[str, ...], eps: float, dtype: jnp.dtype):
        self.scale = BaseParam(jnp.ones(shape, dtype), axes=axes)
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        h = x.astype(jnp.float32)
        h = h * jax.lax.rsqrt(jnp.mean(h * h, axis=-1, keepdims=True) + self.eps)
        return self.scale[...] * h.astype(x.dtype)


class SelfAttention(nnx.Module):
    """The four attention projections of every layer."""

    def __init__(self, c: LlamaConfig, lora: LoRAConfig, kept: Storage, rngs: nnx.Rngs):
        layers, d = c.num_hidden_layers, c.hidden_size
        q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
        self.q_proj = Projection("q_proj", layers, d, q, ("embed", "q_heads"), lora, kept, rngs)
        self.k_proj = Projection("k_proj", layers, d, kv, ("embed", "kv_heads"), lora, kept, rngs)
        self.v_proj = Projection("v_proj", layers, d, kv, ("embed", "kv_heads"), lora, kept, rngs)
        self.o_proj = Projection("o_proj", layers, q, d, ("q_heads", "embed"), lora, kept, rngs)


class MLP(nnx.Module):
    """The three SwiGLU projections of every layer (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, c: LlamaConfig, lora: LoRAConfig, kept: Storage, rngs: nnx.Rngs):
        layers, d, f = c.num_hidden_layers, c.hidden_size, c.intermediate_size
        self.gate_proj = Projection("gate_proj", layers, d, f, ("embed", "mlp"), lora, kept, rngs)
        self.up_proj = Projection("up_proj", layers, d, f, ("embed", "mlp"), lora, kept, rngs)
        self.down_proj = Projection("down_proj", layers, f, d, ("mlp", "embed"), lora, kept, rngs)

    def __call__(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.down_proj(jax.nn.silu(self.gate_proj(x, key)) * self.up_proj(x, key), key)


class DecoderLayers(nnx.Module):
    """All decoder layers as one module whose leaves carry a leading layer axis."""

    def __init__(self, c: LlamaConfig, lora: LoRAConfig, kept: Storage, rngs: nnx.Rngs):
        shape, axes = (c.num_hidden_layers, c.hidden_size), ("layers", "norm")
        norm = (shape, axes, c.rms_norm_eps, kept.dtype)
        self.input_layernorm = RMSNorm(*norm)
        self.self_attn = SelfAttention(c, lora, kept, rngs)
        self.post_attention_layernorm = RMSNorm(*norm)
        self.mlp = MLP(c, lora, kept, rngs)
        self.head_dim = c.head_dim

    def queries_keys_values(
        self, h: jax.Array, table: tuple[jax.Array, jax.Array], key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Rotated q [B, T, N, H] and k [B, T, K, H], and v [B, T, K, H], of hidden [B, T, D]."""
        x = self.input_layernorm(h)
        heads = (*h.shape[:2], -1, self.head_dim)
        q = self.self_attn.q_proj(x, key).reshape(heads)
        k = self.self_attn.k_proj(x, key).reshape(heads)
        v = self.self_attn.v_proj(x, key).reshape(heads)
        return rotate(q, table), rotate(k, table), v

    def finish(self, h: jax.Array, attended: jax.Array, key: jax.Array | None) -> jax.Array:
        """Add the attention output [B, T, N, H] and the MLP to the residual stream [B, T, D]."""
        h = h + self.self_attn.o_proj(attended.reshape(*h.shape[:2], -1), key)
        return h + self.mlp(self.post_attention_layernorm(h), key)


class Embedding(nnx.Module):
    def __init__(self, c: LlamaConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        table = jax.random.normal(rngs.params(), (c.vocab_size, c.hidden_size), jnp.float32) * 0.02
        self.embedding = BaseParam(table.astype(dtype), axes=("vocab", "embed"))


class Head(nnx.Module):
    def __init__(self, c: LlamaConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        kernel = jax.random.normal(rngs.params(), (c.hidden_size, c.vocab_size), jnp.float32) * 0.02
        self.kernel = BaseParam(kernel.astype(dtype), axes=HEAD_AXES)


class Llama(nnx.Module):
    """A causal language model; hidden states and logits are separate so that only scored rows pay the head."""

    def __init__(
        self,
        config: LlamaConfig,
        lora: LoRAConfig,
        *,
        dtype: jnp.dtype = jnp.float32,  # pyright: ignore[reportArgumentType]
        quantization: Quantization = "none",
        remat: Remat = "none",
        attention: Backend = "xla",
        mesh: Mesh | None = None,
        rngs: nnx.Rngs,
    ):
        self.config = config
        self.remat: Remat = remat
        self.attention: Backend = attention
        self.mesh = mesh
        # Where this is one adapter of a bank (under vmap): the mesh axis that the bank is laid over.
        self.bank_axis: str | None = None
        self.embed_tokens = Embedding(config, dtype, rngs)
        self.layers = DecoderLayers(config, lora, Storage(dtype, quantization, mesh), rngs)
        self.norm = RMSNorm((config.hidden_size,), ("norm",), config.rms_norm_eps, dtype)
        self.lm_head = None if config.tie_word_embeddings else Head(config, dtype, rngs)

    def hidden(
        self,
        token_ids: jax.Array,
        positions: jax.Array,
        segment_ids: jax.Array,
        ends: jax.Array | None = None,
        dropout_key: jax.Array | None = None,
    ) -> jax.Array:
        """Final hidden states [B, T, D] of packed rows; all inputs int32 [B, T] (see ``packed_mask``).

        ``dropout_key`` turns LoRA dropout on; without it the pass is deterministic.
        """
        attention = packed_attention(self.attention, segment_ids, ends, self.mesh, self.bank_axis)
        table = rotary_table(self.config, positions)
        graph, state = nnx.split(self.layers)
        count = self.config.num_hidden_layers
        keys = None if dropout_key is None else jax.random.split(dropout_key, count)

        def body(h: jax.Array, xs: tuple[Tree, jax.Array | None]) -> tuple[jax.Array, None]:
            layer, key = nnx.merge(graph, xs[0]), xs[1]
            q, k, v = layer.queries_keys_values(h, table, key)
            return self._by_rows(layer.finish(h, attention(q, k, v), key)), None

        h = self._by_rows(self._embed(token_ids))
        h, _ = jax.lax.scan(_rematerialised(body, self.remat), h, (state, keys))
        return self.norm(h)

    def prefill(self, token_ids: jax.Array) -> tuple[jax.Array, KVCache]:
        """Final hidden states [B, T, D] of rows that begin at place 0, and their keys and values [L, B, K, T, H].

        ``token_ids`` int32 [B, T]; what stands behind a row's end is seen by nothing before it.
        """
        length = token_ids.shape[1]
        mask = jnp.tril(jnp.ones((length, length), bool))[None, None]
        table = rotary_table(self.config, jnp.arange(length)[None])
        graph, state = nnx.split(self.layers)

        def body(h: jax.Array, layer: Tree) -> tuple[jax.Array, KVCache]:
            layer = nnx.merge(graph, layer)
            q, k, v = layer.queries_keys_values(h, table, None)
            h = self._by_rows(layer.finish(h, attend_rows(q, k, v, mask), None))
            return h, KVCache(k.swapaxes(1, 2), v.swapaxes(1, 2))

        h, cache = jax.lax.scan(body, self._by_rows(self._embed(token_ids)), state)
        return self.norm(h), cache

    def step(
        self,
        token_ids: jax.Array,
        slots: jax.Array,
        caches: Sequence[KVCache],
        layers: Sequence[tuple[Tree, Tree]],
    ) -> tuple[jax.Array, tuple[KVCache, ...]]:
        """Feed one token per row and store its keys and values; final hidden states [B, D] and the caches.

        ``token_ids`` and ``slots`` int32 [B]: each row's token is the one at ``slots`` of that row. ``caches``
        and ``layers`` (lora and base trees without the layer axis, ``unstack``) are one per layer. The layers
        are no scan: it would copy the weights and the cache of each layer out of their stacks at every step.
        """
        table = rotary_table(self.config, slots[:, None])
        graph, _ = nnx.split(self.layers)
        h = self._embed(token_ids[:, None])
        out = []
        for cache, (lora, base) in zip(caches, layers, strict=True):
            layer = nnx.merge(graph, nnx.State(lora), nnx.State(base))
            q, k, v = layer.queries_keys_values(h, table, None)
            cache = cache.append(k[:, 0], v[:, 0], slots)
            attended = self._together(cache.attend(q[:, 0], slots)[:, None])
            h = self._together(layer.finish(h, attended, None), "fsdp")
            out.append(cache)
        return self._by_rows(self.norm(h))[:, 0], tuple(out)

    def logits(self, hidden: jax.Array, head: jax.Array | None = None) -> jax.Array:
        """Vocabulary logits float32 [..., V] of hidden states [..., D]; ``head`` is ``whole_head``, once for many."""
        head = self.head() if head is None else head
        return jnp.matmul(hidden, head, preferred_element_type=jnp.float32)

    def whole_head(self) -> jax.Array:
        """``head`` put together from its parts on ``fsdp``: in a loop, that would be done at every turn."""
        return self.head() if self.mesh is None else gathered(self.head(), self.mesh, HEAD_AXES)

    def head(self) -> jax.Array:
        """The kernel [D, V] that turns hidden states into logits."""
        if self.lm_head is None:
            return self.embed_tokens.embedding[...].T
        return self.lm_head.kernel[...]

    def _embed(self, token_ids: jax.Array) -> jax.Array:
        """Rows of the embedding table [B, T, D], split over ``data``, and along D over ``fsdp`` as the table is."""
        table, mesh = self.embed_tokens.embedding[...], self.mesh
        if mesh is None or not self._divides(token_ids):
            return table[token_ids]
        # Asked for rows over all batch axes at once, the partitioner would look up the whole batch on every device;
        # so it looks up the part on `data`, and what is left to exchange are activations. It must see the ids of that
        # part first, or it gathers the table instead where a bank is laid over `data`.
        data = None if self.bank_axis == "data" else "data"
        ids = jax.lax.with_sharding_constraint(token_ids, NamedSharding(mesh, PartitionSpec(data)))
        return self._together(table[ids], "fsdp")

    def _together(self, x: jax.Array, last: Any = PartitionSpec.UNCONSTRAINED) -> jax.Array:
        """Keep activations [B, T, ...] split by rows over ``data`` alone, and along their last axis over ``last``.

        So a step of decoding multiplies every weight where it lies: what lies along D over ``fsdp`` is summed over
        it, a few activations. With rows over ``fsdp`` every weight would be gathered for every token (Pope et al.
        2022, arXiv:2211.05102, section 3.2).
        """
        if self.mesh is None or not self._divides(x):
            return x
        data = None if self.bank_axis == "data" else "data"
        middle = [PartitionSpec.UNCONSTRAINED] * (x.ndim - 2)
        spec = PartitionSpec(data, *middle, last)
        return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, spec))

    def _by_rows(self, h: jax.Array) -> jax.Array:
        """Keep activations [B, T, D] split by rows over the mesh's batch axes.

        Left to itself the partitioner follows the weights: it splits D over ``fsdp`` and gives every device
        the whole batch. Rows that do not divide evenly (a small decoding batch) are left to it.
        """
        if self.mesh is None or not self._divides(h):
            return h
        return jax.lax.with_sharding_constraint(
            h, batch_sharding(self.mesh, bank_axis=self.bank_axis)
        )

    def _divides(self, h: jax.Array) -> bool:
        assert self.mesh is not None
        return h.shape[0] % math.prod(self.mesh.shape[a] for a in batch_axes(self.bank_axis)) == 0


def _rematerialised(body: Any, remat: Remat) -> Any:
    if remat == "none":
        return body
    # Results of projections and of attention, once each: base and adapter as their sum, not apart.
    saved = jax.checkpoint_policies.save_only_these_names(SAVED_PROJECTION, SAVED_ATTENTION)
    policy = {"full": None, "dots": saved}[remat]
    return jax.checkpoint(body, prevent_cse=False, policy=policy)


class Split(NamedTuple):
    """A model taken apart: static graph, adapter tree and base tree (nested dicts of arrays)."""

    graph: Any
    lora: Tree
    base: Tree


@dataclasses.dataclass(frozen=True)
class FrozenBase:
    """The base every configuration of a study shares: static graph, weights, and where they live."""

    config: LlamaConfig
    lora: LoRAConfig
    graph: Any
    params: Tree
    mesh: Mesh
    attention: Backend = "xla"
    # The mesh axis that adapters of a bank are laid over where they fill it; None: each device has them all.
    bank_axis: str | None = None

    def axis_of(self, width: int) -> str | None:
        """The mesh axis that a bank of ``width`` adapters is laid over, if any."""
        if self.bank_axis is None or width % self.mesh.shape[self.bank_axis]:
            return None
        return self.bank_axis if self.mesh.shape[self.bank_axis] > 1 else None

    def graph_of(self, bank_axis: str | None) -> Any:
        """``graph``, or that of one adapter of a bank that is laid over ``bank_axis``."""
        return self.graph if bank_axis is None else _banked(self, bank_axis)


def split(model: Llama) -> Split:
    """Take a model apart into pure trees; ``nnx.merge(graph, lora, base)`` puts it together."""
    graph, lora, base = nnx.split(model, LoRAParam, BaseParam)
    return Split(graph, _plain(lora), _plain(base))


def merge(graph: Any, lora: Tree, base: Tree) -> Llama:
    """The model that ``split`` took apart, with these arrays."""
    return nnx.merge(graph, nnx.State(lora), nnx.State(base))


def _banked(base: FrozenBase, bank_axis: str) -> Any:
    model = merge(base.graph, abstract(base.config, base.lora).lora, base.params)
    model.bank_axis = bank_axis
    return split(model).graph


def abstract(
    config: LlamaConfig,
    lora: LoRAConfig,
    *,
    dtype: jnp.dtype = jnp.float32,  # pyright: ignore[reportArgumentType]
    quantization: Quantization = "none",
    remat: Remat = "none",
    attention: Backend = "xla",
    mesh: Mesh | None = None,
) -> Split:
    """The split model with ``jax.ShapeDtypeStruct`` leaves: nothing is allocated.

    With ``mesh`` the model of this graph keeps its activations split by rows over it.
    """

    def build() -> Llama:
        return Llama(
            config,
            lora,
            dtype=dtype,
            quantization=quantization,
            remat=remat,
            attention=attention,
            mesh=mesh,
            rngs=nnx.Rngs(0),
        )

    return split(nnx.eval_shape(build))


@functools.cache
def logical_axes(
    config: LlamaConfig, lora: LoRAConfig, quantization: Quantization = "none"
) -> Split:
    """Like ``abstract``, each leaf being its tuple of logical axis names. Every caller gets the same trees.

    Kept, because tracing the model for them takes 50 ms, which every call of a scorer would pay twice.
    """
    model = nnx.eval_shape(lambda: Llama(config, lora, quantization=quantization, rngs=nnx.Rngs(0)))
    graph, adapters, base = nnx.split(model, LoRAParam, BaseParam)

    def names(state: nnx.State) -> Tree:
        return _nested({path: v.get_metadata("axes") for path, v in nnx.to_flat_state(state)})

    return Split(graph, names(adapters), names(base))


def with_lora(
    base: FrozenBase, lora: LoRAConfig, quantization: Quantization, remat: Remat = "none"
) -> FrozenBase:
    """The same base for adapters of another shape. ``quantization`` is what its projections are kept in."""
    if lora == base.lora:
        return base
    dtype = base.params["embed_tokens"]["embedding"].dtype
    shapes = abstract(
        base.config,
        lora,
        dtype=dtype,
        quantization=quantization,
        remat=remat,
        attention=base.attention,
        mesh=base.mesh,
    )
    return dataclasses.replace(base, lora=lora, graph=shapes.graph)


def fit_adapter(tree: Tree, own: LoRAConfig, base: FrozenBase) -> Tree:
    """An adapter of shape ``own`` (float32 NumPy leaves) as one of ``base.lora``, which must cover it.

    What it lacks in rank and projections is zero; another ``scaling`` goes into B.
    """
    if dataclasses.replace(own, dropout=base.lora.dropout) == base.lora:
        return tree
    wide = jax.tree.map(
        lambda shape: np.zeros(shape.shape, np.float32), abstract(base.config, base.lora).lora
    )
    for group, projections in tree["layers"].items():
        for name, matrices in projections.items():
            target = wide["layers"][group][name]
            target["lora_a"][..., : own.rank] = matrices["lora_a"]
            ratio = own.scaling / base.lora.scaling
            target["lora_b"][:, : own.rank] = matrices["lora_b"] * np.float32(ratio)
    return wide


@functools.partial(jax.jit, static_argnums=(0, 1))
def initial_lora(config: LlamaConfig, lora: LoRAConfig, key: jax.Array) -> Tree:
    """A fresh adapter: A uniform, B zero. The same key gives the same adapter."""
    # Under jit the unused base weights are dead code and never allocated.
    return split(Llama(config, lora, rngs=nnx.Rngs(params=key))).lora


def unstack(layers: Tree, count: int, axis: int = 0) -> list[Tree]:
    """A tree of stacked layers as ``count`` trees without the layer axis, which is ``axis``."""

    def layer(n: int) -> Tree:
        take = functools.partial(jax.lax.index_in_dim, index=n, axis=axis, keepdims=False)
        return jax.tree.map(take, layers)

    return [layer(n) for n in range(count)]


def parameter_count(tree: Tree) -> int:
    """Number of scalars in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _plain(state: nnx.State) -> Tree:
    return _nested(dict(nnx.to_flat_state(nnx.as_pure(state))))


def _nested(flat: dict[tuple[Any, ...], Any]) -> Tree:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value
    return tree
