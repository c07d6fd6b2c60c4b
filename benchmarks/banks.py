"""Three adapters of one base in a bank, against the same one after another in a bank each: training, scoring, decoding."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import decode, lora_train, score_suite
from benchmarks.hardware import device
from benchmarks.measure import OURS, PEER, Line, compared, interleave
from benchmarks.shapes import Bench
from sycojax.evals import BUILTIN
from sycojax.scoring.decode import Decoder
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.texts import Prompt
from sycojax.training.bank import Bank

WIDTH = 3  # adapters: the seeds of a study
Run = Callable[[int], object]  # the work of a repeat


def measure(bench: Bench, repeats: int, peer: bool) -> Iterator[Line]:
    """Training, scoring, and decoding of as few prompts as the shape has a line of. The peer is sycojax itself: ``peer`` False leaves it out."""
    yield _line(bench, "train_bank", "tokens/s", repeats, peer, *_training(bench, repeats))
    yield _line(bench, "score_bank", "items/s", repeats, peer, *_scoring(bench))
    count = bench.shape.decoded[0]  # with many, a step has rows enough without a bank
    decoding = _decoding(bench, count)
    yield _line(bench, "decode_bank", "tokens/s", repeats, peer, *decoding, prompts=count)


def _line(
    bench: Bench, name: str, unit: str, repeats: int, peer: bool, work: float, sides: dict[str, Run],
    **details: Any,
) -> Line:  # fmt: skip
    asked = sides if peer else {OURS: sides[OURS]}
    for side in asked.values():
        side(0)  # compiles
    return compared(
        name, bench.shape.name, device(), interleave(asked, repeats), work, unit,
        texts=bench.source, peer="one by one" if peer else "not asked for", width=WIDTH, **details,
    )  # fmt: skip


def _training(bench: Bench, repeats: int) -> tuple[float, dict[str, Run]]:
    """Real tokens of a repeat and both sides: the seeds in one bank, and a bank of one for each."""
    work = lora_train.Work.of(bench, repeats, width=WIDTH)
    together, alone = lora_train.Ours(bench.base, work.bank), []
    for job in work.bank.jobs:
        one = Bank([job], work.bank.config, 1, 0)
        alone.append(lora_train.Ours(bench.base, one, *alone[:1]))

    def one_by_one(repeat: int) -> None:
        for one in alone:
            one.steps(work.numbers[repeat])

    return work.tokens, {OURS: lambda r: together.steps(work.numbers[r]), PEER: one_by_one}


def _scoring(bench: Bench) -> tuple[float, dict[str, Run]]:
    """Items and both sides: every pass asks all configurations, and each is asked alone, in a call that knows nothing of the others."""
    asked = score_suite.requests(bench, (*score_suite.BENCHMARKS, *BUILTIN.probes))
    alone, together = (
        Scorer(bench.base, bench.tokenizer, dataclasses.replace(bench.shape.score, bank_width=n))
        for n in (1, WIDTH)
    )
    one, bank = bench.zero_bank(), bench.zero_bank(WIDTH)

    def one_by_one(_: int) -> None:
        for _ in range(WIDTH):
            score_suite.ours(alone, asked, one)

    sides: dict[str, Run] = {OURS: lambda _: score_suite.ours(together, asked, bank), PEER: one_by_one}  # fmt: skip
    return WIDTH * len(asked), sides


def _decoding(bench: Bench, count: int) -> tuple[float, dict[str, Run]]:
    """New tokens and both sides: all configurations in every step, and one after another."""
    prompts = [Prompt(t, bench.shape.new_tokens) for t in decode.prompts(bench, count)]
    bank = bench.zero_bank(WIDTH)
    alone, together = (
        Decoder(bench.base, bench.tokenizer, dataclasses.replace(bench.shape.score, decode_bank_width=n))
        for n in (1, WIDTH)
    )  # fmt: skip
    alone.generate(prompts, bank, progress=False)
    tokens = alone.counts.generated_tokens
    sides: dict[str, Run] = {
        OURS: lambda _: together.generate(prompts, bank, progress=False),
        PEER: lambda _: alone.generate(prompts, bank, progress=False),
    }
    return tokens, sides
