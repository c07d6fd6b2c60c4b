"""The head, from hidden states to logits over the vocabulary and back, wherever its kernel lies."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from sycojax.parallel.mesh import gathered


def logits(hidden: jax.Array, kernel: jax.Array, tied: bool) -> jax.Array:
    """float32 [..., V] of hidden states [..., D] by a kernel [D, V], or, ``tied``, by the embedding table [V, D].

    A table is multiplied as it lies: turned round before a loop, it is copied for every pass.
    """
    axes = (((hidden.ndim - 1,), (1 if tied else 0,)), ((), ()))
    return jax.lax.dot_general(hidden, kernel, axes, preferred_element_type=jnp.float32)


def pulled_back(cotangent: jax.Array, kernel: jax.Array, tied: bool) -> jax.Array:
    """The gradient of ``logits`` with respect to the hidden states, float32 [..., D], of that of the logits [..., V]."""
    return logits(cotangent, kernel, not tied)


def whole(kernel: jax.Array, tied: bool, mesh: Mesh | None) -> jax.Array:
    """The kernel gathered from its parts on ``fsdp``."""
    axes = ("vocab", "embed") if tied else ("embed", "vocab")
    return kernel if mesh is None else gathered(kernel, mesh, axes)
