"""How long a batch and a step take here: the scorer's own, on a study's requests, stopped after a few of each."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sycojax.requests import Request
from sycojax.scoring.journal import Section
from sycojax.scoring.scorer import Scorer

# How many pieces of work are timed after the first, which compiles; two where they have taken so many seconds.
PIECES, SECONDS = 3, 2.0


class Speed(NamedTuple):
    """Seconds, per configuration where nothing else is said, of a bank as it was given."""

    token: float  # of a batch that is scored, padding included
    step: float  # of decoding, which gives each row a token
    rows: int  # prompts that a configuration decodes together
    request: float  # to encode and arrange one with candidates, once for all configurations


def speed(scorer: Scorer, requests: Sequence[Request], bank: Any) -> Speed:
    """Time the first batches and steps of ``requests`` under ``bank``. What ``scorer`` compiles for it stays compiled."""
    scored = [r for r in requests if r.candidates]
    continued = [r for r in requests if not r.candidates]
    found = Speed(0.0, 0.0, 1, 0.0)
    if scored:
        started = time.monotonic()
        scorer._prepared(scored, bank)
        found = found._replace(request=(time.monotonic() - started) / len(scored))
        batch, _ = _timed(lambda kept: scorer.score(scored, bank, progress=False, kept=kept))
        size, width = max((size, width) for _, width, size in scorer._shapes)
        found = found._replace(token=batch / size / width)
    if continued:
        took, ended = _timed(lambda kept: scorer.score(continued, bank, progress=False, kept=kept))
        shape = max(scorer.decoder._shapes)
        steps = max(statistics.median(one.steps for one in ended), 1)
        found = found._replace(step=took / steps / shape.width, rows=shape.rows)
    return found


class _Enough(Exception):
    """All was seen that is needed."""


class _Watch(Section):
    """Notes when each result comes in; ends the work after a few."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps = True
        self.times: list[float] = []
        self.results: list[Any] = []

    def of(self, part: str) -> Section:
        return self

    def put(self, key: str, value: Any) -> None:
        self.times.append(time.monotonic())
        self.results.append(value)

    def check(self) -> None:
        seen = len(self.times)
        if seen > PIECES or (seen > 2 and self.times[-1] - self.times[0] > SECONDS):
            raise _Enough


def _timed(work: Callable[[Section], object]) -> tuple[float, list[Any]]:
    """Median seconds from one result of ``work`` to the next, and those results; once more where there is only one.

    Of two, the shorter: the other may have compiled.
    """
    watch = _Watch()
    with contextlib.suppress(_Enough):
        work(watch)
    if len(watch.times) < 2:
        watch = _Watch()
        watch.put("", None)
        with contextlib.suppress(_Enough):
            work(watch)
    took = [b - a for a, b in itertools.pairwise(watch.times)]
    return statistics.median_low(took), watch.results[1:]
