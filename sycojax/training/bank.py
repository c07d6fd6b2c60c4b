"""The host's side of a bank: which adapters train together and what each of them gets at each step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from sycojax.config import TrainConfig
from sycojax.data.encode import EncodedExample
from sycojax.settings import chosen, deciding, settings
from sycojax.training.batches import (
    HostBatch,
    empty,
    pack_rows,
    pack_step,
    stack,
    step_indices,
    total_steps,
)  # fmt: skip
from sycojax.training.loss import Rows
from sycojax.training.optimizer import learning_rates

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class AdapterJob:
    """One adapter to train. Its seed decides its initial weights, the order of its data and its dropout."""

    name: str
    seed: int
    train: Sequence[EncodedExample]
    validation: Sequence[EncodedExample]
    # Given where it trains by other settings than its bank, in those that each adapter may have for itself.
    config: TrainConfig | None = None
    # Written as it is after its last step: its validation loss is measured once, so that no earlier step can be the best.
    last: bool = False

    @property
    def own(self) -> dict[str, Any] | None:
        """The settings that this adapter has for itself, if any."""
        return self.config and chosen(self.config, lambda said: said.own)


def shared_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that all adapters of a bank have in common: jobs for which they are equal can train together."""
    return {k: v for k, v in deciding(config, "adapter").items() if not settings(config)[k].own}


@dataclasses.dataclass(frozen=True)
class BankBatch:
    """One optimiser step of a bank: rows [A, M, B, T]; a list has one entry per lane of the bank."""

    rows: Rows
    filled: np.ndarray  # int32 [A, M], tokens of the fullest row of each micro-batch
    learning_rates: list[float]
    active: list[bool]
    tokens: list[int]  # real tokens


def groups(
    jobs: Sequence[AdapterJob], config: TrainConfig, multiple: int = 1
) -> list[list[AdapterJob]]:
    """Split jobs into banks of at most ``bank_width``, similar lengths together, sizes as even as can be.

    All but the last bank hold a ``multiple`` of jobs, which must divide ``bank_width``.
    """
    ordered = sorted(jobs, key=lambda job: -total_steps(len(job.train), job.config or config))
    size = math.ceil(len(jobs) / math.ceil(len(jobs) / config.bank_width))
    size = math.ceil(size / multiple) * multiple
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


class Bank:
    """Jobs that go through one step together. Lanes beyond the jobs stay empty, so that all banks share one compilation."""

    def __init__(
        self, jobs: Sequence[AdapterJob], config: TrainConfig, width: int, validation_rows: int
    ):
        self.jobs, self.config, self.width = list(jobs), config, width
        self.validation_rows = validation_rows
        self._configs = [job.config or config for job in jobs]
        self.steps = [
            total_steps(len(job.train), own) for job, own in zip(jobs, self._configs, strict=True)
        ]
        self.total = max(self.steps)
        self._rates = [
            learning_rates(own, steps) for own, steps in zip(self._configs, self.steps, strict=True)
        ]

    @property
    def names(self) -> list[str]:
        """Names of the adapters, in lane order."""
        return [job.name for job in self.jobs]

    @property
    def seeds(self) -> list[int]:
        """One seed per lane."""
        return self._fill([job.seed for job in self.jobs], 0)

    def batch(self, step: int) -> BankBatch:
        """What step ``step`` (from 0) trains on. An adapter past its last step is inactive."""
        active = [step < steps for steps in self.steps]
        batches = [
            pack_step(self.examples(lane, step), self.config)
            if active[lane]
            else empty(self.config)
            for lane in range(len(self.jobs))
        ]
        rates = [float(r[step]) if on else 0.0 for r, on in zip(self._rates, active, strict=True)]
        lanes = self._fill(batches, empty(self.config))
        return BankBatch(
            *stack(lanes),
            self._fill(rates, 0.0),
            self._fill(active, False),
            [batch.tokens for batch in lanes],
        )

    def validation(self) -> tuple[Rows, np.ndarray]:
        """Validation rows [A, M, B, T], and ``filled`` as in ``BankBatch``."""
        batches: list[HostBatch] = [
            pack_rows(job.validation, self.config, self.validation_rows) for job in self.jobs
        ]
        return stack(self._fill(batches, empty(self.config)))

    def examples(self, lane: int, step: int) -> list[EncodedExample]:
        """The examples lane ``lane`` trains on at step ``step``."""
        job = self.jobs[lane]
        indices = step_indices(len(job.train), step, job.seed, self._configs[lane])
        return [job.train[i] for i in indices]

    def due(self, completed: int) -> list[bool]:
        """Which lanes measure the validation loss after ``completed`` steps."""
        every = self.config.eval_every
        due = [
            completed == steps or (completed < steps and completed % every == 0 and not job.last)
            for job, steps in zip(self.jobs, self.steps, strict=True)
        ]
        return self._fill(due, False)

    def _fill(self, values: list[T], value: T) -> list[T]:
        return values + [value] * (self.width - len(values))
