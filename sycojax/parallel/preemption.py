"""SIGTERM and Ctrl-C as a question that every process of a run answers alike.

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

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Agreement:
    """The largest number that any process came with, the same on all of them. To be called once in every step.

    A single process gets its own at once. Several exchange theirs behind the step the devices are at, and each call
    returns the answer to the one before: no process waits for another, and all get it at the same step.
    """

    def __init__(self, mesh: Mesh):
        self._by_device = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        self._largest = jax.jit(jnp.max, out_shardings=replicated(mesh))
        self._asked: jax.Array | None = None

    def __call__(self, mine: int) -> int:
        if jax.process_count() == 1:
            return mine
        before, self._asked = self._asked, self._ask(mine)
        return 0 if before is None else int(before)

    def _ask(self, mine: int) -> jax.Array:
        numbers = np.full(self._by_device.mesh.size, mine, np.int32)
        return self._largest(
            jax.make_array_from_callback(numbers.shape, self._by_device, numbers.__getitem__)
        )


class Preemption:
    """Which signal asked to stop, by its name; "" for none. A context manager around a loop, asked once in every step.

    A second Ctrl-C does not wait for the step. Python hands signals to the main thread only: in another, nothing is
    heard. What the program ignores (a shell's background job ignores Ctrl-C) is still ignored.
    """

    def __init__(self, mesh: Mesh):
        self._heard, self._answered, self._agreed = 0, False, Agreement(mesh)
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Preemption:
        if threading.current_thread() is threading.main_thread():
            for one in SIGNALS:
                if signal.getsignal(one) != signal.SIG_IGN:
                    self._before[one] = signal.signal(one, self._hear)
        return self

    def __exit__(self, error: object, *_: object) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)
        if self._heard and not self._answered and error is None:
            signal.raise_signal(self._heard)  # it came behind the last step

    def __call__(self) -> str:
        heard = self._agreed(self._heard)
        self._answered = self._answered or heard > 0
        return signal.Signals(heard).name if heard else ""

    def _hear(self, number: int, _: object) -> None:
        if number == self._heard == signal.SIGINT:
            raise KeyboardInterrupt
        self._heard = number
