"""A known-answer test of what JAX compiles.

On CPUs jaxlib 0.10.2 compiles some reductions to wrong numbers and says nothing: from 32,769 rows of float32 a sum of
squares takes another row's value. ``sycojax`` sets the flag that cures it, which is too late where JAX was used before.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sycojax import CURE, WRONG_JAXLIB
from sycojax.errors import SycojaxError

ROWS = 32_769
TOLERANCE = 1e-5  # relative; float32 rounds to 6e-8


@dataclasses.dataclass(frozen=True)
class Answer:
    """The sum of squares of one row: the one that is farthest off, the last where none is off."""

    found: float  # float32
    right: float  # float64

    @property
    def agrees(self) -> bool:
        return abs(self.found - self.right) <= TOLERANCE * max(self.right, 1.0)

    @property
    def said(self) -> str:
        verdict = "as in float64" if self.agrees else f"in place of {self.right:.7g}"
        return f"jaxlib {_version()} sums squares to {self.found:.7g}, {verdict}"


@functools.cache
def answer() -> Answer:
    """Ask a CPU of this process, once; a tenth of a second. A matrix times 32,769 vectors, squared and summed."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        vectors = np.zeros((ROWS, 3), np.float32)
        vectors[:, 0] = np.arange(ROWS)
        found = np.asarray(_squares(jnp.asarray(vectors)), np.float64)
    right = np.square(vectors.astype(np.float64)).sum(axis=1)
    off = np.abs(found - right) / np.maximum(right, 1.0)
    row = ROWS - 1 if off.max() <= TOLERANCE else int(np.argmax(off))
    return Answer(float(found[row]), float(right[row]))


def check(devices: Sequence[Any]) -> None:
    """Raise ``SycojaxError`` where these are CPUs and the answer is wrong, so that nothing is measured with it."""
    if devices[0].platform == "cpu" and not answer().agrees:
        raise SycojaxError(f"JAX computes wrong numbers here: {answer().said}. {advice()}")


def advice() -> str:
    """What helps."""
    cure = ""
    if _version() == WRONG_JAXLIB:
        cure = f", or import sycojax before JAX computes anything (it adds {CURE} to XLA_FLAGS for this version)"
    return f"Install another version: pip install 'jax!={_version()}'{cure}"


def _version() -> str:
    return importlib.metadata.version("jaxlib")


@jax.jit
def _squares(vectors: jax.Array) -> jax.Array:
    """float32 [rows, 3] to [rows]."""
    return jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(vectors)
