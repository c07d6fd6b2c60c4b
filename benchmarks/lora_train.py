"""One LoRA optimiser step, real tokens per second: packed rows here, sorted and padded batches in transformers + PEFT."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import peers
from benchmarks.hardware import bound, device, speed
from benchmarks.measure import OURS, PEER, Line, compared, interleave, seconds
from benchmarks.shapes import Bench, adapter, job
from sycojax.data.encode import EncodedExample
from sycojax.models.base import FrozenBase
from sycojax.planning.roofline import matmul_weights
from sycojax.training.bank import Bank
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram
from sycojax.weights.layout import laid_out
from sycojax.weights.peft import export_adapter

STEPS = {"toy": 4, "tiny": 1}  # optimiser steps of one repeat; one where not named
MICRO_BATCHES = (2, 4, 8, 16)  # of the peer, tried
SEED = 0  # of the adapter, which both sides begin with
NAME, PUBLISHED = "lora_train", "lora_train_published_padding"


class Ours:
    """A bank, its data and its program, which may be that of an ``other`` bank of the same base, width and settings."""

    def __init__(self, base: FrozenBase, bank: Bank, other: Ours | None = None):
        config = bank.config
        self.bank = bank
        self.program = other.program if other else BankProgram(
            base, make_optimizer(config), bank.width, config.logits_chunk
        )  # fmt: skip
        self.state = self.program.start(bank.seeds)

    def steps(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Run optimiser steps, packing included; losses and gradient norms [A] of the last one."""
        metrics: Any = None
        for number in numbers:
            batch = self.bank.batch(number)
            self.state, metrics = self.program.train(
                self.state, self.program.place_rows(batch.rows), batch.filled, number,
                self.bank.seeds, batch.learning_rates, batch.active,
            )  # fmt: skip
        return jax.device_get(tuple(metrics))


class Peer:
    """PEFT on the same examples, at the micro-batch and attention that are fastest."""

    def __init__(self, bench: Bench, bank: Bank, directory: Path, dropout: float, published: bool):
        self.bank, self.published, self.directory = bank, published, directory
        self.longest = _longest(bank.jobs[0].train, bench.max_length)
        self.micro_batch, self.attention = 2, "sdpa"
        self._trainers: dict[str, Any] = {}
        self._bench, self._dropout = bench, dropout

    def trainer(self) -> peers.PeftTrainer:
        if self.attention not in self._trainers:
            shape = self._bench.shape
            self._trainers.clear()  # two models may not fit
            self._trainers[self.attention] = peers.PeftTrainer(
                self._bench.torch_model(self.attention), self.directory, self.bank.config,
                self._dropout, shape.remat == "full",
            )  # fmt: skip
        return self._trainers[self.attention]

    def steps(self, numbers: Sequence[int]) -> tuple[float, float]:
        found = (0.0, 0.0)
        for number in numbers:
            examples = self.bank.examples(0, number)
            if not self.published:
                examples = sorted(examples, key=lambda e: -len(e.token_ids))
            size = self.micro_batch
            batches = [examples[i : i + size] for i in range(0, len(examples), size)]
            found = self.trainer().step(batches, [max(map(self._length, b)) for b in batches])
        return found

    def _length(self, example: EncodedExample) -> int:
        return self.longest[example.task] if self.published else len(example.token_ids)

    def tune(
        self,
        numbers: Sequence[int],
        sizes: Sequence[int] = MICRO_BATCHES,
        attentions: Sequence[str] = ("sdpa", "eager"),
    ) -> None:
        """Choose the micro-batch, then the attention, that is fastest."""

        def run(option: tuple[str, int]) -> None:
            self.attention, self.micro_batch = option
            self.steps(numbers)

        _, size = peers.fastest([(attentions[0], size) for size in sizes], run)
        chosen = peers.fastest([(attention, size) for attention in attentions], run)
        self.attention, self.micro_batch = chosen


def exported_peer(bench: Bench, bank: Bank, published: bool = False) -> Peer:
    """The peer with the adapter that the first lane of ``bank`` begins with."""
    directory = bench.scratch / "adapter"
    export_adapter(directory, adapter(bench.base, SEED), bench.base.lora, "base")
    return Peer(bench, bank, directory, bench.base.lora.dropout, published)


def _longest(examples: Sequence[EncodedExample], limit: int) -> dict[str, int]:
    """By task: what the published study pads to, which tokenises a task's rows together, cut at ``limit``."""
    found: dict[str, int] = {}
    for example in examples:
        found[example.task] = min(max(found.get(example.task, 0), len(example.token_ids)), limit)
    return found


def check(bench: Bench, bank: Bank, directory: Path, published: bool) -> float:
    """Both sides' loss and gradient norm of a step without dropout must agree; returns the loss' difference."""
    lora = dataclasses.replace(bench.base.lora, dropout=0.0)
    ours = Ours(dataclasses.replace(bench.base, lora=lora), bank)
    loss, norm = (float(x[0]) for x in ours.steps([0]))
    theirs = Peer(bench, bank, directory, 0.0, published).steps([0])
    np.testing.assert_allclose((loss, norm), theirs, rtol=2e-4)
    return abs(loss - theirs[0])


@dataclasses.dataclass(frozen=True)
class Work:
    """What both sides do: the bank of adapters, and the optimiser steps of every repeat."""

    bank: Bank
    numbers: list[range]
    tokens: float  # real ones of a repeat, all adapters together

    @classmethod
    def of(cls, bench: Bench, repeats: int, published: bool = False, width: int = 1) -> Work:
        """``width`` adapters; ``published``: on the published recipe's texts."""
        # What transformers minimises: the mean over target tokens. The weights cost nothing.
        config = dataclasses.replace(bench.shape.train, loss_average="token")
        config = laid_out(config, bench.base.compute)
        data = bench.data("published" if published else "sycojax")
        bank = Bank([job(data, SEED + lane) for lane in range(width)], config, width, 0)
        per = STEPS.get(bench.shape.name, 1)
        numbers = [range(per * r, per * (r + 1)) for r in range(repeats)]
        sizes = [
            len(example.token_ids)
            for steps in numbers
            for step in steps
            for lane in range(width)
            for example in bank.examples(lane, step)
        ]
        return cls(bank, numbers, sum(sizes) / repeats)


def measure(
    bench: Bench, repeats: int, peer: bool, published: bool = False, width: int = 1
) -> list[Line]:
    """The line of one shape; ``published``: on the published recipe's texts, padded as the published study does.

    ``width`` adapters are trained in one bank; the peer has one.
    """
    work = Work.of(bench, repeats, published, width)
    config = work.bank.config
    why = peers.missing("torch", "peft") or ("" if peer else "not asked for")
    details: dict[str, Any] = {"texts": bench.source, "peer": why or "transformers + PEFT"}
    ours = Ours(bench.base, work.bank)
    ours.steps(work.numbers[0])
    sides: dict[str, Any] = {OURS: lambda r: ours.steps(work.numbers[r])}
    if not why:
        theirs = exported_peer(bench, work.bank, published)
        if bench.shape.dtype == "float32":
            details["loss_difference"] = check(bench, work.bank, theirs.directory, published)
        theirs.tune([0])
        sides[PEER] = lambda r: theirs.steps(work.numbers[r])
        details |= {"peer_micro_batch": theirs.micro_batch, "peer_attention": theirs.attention}
    timings = interleave(sides, repeats)
    c = bench.base.config
    flops, least = (4 * n * work.tokens for n in (matmul_weights(c), c.projection_parameter_count))
    ours_took, peer_took = seconds(timings)
    return [compared(
        PUBLISHED if published else NAME, bench.shape.name, device(), timings, work.tokens, "tokens/s",
        **details, **speed(flops, ours_took), **bound(bench.base, least, ours_took, peer_took),
        row_length=config.row_length, micro_batch_rows=config.micro_batch_rows, tokens_per_repeat=work.tokens,
    )]  # fmt: skip
