"""A window of steps of training or scoring traced by JAX's profiler, for TensorBoard, XProf or Perfetto."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax

from sycojax.errors import SycojaxError

T = TypeVar("T")


class ProfileWindow:
    """Traces steps ``first`` to ``last``, both included.

    In training a step is the optimiser's, and the first bank that is trained is traced. In scoring it is a call of a
    compiled program: a pass over a batch, prompts put into rows, or tokens decoded until a row ends. The devices are
    idle when the trace begins and when it ends, so it holds these steps and no others. Every process traces its own
    devices. Nothing that is computed changes.
    """

    def __init__(self, window: str, directory: Path):
        """Read ``START:STOP`` or ``score:START:STOP``. Raises ``SycojaxError`` when that is no window."""
        match = re.fullmatch(r"(score:)?(\d+):(\d+)", window)
        if not match or not 1 <= int(match[2]) <= int(match[3]):
            raise SycojaxError(
                f"--profile={window} must be START:STOP, the first and the last training step to trace, counted from 1, "
                "or score:START:STOP for calls of scoring"
            )
        self.stage: Literal["train", "score"] = "score" if match[1] else "train"
        self.first, self.last = int(match[2]), int(match[3])
        self.directory = Path(directory)
        self.calls = 0  # of scoring, so far
        self.done = self._tracing = self._traced = False

    def begin(self, completed: int, total: int) -> None:
        """Training: a bank is about to continue behind ``completed`` of ``total`` steps.

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

    def step(self, number: int, state: Any, name: str = "train") -> AbstractContextManager[object]:
        """Put around the dispatch of step ``number``; ``state`` is what that step works on."""
        if number == self.first and not self.done:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._target())
            self._tracing = True
        if self._tracing:
            return jax.profiler.StepTraceAnnotation(name, step_num=number)
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


def traced(profile: ProfileWindow | None, name: str, busy: Any, run: Callable[[], T]) -> T:
    """Scoring: ``run()``, while the devices may still work on ``busy``; counted and traced where there is a window."""
    if profile is None:
        return run()
    profile.calls += 1
    with profile.step(profile.calls, busy, name):
        found = run()
    profile.end(profile.calls, found)
    return found
