"""How long a step of a bank takes here: the program's own, on the bank's first rows, on a state that is thrown away."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from sycojax.training.batches import computed_places, pass_lengths
from sycojax.training.loop import BankTrainer

# Steps that are timed; fewer where they take so many seconds.
STEPS, SECONDS = 10, 2.0


class Speed(NamedTuple):
    """Seconds of one bank, all its adapters together."""

    step: float  # what each step takes beside its passes
    each: float  # a pass over one whole micro-batch, forward and backward
    forward: float  # a whole pass without the backward one


def speed(trainer: BankTrainer) -> Speed:
    """Time a few steps and a validation. What is compiled for it stays compiled; the adapters are left as they are."""
    bank, program = trainer.bank(trainer.banks[0]), trainer.program
    state = program.start(bank.seeds)
    batch = bank.batch(0)
    rows = program.place_rows(batch.rows)
    held_out, size = bank.validation()
    held_out, everyone = program.place_rows(held_out), [True] * bank.width
    lengths = pass_lengths(trainer.config.row_length, trainer.base.mesh)

    def train(filled: np.ndarray) -> Any:
        nonlocal state
        state, metrics = program.train(
            state, rows, filled, 0, bank.seeds, batch.learning_rates, batch.active
        )
        return metrics

    def validate(filled: np.ndarray) -> Any:
        nonlocal state
        state, losses = program.validate(state, held_out, filled, 0, everyone)
        return losses

    def first(filled: np.ndarray, count: int) -> np.ndarray:
        return np.where(np.arange(filled.shape[-1]) < count, filled, 0)

    def passes(filled: np.ndarray) -> float:
        return computed_places(program.computed(filled), lengths) / lengths[-1] / bank.width

    alone, count = first(batch.filled, 1), int(np.count_nonzero(batch.filled.any(0)))
    one, many = _seconds(train, alone), _seconds(train, batch.filled)
    # Where other work on the machine makes one pass take longer than many, these say more than their difference.
    apart = count > 1 and many > one
    more = passes(batch.filled) - passes(alone) * apart
    each = (many - one * apart) / more
    few = first(size, count)
    return Speed(max(one - each * passes(alone), 0.0), each, _seconds(validate, few) / passes(few))


def _seconds(call: Callable[[np.ndarray], Any], filled: np.ndarray) -> float:
    """Of one call, behind one that may compile."""
    took: list[float] = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        jax.block_until_ready(call(filled))
        took.append(time.perf_counter() - started)
        if len(took) > 1 and sum(took[1:]) > SECONDS:
            break
    return statistics.median(took[1:])
