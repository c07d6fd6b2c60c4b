"""Is a score a property of the model and the text, or of the batch it was computed in? Measured on every study.

Some of the study's own likelihood requests are asked again of one of its configurations: together, twice, which
must give the same bits; and one by one, where a request stands alone in a padded batch instead of among the
study's others, which may differ by rounding only.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sycojax.records import Record
from sycojax.requests import Request
from sycojax.scoring.journal import NOTHING, Section
from sycojax.scoring.scorer import Scorer

ITEMS = 24


def measure(
    scorer: Scorer, bank: Any, requests: Sequence[Request], records: Sequence[Record], seed: int,
    kept: Section = NOTHING,
) -> dict[str, Any]:  # fmt: skip
    """``{"items", "rerun_max_abs", "alone_max_abs"}`` for the only adapter of ``bank`` (leaves [1, ...]).

    ``records`` are what the study got from it for ``requests``. Differences are of summed log-probabilities,
    in nats: between two equal calls, and between a request alone and the study's record. Empty without
    likelihood requests. ``kept``, which must keep nothing, may raise ``Stopped``.
    """
    known = {record.key: record for record in records}
    scored = [r for r in requests if r.candidates and r.key in known]
    if not scored:
        return {}
    sample = random.Random(f"determinism-{seed}").sample(scored, min(ITEMS, len(scored)))
    first, again = (_logprobs(scorer, sample, bank, kept) for _ in range(2))
    alone: dict[str, tuple[float, ...]] = {}
    for request in sample:
        alone |= _logprobs(scorer, [request], bank, kept)
    recorded = {request.key: known[request.key].logprobs for request in sample}
    return {
        "items": len(sample),
        "rerun_max_abs": _largest_difference(first, again),
        "alone_max_abs": _largest_difference(alone, recorded),
    }


def _logprobs(
    scorer: Scorer, requests: Sequence[Request], bank: Any, kept: Section
) -> dict[str, tuple[float, ...]]:
    answers = scorer.score(requests, bank, progress=False, kept=kept)[0]
    return {record.key: record.logprobs for record in answers}


def _largest_difference(
    left: Mapping[str, Sequence[float]], right: Mapping[str, Sequence[float]]
) -> float:
    return max(float(np.abs(np.subtract(left[key], right[key])).max()) for key in left)
