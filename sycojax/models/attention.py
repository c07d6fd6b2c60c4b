"""Rotary positions, and the mask of attention over packed rows."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from sycojax.models.config import LlamaConfig


def inverse_frequencies(config: LlamaConfig) -> np.ndarray:
    """Rotary frequencies [H/2], float32, with the config's scaling applied.

    Plain: theta^(-2i/H) (Su et al. 2021, arXiv:2104.09864). ``linear`` divides all by the factor;
    ``llama3`` divides the long wavelengths, leaves the short ones and blends between (Llama 3.1).
    """
    half = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = (1.0 / np.power(np.float32(config.rope_theta), half)).astype(np.float32)
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return (frequencies / np.float32(scaling.factor)).astype(np.float32)
    context = scaling.original_max_position_embeddings
    wavelength = 2 * math.pi / frequencies
    blend = (context / wavelength - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    blended = (1 - blend) * frequencies / scaling.factor + blend * frequencies
    scaled = np.where(
        wavelength > context / scaling.low_freq_factor, frequencies / scaling.factor, blended
    )
    scaled = np.where(wavelength < context / scaling.high_freq_factor, frequencies, scaled)
    return scaled.astype(np.float32)


def rotary_table(config: LlamaConfig, positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine [B, T, 1, H/2] in float32 for ``positions`` int32 [B, T]."""
    angles = positions[..., None].astype(jnp.float32) * inverse_frequencies(config)
    return jnp.cos(angles)[:, :, None, :], jnp.sin(angles)[:, :, None, :]


def rotate(x: jax.Array, table: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Rotate [B, T, heads, H] in the half-split layout; computed in float32, returned in x's dtype."""
    cos, sin = table
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x.dtype)


def packed_mask(segment_ids: jax.Array, ends: jax.Array | None = None) -> jax.Array:
    """Who may look at whom in packed rows: bool [B, 1, T, S].

    A token sees itself and earlier tokens of its own segment (``segment_ids`` int32 [B, T], 0 = padding).
    ``ends`` int32 [B, T] turns a segment into a tree in preorder: the token at index s is seen by those at
    s, ..., ``ends[s]`` - 1, its subtree, so continuations share what they begin with, at any depth.
    """
    length = segment_ids.shape[1]
    mask = jnp.tril(jnp.ones((length, length), bool))
    mask = mask & (segment_ids[:, :, None] == segment_ids[:, None, :])
    if ends is not None:
        mask = mask & (jnp.arange(length)[:, None] < ends[:, None, :])
    return mask[:, None]
