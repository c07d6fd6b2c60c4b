"""How far a stage is: a bar on a terminal; a line now and then where standard error is a file (nohup, Slurm, CI, kubectl)."""

from __future__ import annotations

import collections
import contextlib
import sys
import threading
import time
from typing import Any

EVERY = 30.0  # seconds from line to line, whether something has moved or not
MARKS = 10  # lines over which the rate is taken

_open: list[Progress] = []  # stages that are shown, the innermost last


class Progress(contextlib.AbstractContextManager["Progress"]):
    """The progress of one stage while the block lasts; nothing is printed unless ``shown``.

    ``total`` counts ``unit``s, ``done`` of them before the block; 0: nothing is counted, and only the time is told.
    """

    def __init__(
        self, stage: str, total: int = 0, unit: str = "", *, done: int = 0, shown: bool = True
    ):
        self.stage, self.total, self.unit, self.done = stage, total, unit, done
        self._shown, self._bar, self._note = shown, None, ""
        self._ended, self._told = threading.Event(), False
        self._started = time.monotonic()
        self._marks = collections.deque([(self._started, done)], MARKS)

    def __enter__(self) -> Progress:
        if not self._shown:
            return self
        _open.append(self)
        if not sys.stderr.isatty():
            if _open == [self]:  # it speaks for those inside it, too
                threading.Thread(target=self._tell_now_and_then, daemon=True).start()
        elif self.total:
            from tqdm import tqdm  # a machine that only launches studies has none

            self._bar = tqdm(
                total=self.total, initial=self.done, unit=self.unit, desc=self.stage, leave=False
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self in _open:
            _open.remove(self)
        if self._bar is not None:
            self._bar.close()
        elif self._told and error[0] is None:
            self._print(f"{self.stage} done in {span(time.monotonic() - self._started)}")

    def update(self, count: int = 1, note: str = "") -> None:
        """``count`` more are done; ``note`` stands behind the rate from now on."""
        self.done, self._note = self.done + count, note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(count)

    def say(self, line: str) -> None:
        """Print a line of its own, such as of one result that is finished."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        elif self._shown:
            self._print(line)

    def line(self) -> str:
        """How far the stage is now, and at which rate since ``MARKS`` lines ago."""
        now = time.monotonic()
        since, before = self._marks[0]
        self._marks.append((now, self.done))
        if not self.total:
            return f"{self.stage}: {span(now - self._started)} so far"
        share = f"{self.stage} {100 * self.done // self.total} % ({self.done:,} of {self.total:,} {self.unit}s"
        if self.done == before:  # a program is compiled, or one step takes long
            return f"{share}), nothing new for {span(now - since)}: compiling or waiting"
        rate = (self.done - before) / (now - since)
        left = (self.total - self.done) / rate
        notes = ", ".join(filter(None, (_rate(rate, self.unit), self._note)))
        return f"{share}, {notes}), about {span(left)} left, ends {_clock(time.time() + left)}"

    def _tell_now_and_then(self) -> None:
        while not self._ended.wait(EVERY):
            stages = list(_open)
            for stage in stages:
                # One that stands still while one inside it tells how it gets on has nothing to say.
                if stage is stages[-1] or stage.done != stage._marks[-1][1]:
                    stage._told = True
                    stage._print(stage.line())

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(line, file=sys.stderr, flush=True)


def _rate(rate: float, unit: str) -> str:
    for seconds, name in ((1, "s"), (60, "min")):
        if rate * seconds >= 0.1:
            return f"{rate * seconds:.1f} {unit}s/{name}"
    return f"{rate * 3600:.1f} {unit}s/h"


def span(seconds: float) -> str:
    """A duration as one says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _clock(at: float) -> str:
    """The time of day, with the day where it is another one."""
    there: Any = time.localtime(at)
    today = there[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", there)
