"""Scoring the study's multiple-choice benchmarks and probes, items per second, against lm-eval's ``hf`` model.

Both sides get the same (prompt, candidate) strings of a fixed draw of items, and encode, arrange and score them
in every repeat. The peer scores the plain base; ours carries an adapter (of zeros), as it does in a study.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.hardware import bound, chip, device, speed
from benchmarks.measure import OURS, PEER, Line, compared, interleave, seconds
from benchmarks.shapes import Bench
from sycojax.evals import BUILTIN
from sycojax.evals.choices import draw_items
from sycojax.planning.roofline import matmul_weights
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer

BENCHMARKS = ("mmlu", "hellaswag", "truthfulqa")
SEED = 0  # of the drawn items
BATCHES = (4, 8, 16, 32, 64)  # of the peer, tried


def requests(bench: Bench, names: Sequence[str]) -> list[Request]:
    """All likelihood requests of ``bench.shape.items`` drawn items of each evaluation."""
    asked = bench.data(evaluations=tuple(names)).requests
    return [
        request
        for name in names
        for request in draw_items(asked[name], bench.shape.items, SEED)
        if request.candidates
    ]


def pairs(asked: Sequence[Request]) -> list[tuple[str, str]]:
    """The (context, continuation) strings of requests, in order."""
    return [(request.prompt, candidate) for request in asked for candidate in request.candidates]


def ours(scorer: Scorer, asked: Sequence[Request], bank: Any) -> np.ndarray:
    """Log-probabilities float64 [n] of all candidates in order, nothing remembered of an earlier call."""
    scorer._works.clear()  # a study arranges once for all its configurations; here each repeat pays
    records = scorer.score(asked, bank, progress=False)[0]
    return np.concatenate([np.asarray(record.logprobs) for record in records])


def measure(bench: Bench, repeats: int, peer: bool) -> Iterator[Line]:
    """Everything, then the probes alone."""
    probes = BUILTIN.probes
    parts = {"benchmarks and probes": (*BENCHMARKS, *probes), "probes": probes}
    for part, names in parts.items():
        yield line(bench, repeats, peer, names, part)


def line(
    bench: Bench, repeats: int, peer: bool, names: Sequence[str], part: str, width: int = 1
) -> Line:
    """The line of these evaluations; ``width`` configurations go through each pass, the peer has one."""
    asked, bank = requests(bench, names), bench.zero_bank(width)
    settings = dataclasses.replace(bench.shape.score, bank_width=width)
    scorer = Scorer(bench.base, bench.tokenizer, settings)
    why = peers.missing("torch", "lm_eval") or ("" if peer else "not asked for")
    details: dict[str, Any] = {"part": part, "texts": bench.source, "peer": why or "lm-eval hf"}
    found = ours(scorer, asked, bank)  # compiles
    names_of_counts = ("naive_tokens", "unique_tokens", "real_tokens", "padded_tokens")
    counts = {name: getattr(scorer.counts, name) for name in names_of_counts}
    sides: dict[str, Any] = {OURS: lambda _: ours(scorer, asked, bank)}
    if not why:
        strings = pairs(asked)
        model = peers.harness(bench.torch_model(), bench.vocabulary, BATCHES[0])
        few = strings[:: max(len(strings) // 64, 1)]

        def run(size: int) -> None:
            model.batch_size_per_gpu = size
            peers.loglikelihoods(model, few)

        model.batch_size_per_gpu = peers.fastest(BATCHES, run)
        details["peer_batch"] = model.batch_size_per_gpu
        if bench.shape.dtype == "float32":
            expected = peers.loglikelihoods(model, strings)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-3)
            details["largest_difference"] = float(np.abs(found - expected).max())
        sides[PEER] = lambda _: peers.loglikelihoods(model, strings)
    if chip():  # which waits while texts are encoded and arranged
        sides["arranged"] = lambda _: scorer.score(asked, bank, progress=False)
    timings = interleave(sides, repeats)
    c = bench.base.config
    flops, projected = (
        2 * n * counts["unique_tokens"] for n in (matmul_weights(c), c.projection_parameter_count)
    )
    ours_took, peer_took = seconds(timings)
    if "arranged" in timings:
        arranged = speed(flops, timings["arranged"].seconds)
        details |= {f"{name}_arranged": value for name, value in arranged.items()}
    return compared(
        "score_suite", bench.shape.name, device(), timings, width * len(asked), "items/s",
        **details, **speed(flops, ours_took), **bound(bench.base, projected, ours_took, peer_took),
        items=len(asked), pairs=len(found), **counts,
    )  # fmt: skip
