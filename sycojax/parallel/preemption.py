"""SIGTERM as a question that every process of a run answers alike.

Clusters end a run by SIGTERM, to all of its processes or to those of one machine that is taken away. A step is a
joint computation, so either all of them stop after the same one, or none can save.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sycojax.parallel.mesh import replicated


class Preemption:
    """Whether SIGTERM asked to stop. A context manager around a loop, to be called once in every step.

    One process hears it at once. Several exchange what they heard behind the step the devices are at, and each call
    returns the answer to the one before: no process waits for another, and all get it at the same step.

    Python hands signals to the main thread only: in another, nothing is heard.
    """

    def __init__(self, mesh: Mesh):
        self._heard = threading.Event()
        self._by_device = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        self._any = jax.jit(jnp.any, out_shardings=replicated(mesh))
        self._asked: jax.Array | None = None
        self._before: Any = None

    def __enter__(self) -> Preemption:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, lambda *_: self._heard.set())
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def __call__(self) -> bool:
        if jax.process_count() == 1:
            return self._heard.is_set()
        before, self._asked = self._asked, self._ask()
        return before is not None and bool(before)

    def _ask(self) -> jax.Array:
        mine = np.full(self._by_device.mesh.size, self._heard.is_set())
        flags = jax.make_array_from_callback(mine.shape, self._by_device, mine.__getitem__)
        return self._any(flags)
