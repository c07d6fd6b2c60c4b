"""The KV cache of one layer, and the attention of one new token per row over it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class KVCache(NamedTuple):
    """Keys and values of one layer, each [B, K, S, H]; slot s of row b holds its s-th token.

    Heads come before slots: what one head reads lies together, and no product has to transpose it first.
    """

    keys: jax.Array
    values: jax.Array

    def append(self, k: jax.Array, v: jax.Array, slots: jax.Array) -> KVCache:
        """Write k and v [B, K, H] of one token per row at ``slots`` int32 [B]."""

        def row(held: jax.Array, new: jax.Array, slot: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice(held, new[:, None], (0, slot, 0))

        return KVCache(*(jax.vmap(row)(*x, slots) for x in zip(self, (k, v), strict=True)))

    def replace(self, k: jax.Array, v: jax.Array, rows: jax.Array) -> KVCache:
        """Write k and v [I, K, T, H] at slots [0, T) of ``rows`` int32 [I]; a row that is not there is dropped."""
        length = k.shape[2]
        return KVCache(
            self.keys.at[rows, :, :length].set(k, mode="drop"),
            self.values.at[rows, :, :length].set(v, mode="drop"),
        )

    def attend(self, q: jax.Array, slots: jax.Array) -> jax.Array:
        """Grouped-query attention of one token per row, q [B, N, H], over slots [0, ``slots``] -> [B, N, H].

        Scores and softmax are float32 whatever the inputs' dtype.
        """
        batch, heads, size = q.shape
        q = q.reshape(batch, self.keys.shape[1], -1, size)
        scores = jnp.einsum("bkgh,bksh->bkgs", q, self.keys, preferred_element_type=jnp.float32)
        seen = jnp.arange(self.keys.shape[2]) <= slots[:, None]
        scores = jnp.where(seen[:, None, None], scores * size**-0.5, -jnp.inf)
        weights = jax.nn.softmax(scores, axis=-1).astype(q.dtype)
        return jnp.einsum("bkgs,bksh->bkgh", weights, self.values).reshape(batch, heads, size)
