"""Dropout in front of LoRA's first matrix: which entries fall is drawn once and kept as bits for the backward pass."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

SAVED_MASK = "mask"  # the name of what ``base.remat=dots`` stores of dropout
# Threefry-2x32 with 20 rounds (Salmon et al. 2011, doi:10.1145/2063384.2063405).
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)


def dropped_out(x: jax.Array, keys: jax.Array, rate: float) -> jax.Array:
    """Inverted dropout: entries of x [B, ..., D] are zero with probability ``rate``, the rest scaled to keep the mean.

    The rate is rounded to 1/65536, so that one random word serves two entries. A row's mask depends on its key
    (``keys`` [B], of Threefry) and shape alone, whatever stands beside it; that of a shorter row is the beginning of a longer one's.
    The backward pass reads the mask, a bit for an entry, instead of drawing it again.
    """
    width = x.shape[-1]
    shape = (*x.shape[1:-1], -(-width // 2))
    words = jax.vmap(lambda key: random_words(key, shape))(keys)
    halves = jnp.concatenate([words & 0xFFFF, words >> 16], axis=-1)[..., :width]
    below = round(rate * 65536)
    bits = checkpoint_name(_packed(halves >= below), SAVED_MASK)
    return jnp.where(_unpacked(bits, width), x * (65536 / (65536 - below)), 0.0)


def random_words(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """uint32 ``shape``, of fewer than 2**32 entries: bit for bit ``jax.random.bits`` of a Threefry key.

    On a CPU that is a loop over rounds, each of which writes all of its numbers; these rounds are one pass over them.
    """
    first, second = jax.random.key_data(key)
    schedule = (first, second, first ^ second ^ PARITY)
    place = jnp.zeros(shape, jnp.uint32)
    for axis, size in enumerate(shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    left, right = jnp.broadcast_to(first, shape), place + second
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            left = left + right
            right = left ^ (right << rotation | right >> (32 - rotation))
        left = left + schedule[(group + 1) % 3]
        right = right + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return left ^ right


def _packed(kept: jax.Array) -> jax.Array:
    """bool [..., D] -> uint8 [..., D / 8], rounded up: bit i of a byte is from the i-th eighth, so that no array is transposed."""
    short = -kept.shape[-1] % 8
    eighths = jnp.split(jnp.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, short)]), 8, axis=-1)
    return functools.reduce(
        jnp.bitwise_or, (e.astype(jnp.uint8) << i for i, e in enumerate(eighths))
    )


def _unpacked(bits: jax.Array, width: int) -> jax.Array:
    """The reverse of ``_packed``, for D ``width``."""
    return jnp.concatenate([bits >> i & 1 for i in range(8)], axis=-1)[..., :width] == 1
