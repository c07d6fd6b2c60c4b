"""Llama 2/3 as Flax NNX modules: RMSNorm, rotary grouped-query attention, SwiGLU, layers under one scan.

Mistral, Qwen2 and Qwen3 are the same with biases on some projections or norms on queries and keys, as ``LlamaConfig``
says. The modules describe parameters and the forward pass. Everything else works on the pure trees of ``models.base``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from sycojax.models import head
from sycojax.models.attention import rotary_table, rotate
from sycojax.models.backends import by_xla, packed_attention
from sycojax.models.cache import KVCache
from sycojax.models.compute import DEFAULT, Compute, Dtype, Remat
from sycojax.models.config import LlamaConfig
from sycojax.models.dropout import SAVED_MASK
from sycojax.models.lora import SAVED_PROJECTION, BaseParam, LoRAConfig, Projection
from sycojax.models.row_attention import SAVED_ATTENTION
from sycojax.parallel.mesh import batch_axes


class RMSNorm(nnx.Module):
    """x / rms(x) * scale, in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, shape: tuple[int, ...], axes: tuple[str, ...], eps: float, dtype: Dtype):
        self.scale = BaseParam(jnp.ones(shape, dtype), axes=axes)
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        h = x.astype(jnp.float32)
        h = h * jax.lax.rsqrt(jnp.mean(h * h, axis=-1, keepdims=True) + self.eps)
        return self.scale[...] * h.astype(x.dtype)


def _projections(c: LlamaConfig, lora: LoRAConfig, compute: Compute, rngs: nnx.Rngs) -> Any:
    """What makes the projections of one model: of a name, fan_in and fan_out."""
    return functools.partial(
        Projection, layers=c.num_hidden_layers, lora=lora, compute=compute, rngs=rngs
    )


class SelfAttention(nnx.Module):
    """The four attention projections of every layer, and the norms of Qwen3 over each head of queries and keys."""

    def __init__(self, c: LlamaConfig, lora: LoRAConfig, compute: Compute, rngs: nnx.Rngs):
        d = c.hidden_size
        q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
        made = _projections(c, lora, compute, rngs)
        self.q_proj = made("q_proj", d, q, axes=("embed", "q_heads"), bias=c.qkv_bias)
        self.k_proj = made("k_proj", d, kv, axes=("embed", "kv_heads"), bias=c.qkv_bias)
        self.v_proj = made("v_proj", d, kv, axes=("embed", "kv_heads"), bias=c.qkv_bias)
        self.o_proj = made("o_proj", q, d, axes=("q_heads", "embed"), bias=c.o_bias)
        norm = (
            (c.num_hidden_layers, c.head_dim),
            ("layers", "norm"),
            c.rms_norm_eps,
            compute.dtype,
        )
        self.q_norm = RMSNorm(*norm) if c.qk_norm else None
        self.k_norm = RMSNorm(*norm) if c.qk_norm else None
        self.head_dim = c.head_dim

    def heads(self, x: jax.Array, keys: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries [B, T, N, H], keys and values [B, T, K, H] of x [B, T, D], before the rotation."""
        shape = (*x.shape[:2], -1, self.head_dim)
        q, k, v = (p(x, keys).reshape(shape) for p in (self.q_proj, self.k_proj, self.v_proj))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v


class MLP(nnx.Module):
    """The three SwiGLU projections of every layer (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, c: LlamaConfig, lora: LoRAConfig, compute: Compute, rngs: nnx.Rngs):
        d, f = c.hidden_size, c.intermediate_size
        made = _projections(c, lora, compute, rngs)
        self.gate_proj = made("gate_proj", d, f, axes=("embed", "mlp"), bias=c.mlp_bias)
        self.up_proj = made("up_proj", d, f, axes=("embed", "mlp"), bias=c.mlp_bias)
        self.down_proj = made("down_proj", f, d, axes=("mlp", "embed"), bias=c.mlp_bias)

    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        return self.down_proj(jax.nn.silu(self.gate_proj(x, keys)) * self.up_proj(x, keys), keys)


class DecoderLayers(nnx.Module):
    """All decoder layers as one module whose leaves carry a leading layer axis."""

    def __init__(self, c: LlamaConfig, lora: LoRAConfig, compute: Compute, rngs: nnx.Rngs):
        shape, axes = (c.num_hidden_layers, c.hidden_size), ("layers", "norm")
        norm = (shape, axes, c.rms_norm_eps, compute.dtype)
        self.input_layernorm = RMSNorm(*norm)
        self.self_attn = SelfAttention(c, lora, compute, rngs)
        self.post_attention_layernorm = RMSNorm(*norm)
        self.mlp = MLP(c, lora, compute, rngs)

    def queries_keys_values(
        self, h: jax.Array, table: tuple[jax.Array, jax.Array], keys: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Rotated q [B, T, N, H] and k [B, T, K, H], and v [B, T, K, H], of hidden [B, T, D]."""
        q, k, v = self.self_attn.heads(self.input_layernorm(h), keys)
        return rotate(q, table), rotate(k, table), v

    def finish(self, h: jax.Array, attended: jax.Array, keys: jax.Array | None) -> jax.Array:
        """Add the attention output [B, T, N, H] and the MLP to the residual stream [B, T, D]."""
        h = h + self.self_attn.o_proj(attended.reshape(*h.shape[:2], -1), keys)
        return h + self.mlp(self.post_attention_layernorm(h), keys)


class Embedding(nnx.Module):
    def __init__(self, c: LlamaConfig, dtype: Dtype, rngs: nnx.Rngs):
        table = jax.random.normal(rngs.params(), (c.vocab_size, c.hidden_size), jnp.float32) * 0.02
        self.embedding = BaseParam(table.astype(dtype), axes=("vocab", "embed"))


class Head(nnx.Module):
    def __init__(self, c: LlamaConfig, dtype: Dtype, rngs: nnx.Rngs):
        kernel = jax.random.normal(rngs.params(), (c.hidden_size, c.vocab_size), jnp.float32) * 0.02
        self.kernel = BaseParam(kernel.astype(dtype), axes=("embed", "vocab"))


class Llama(nnx.Module):
    """A causal language model. Hidden states and logits are two calls, so that the head is computed where it is needed."""

    def __init__(
        self,
        config: LlamaConfig,
        lora: LoRAConfig,
        compute: Compute = DEFAULT,
        *,
        rngs: nnx.Rngs,
    ):
        """``compute.bank_axis`` is set where this is one adapter of a bank (under vmap) that lies over that axis."""
        self.config, self.compute = config, compute
        self.embed_tokens = Embedding(config, compute.dtype, rngs)
        self.layers = DecoderLayers(config, lora, compute, rngs)
        self.norm = RMSNorm((config.hidden_size,), ("norm",), config.rms_norm_eps, compute.dtype)
        self.lm_head = None if config.tie_word_embeddings else Head(config, compute.dtype, rngs)

    def hidden(
        self,
        token_ids: jax.Array,
        positions: jax.Array,
        segment_ids: jax.Array,
        ends: jax.Array | None = None,
        dropout_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Final hidden states [B, T, D] of packed rows; all inputs int32 [B, T] (see ``packed_mask``).

        ``dropout_keys`` [B], one per row, turn LoRA dropout on; without them the pass is deterministic.
        """
        c = self.compute
        attention = packed_attention(c.attention, segment_ids, ends, c.mesh, c.bank_axis)
        table = rotary_table(self.config, positions)
        graph, state = nnx.split(self.layers)
        count = self.config.num_hidden_layers
        keys = None
        if dropout_keys is not None:  # [layers, B]
            keys = jax.vmap(lambda key: jax.random.split(key, count), out_axes=1)(dropout_keys)

        def body(h: jax.Array, xs: tuple[Any, jax.Array | None]) -> tuple[jax.Array, None]:
            layer, own = nnx.merge(graph, xs[0]), xs[1]
            q, k, v = layer.queries_keys_values(h, table, own)
            return self._by_rows(layer.finish(h, attention(q, k, v), own)), None

        h = self._by_rows(self._embed(token_ids))
        h, _ = jax.lax.scan(_rematerialised(body, c.remat), h, (state, keys))
        return self.norm(h)

    def prefill(self, token_ids: jax.Array) -> tuple[jax.Array, KVCache]:
        """Final hidden states [B, T, D] of rows that begin at position 0, and their keys and values [L, B, K, T, H].

        ``token_ids`` int32 [B, T]; padding behind a row's end changes nothing before it.
        """
        length = token_ids.shape[1]
        mask = jnp.tril(jnp.ones((length, length), bool))[None, None]
        table = rotary_table(self.config, jnp.arange(length)[None])
        attend = by_xla(self.compute.mesh)
        graph, state = nnx.split(self.layers)

        def body(h: jax.Array, layer: Any) -> tuple[jax.Array, KVCache]:
            layer = nnx.merge(graph, layer)
            q, k, v = layer.queries_keys_values(h, table, None)
            h = self._by_rows(layer.finish(h, attend(q, k, v, mask), None))
            return h, KVCache(k.swapaxes(1, 2), v.swapaxes(1, 2))

        h, cache = jax.lax.scan(body, self._by_rows(self._embed(token_ids)), state)
        return self.norm(h), cache

    def step(
        self,
        token_ids: jax.Array,
        slots: jax.Array,
        caches: Sequence[KVCache],
        layers: Sequence[tuple[Any, Any]],
    ) -> tuple[jax.Array, tuple[KVCache, ...]]:
        """Feed one token per row and store its keys and values; final hidden states [B, D] and the caches.

        ``token_ids`` and ``slots`` int32 [B]: each row's token is the one at ``slots`` of that row. ``caches``
        and ``layers`` (lora and base trees without the layer axis, ``base.unstack``) are one per layer. The layers
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

    def logits(self, hidden: jax.Array, kernel: jax.Array | None = None) -> jax.Array:
        """Vocabulary logits float32 [..., V] of hidden states [..., D]; ``kernel`` is ``whole_kernel``, once for many."""
        return head.logits(hidden, self.kernel() if kernel is None else kernel, self.tied)

    def whole_kernel(self) -> jax.Array:
        """``kernel`` gathered from its parts on ``fsdp``, to be done once before a loop and not in every turn of it."""
        return head.whole(self.kernel(), self.tied, self.compute.mesh)

    def kernel(self) -> jax.Array:
        """What turns hidden states into logits: the head's kernel [D, V], or, ``tied``, the embedding table [V, D]."""
        return (
            self.embed_tokens.embedding[...] if self.lm_head is None else self.lm_head.kernel[...]
        )

    @property
    def tied(self) -> bool:
        """Whether the embedding table is the head, too."""
        return self.lm_head is None

    def _embed(self, token_ids: jax.Array) -> jax.Array:
        """Rows of the embedding table [B, T, D], split over ``data``, and along D over ``fsdp`` as the table is."""
        table = self.embed_tokens.embedding[...]
        # Asked for rows over all batch axes at once, the compiler would look up the whole batch on every device. So each
        # looks up its rows of `data`, in its part of D, and activations are exchanged afterwards. The ids must be split
        # like this before the look-up, or the table would be gathered where a bank is laid over `data`.
        return self._together(table[self._split(token_ids, self._data_axis())], "fsdp")

    def _together(self, x: jax.Array, last: Any = PartitionSpec.UNCONSTRAINED) -> jax.Array:
        """Keep activations [B, T, ...] split by rows over ``data`` alone, and along their last axis over ``last``.

        Then a step of decoding multiplies every part of a weight on the device that holds it, and only sums of a few
        activations go over ``fsdp``. With rows over ``fsdp`` too, every weight would be gathered for every token
        (Pope et al. 2022, arXiv:2211.05102, section 3.2).
        """
        return self._split(
            x, self._data_axis(), *[PartitionSpec.UNCONSTRAINED] * (x.ndim - 2), last
        )

    def _by_rows(self, h: jax.Array) -> jax.Array:
        """Keep activations [B, T, D] split by rows over the mesh's batch axes.

        The compiler by itself follows the weights: it splits D over ``fsdp`` and gives every device the whole batch.
        """
        return self._split(h, batch_axes(self.compute.bank_axis))

    def _split(self, x: jax.Array, *axes: Any) -> jax.Array:
        """Keep x [B, ...] split like this; rows that do not divide evenly (a small decoding batch) go anywhere."""
        c = self.compute
        if c.mesh is None or x.shape[0] % c.row_ways:
            return x
        return jax.lax.with_sharding_constraint(x, NamedSharding(c.mesh, PartitionSpec(*axes)))

    def _data_axis(self) -> str | None:
        """``data``, unless the adapters of a bank lie over it: then each has all of its rows."""
        return None if self.compute.bank_axis == "data" else "data"


def _rematerialised(body: Any, remat: Remat) -> Any:
    if remat == "none":
        return body
    # Of a projection the sum of base and adapter is stored, not the two.
    saved = jax.checkpoint_policies.save_only_these_names(
        SAVED_PROJECTION, SAVED_MASK, SAVED_ATTENTION
    )
    policy = {"full": None, "dots": saved}[remat]
    return jax.checkpoint(body, prevent_cse=False, policy=policy)
