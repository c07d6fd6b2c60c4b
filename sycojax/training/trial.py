"""How long a step of a bank takes here: the program's own, on the bank's first rows, on a state that is thrown away."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from sycojax.training.loop import BankTrainer

# Steps that are timed; one where it takes so many seconds.
STEPS, SECONDS = 2, 2.0


class Speed(NamedTuple):
    """Seconds of one bank, all its adapters together."""

    step: float  # what each step takes beside its passes
    each: float  # a pass over one micro-batch, forward and backward
    forward: float  # a pass without the backward one


def speed(trainer: BankTrainer) -> Speed:
    """Time a few steps and a validation. What is compiled for it stays compiled; the adapters are left as they are."""
    bank, program = trainer.bank(trainer.banks[0]), trainer.program
    state = program.start(bank.seeds)
    batch = bank.batch(0)
    rows = program.place_rows(batch.rows)
    held_out, size = bank.validation()
    held_out, everyone = program.place_rows(held_out), [True] * bank.width

    def train(count: int) -> Any:
        nonlocal state
        state, metrics = program.train(
            state, rows, count, 0, bank.seeds, batch.learning_rates, batch.active
        )
        return metrics

    def validate(count: int) -> Any:
        nonlocal state
        state, losses = program.validate(state, held_out, count, 0, everyone)
        return losses

    one, many = _seconds(train, 1), _seconds(train, batch.count)
    # Where other work on the machine makes one pass take longer than many, these say more than their difference.
    apart = batch.count > 1 and many > one
    each = (many - one) / (batch.count - 1) if apart else many / batch.count
    few = min(size, batch.count)
    return Speed(max(one - each, 0.0), each, _seconds(validate, few) / few)


def _seconds(call: Callable[[int], Any], count: int) -> float:
    """Of one call, behind one that may compile."""
    took: list[float] = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        jax.block_until_ready(call(count))
        took.append(time.perf_counter() - started)
        if len(took) > 1 and sum(took[1:]) > SECONDS:
            break
    return statistics.median(took[1:])
