"""Is a score a property of the model and the text, or of the batch it was computed in? Measured on every study.

Some of the study's own likelihood requests are asked again of one of its configurations: together, twice, which
must give the same bits; and one by one, where a request stands alone in a padded batch instead of among the
study's others, which may differ by rounding only.

What is claimed rests on headlines, so a few items of each probe are asked again in their arms: in batches of their own, and
where the base is computed in bfloat16 also in float32, from the same weights. How far their headlines move is a gate
(``analysis/results/gates.py``).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sycojax.evals.protocol import Evaluation
from sycojax.evals.readouts import CLAIMED, CONTRASTS, Instrument, in_arms, read
from sycojax.models.base import FrozenBase
from sycojax.records import Record
from sycojax.requests import Request
from sycojax.scoring.journal import NOTHING, Section
from sycojax.scoring.memory import float32_fits
from sycojax.scoring.scorer import Scorer
from sycojax.weights.precision import exact_products

ITEMS = 24  # requests that are asked again, of all evaluations
IN_ARMS = 8  # items of each probe whose headlines are made again


def measure(
    scorer: Scorer, bank: Any, evaluations: Sequence[Evaluation], requests: Sequence[Request],
    records: Sequence[Record], seed: int, kept: Section = NOTHING,
) -> dict[str, Any]:  # fmt: skip
    """``{"items", "rerun_max_abs", "alone_max_abs"}`` for the only adapter of ``bank`` (leaves [1, ...]).

    ``records`` are what the study got from it for ``requests`` of ``evaluations``. Differences are of summed log-probabilities,
    in nats: between two equal calls, and between a request alone and the study's record. Where probes were asked in arms also
    ``headlines``, of how many items, and ``headline_max_abs``: how far uptake and siding, in [-1, 1], move in other batches; of a
    base in bfloat16 ``float32_max_abs``, how far they move in float32, or ``float32_lacks``, why they were not computed so.
    Empty without likelihood requests. ``kept``, which must keep nothing, may raise ``Stopped``.
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
    found = {
        "items": len(sample),
        "rerun_max_abs": _largest_difference(first, again),
        "alone_max_abs": _largest_difference(alone, recorded),
    }
    return found | _headlines_again(scorer, bank, evaluations, scored, known, seed, kept)


def _headlines_again(
    scorer: Scorer, bank: Any, evaluations: Sequence[Evaluation], scored: Sequence[Request],
    known: Mapping[Any, Record], seed: int, kept: Section,
) -> dict[str, Any]:  # fmt: skip
    instruments = {e.name: e.instrument for e in evaluations if e.instrument and e.role == "probe"}
    sample: list[Request] = []
    for name in instruments:
        own = [r for r in scored if r.evaluation == name and _claimed(r)]
        # Records of several readouts are those of ``screening``: the study has not chosen one yet.
        if len({r.meta["readout"] for r in own}) == 1:
            items = sorted({r.item for r in own})
            drawn = random.Random(f"headlines-{seed}").sample(items, min(IN_ARMS, len(items)))
            sample += [r for r in own if r.item in drawn]
    if not sample:
        return {}

    def headlines(records: Sequence[Record]) -> dict[str, tuple[float, ...]]:
        return {name: _headlines(own, name, records) for name, own in instruments.items()}

    def moved(by: Scorer, against: Sequence[Record]) -> float:
        records = by.score(sample, bank, progress=False, kept=kept)[0]
        return _largest_difference(headlines(records), headlines(against))

    found: dict[str, Any] = {
        "headlines": len({(r.evaluation, r.item) for r in sample}),
        "headline_max_abs": moved(scorer, [known[r.key] for r in sample]),
    }
    if scorer.base.compute.dtype == "bfloat16":
        if scorer.base.compute.quantization != "none":
            return found | {"float32_lacks": "the base is quantised"}
        if not float32_fits(scorer.base):
            return found | {"float32_lacks": "the memory does not hold it in float32 too"}
        exact = Scorer(_in_float32(scorer.base), scorer.tokenizer, scorer.config)
        with exact_products("float32"):
            found["float32_max_abs"] = moved(exact, [known[r.key] for r in sample])
    return found


def _claimed(request: Request) -> bool:
    """Whether it is one of those that uptake and siding are read from."""
    return in_arms(request) and request.condition.split(",")[1].rstrip("0123456789")[:-1] in CLAIMED


def _headlines(instrument: Instrument, name: str, records: Sequence[Record]) -> tuple[float, ...]:
    readings = read(instrument, [r for r in records if r.evaluation == name])
    return tuple(r.measures[contrast].estimate for r in readings for contrast in CONTRASTS)


def _in_float32(base: FrozenBase) -> FrozenBase:
    """The same weights in float32, with the attention that every device can compute."""
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), base.params)
    compute = dataclasses.replace(base.compute, dtype="float32", attention="xla")
    return dataclasses.replace(base, compute=compute, params=params)


def _logprobs(
    scorer: Scorer, requests: Sequence[Request], bank: Any, kept: Section
) -> dict[str, tuple[float, ...]]:
    answers = scorer.score(requests, bank, progress=False, kept=kept)[0]
    return {record.key: record.logprobs for record in answers}


def _largest_difference(
    left: Mapping[str, Sequence[float]], right: Mapping[str, Sequence[float]]
) -> float:
    return max(float(np.abs(np.subtract(left[key], right[key])).max(initial=0)) for key in left)
