"""A window of training steps traced by JAX's profiler, for TensorBoard, XProf or Perfetto."""

from __future__ import annotations

import contextlib
import re
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax

from sycojax.errors import SycojaxError


class ProfileWindow:
    """Traces steps ``first`` to ``last``, both included.

    A step is the optimiser's, and the first bank that is trained is traced. The devices are idle when the trace begins
    and when it ends, so it holds these steps and no others. Every process traces its own devices. Nothing that is
    computed changes.
    """

    def __init__(self, window: str, directory: Path):
        """Read ``START:STOP``. Raises ``SycojaxError`` when that is no window."""
        match = re.fullmatch(r"(\d+):(\d+)", window)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise SycojaxError(
                f"--profile={window} must be START:STOP, the first and the last training step to trace, counted from 1"
            )
        self.first, self.last = int(match[1]), int(match[2])
        self.directory = Path(directory)
        self.done = self._tracing = self._traced = False

    def begin(self, completed: int, total: int) -> None:
        """A bank is about to continue behind ``completed`` of ``total`` steps.

        Raises ``SycojaxError`` when it has no such steps; warns when it took the first of them in an earlier run.
        """
        if self.done:
            return
        if self.last > total:
            raise SycojaxError(
                f"--profile={self.first}:{self.last}: the first adapters to train have {total} steps; choose a window "
                "among them"
            )
        if completed >= self.first:
            warnings.warn(
                f"--profile={self.first}:{self.last} traces nothing: training continues behind step {completed}",
                stacklevel=2,
            )
            self.done = True

    def step(self, number: int, state: Any) -> AbstractContextManager[object]:
        """Put around the dispatch of step ``number``; ``state`` is what that step works on."""
        if number == self.first and not self.done:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._target())
            self._tracing = True
        if self._tracing:
            return jax.profiler.StepTraceAnnotation("train", step_num=number)
        return contextlib.nullcontext()

    def end(self, number: int, state: Any) -> None:
        """Step ``number`` has been dispatched; ``state`` is what came of it."""
        if self._tracing and number == self.last:
            jax.block_until_ready(state)
            self.close()

    def outcome(self) -> str:
        """Where the trace is, or that there is none."""
        return (
            f"{self.directory.resolve()}"
            if self._traced
            else "nothing was traced: these steps did not run now"
        )

    def close(self) -> None:
        """End the trace if it is under way: also when a run fails or ends inside the window."""
        if self._tracing:
            self._tracing, self.done = False, True
            try:
                jax.profiler.stop_trace()
                self._traced = True
            except (OSError, RuntimeError) as error:
                raise SycojaxError(
                    f"cannot write the trace to {self._target()}: {str(error).splitlines()[0]}"
                ) from error

    def _target(self) -> Path:
        # Traces are named after the host, which two processes may share.
        if jax.process_count() == 1:
            return self.directory
        return self.directory / f"process-{jax.process_index()}"
