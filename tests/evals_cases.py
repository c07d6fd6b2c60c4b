"""Made-up models that are asked an evaluation: their records, and the measures on them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import Evaluation, Measure, with_strata
from sycojax.records import Record
from sycojax.requests import Request

Reply = Sequence[float] | np.ndarray | str | Record
Respond = Callable[[Request], Reply]


def answered(request: Request, reply: Reply) -> Record:
    """The record of a text, or of the candidates' log-probabilities; a record is itself."""
    if isinstance(reply, Record):
        return reply
    if isinstance(reply, str):
        return Record.generated(request, reply, True)
    n = len(request.candidates)
    return Record.scored(request, reply, [1] * n, [False] * n)


def walk(
    evaluation: Evaluation,
    rows: Sequence[Any],
    respond: Respond,
    prompts: Prompts | None = None,
    seed: int = 0,
    strata: Mapping[str, str] | None = None,
) -> tuple[list[Request], list[Record]]:
    """Ask until nothing is left, as the scoring stage does; ``strata`` by question."""
    prompts = prompts or Prompts()
    requests = evaluation.requests(rows, prompts, seed)
    if strata:
        requests = with_strata(requests, strata)
    records = [answered(r, respond(r)) for r in requests]
    while more := evaluation.followups(requests, records, prompts):
        requests += more
        records += [answered(r, respond(r)) for r in more]
    assert len({r.key for r in requests}) == len(requests)
    return requests, records


def noise(request: Request) -> list[float]:
    """Log-probabilities that depend on the text alone."""
    seed = zlib.crc32("|".join((request.prompt, *request.candidates)).encode())
    return list(np.random.default_rng(seed).normal(-3, 1, len(request.candidates)))


def estimates(measures: Iterable[Measure]) -> dict[str, float]:
    return {m.name: m.estimate for m in measures}
