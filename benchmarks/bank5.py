"""Five adapters in one bank against one after another: training, scoring and decoding.

``ratio`` is the time one after another over the time in banks. Each part has a line at the width that is chosen by
default and one at a bank of five.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.decode import prompts
from benchmarks.hardware import device
from benchmarks.lora_train import STEPS, Ours
from benchmarks.measure import OURS, PEER, Line, compared, interleave
from benchmarks.score_suite import requests
from benchmarks.shapes import Bench, adapter, jobs
from sycojax.config import ScoreConfig, TrainConfig
from sycojax.scoring.decode import Decoder, Prompt
from sycojax.scoring.scorer import Scorer
from sycojax.training.bank import Bank

ADAPTERS = 5
Run = Callable[[int], np.ndarray]


def training(bench: Bench, width: int) -> Run:
    """Optimiser steps of five seeds in banks of ``width``; gives their last losses [5]."""
    # A quarter of the examples: the ratio does not depend on them, and five adapters take their time.
    config = dataclasses.replace(bench.shape.train, bank_width=width, examples_per_step=4)
    all_jobs = jobs(bench.data(), range(ADAPTERS))
    banks = [
        Ours(bench.base, Bank(all_jobs[i : i + width], config, width, 0))
        for i in range(0, ADAPTERS, width)
    ]
    for other in banks[1:]:  # one compilation serves all banks of a width
        other.program = banks[0].program
    per = STEPS.get(bench.shape.name, 1)

    def run(repeat: int) -> np.ndarray:
        numbers = range(per * repeat, per * (repeat + 1))
        return np.concatenate([bank.steps(numbers)[0] for bank in banks])

    return run


def scoring(bench: Bench, width: int, bank: Any) -> Run:
    """Scores of five adapters in passes of ``width``: [5 * n]."""
    scorer = Scorer(bench.base, bench.tokenizer, _score(bench, width))
    asked = requests(bench, ("mmlu", "answer"))

    def run(_: int) -> np.ndarray:
        records = scorer.score(asked, bank, progress=False)
        return np.concatenate([r.logprobs for of_one in records for r in of_one])

    return run


def decoding(bench: Bench, width: int, bank: Any) -> Run:
    """Texts of five adapters in passes of ``width``."""
    decoder = Decoder(bench.base, bench.tokenizer, _score(bench, width))
    asked = [Prompt(text, bench.shape.new_tokens) for text in prompts(bench)]

    def run(_: int) -> np.ndarray:
        found = decoder.generate(asked, bank, progress=False)
        return np.array([c.text for of_one in found for c in of_one])

    return run


def _score(bench: Bench, width: int) -> ScoreConfig:
    return dataclasses.replace(bench.shape.score, bank_width=width, decode_bank_width=width)


def measure(bench: Bench, repeats: int, peer: bool) -> list[Line]:
    """Two lines per part; the peer is our own code, so it is always there."""
    del peer
    bank = jax.tree.map(
        lambda *leaves: np.stack(leaves), *(adapter(bench.base, s, 0.02) for s in range(ADAPTERS))
    )
    by_default = Decoder(bench.base, bench.tokenizer, ScoreConfig())
    parts: dict[str, tuple[Callable[[int], Run], int]] = {
        "training": (lambda width: training(bench, width), TrainConfig().bank_width),
        "scoring": (lambda width: scoring(bench, width, bank), ScoreConfig().bank_width),
        "decoding": (lambda width: decoding(bench, width, bank), by_default.width(ADAPTERS)),
    }
    lines = []
    for part, (make, default) in parts.items():
        runs = {width: make(width) for width in {1, default, ADAPTERS}}
        found = {width: run(0) for width, run in runs.items()}  # compiles
        same = _agreement(found[1], found[ADAPTERS])
        named = {PEER: runs[1], "default": runs[default], "five": runs[ADAPTERS]}
        timings = interleave(named, repeats)
        for which, width in (("default", default), ("five", ADAPTERS)):
            sides = {OURS: timings[which], PEER: timings[PEER]}
            lines.append(
                compared(
                    "bank5",
                    bench.shape.name,
                    device(),
                    sides,
                    ADAPTERS,
                    "adapters/s",
                    part=part,
                    width=width,
                    width_is=which,
                    texts=bench.source,
                    agree=same,
                    peer="one after another",
                )
            )
    return lines


def _agreement(one: np.ndarray, five: np.ndarray) -> float:
    """Share of equal results; raises when numbers differ by more than float32 leaves open."""
    if one.dtype.kind == "f":
        np.testing.assert_allclose(five, one, rtol=1e-4, atol=2e-3)
        return 1.0
    return float((one == five).mean())
