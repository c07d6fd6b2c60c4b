"""The training loop: orders the calls of a bank's run and survives being stopped at any point.

On disk, per bank: ``checkpoints/`` (adapter, best adapter, optimiser, position), ``metrics.jsonl`` and
``tensorboard/``. Calling ``train_bank`` again continues; what is finished is read back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from sycojax.config import TrainConfig
from sycojax.data.held_out import HeldOut, held_out
from sycojax.data.pack import rows_needed
from sycojax.errors import Diverged, Stopped, SycojaxError
from sycojax.models.base import FrozenBase, Tree
from sycojax.parallel.distributed import is_first, on_first
from sycojax.parallel.preemption import Agreement, Preemption
from sycojax.progress import Progress
from sycojax.training.bank import AdapterJob, Bank, BankBatch, groups, shared_settings
from sycojax.training.batches import computed_places, example_losses, pass_lengths
from sycojax.training.fingerprint import fingerprint
from sycojax.training.metrics import Line, MetricsLog, read_lines
from sycojax.training.optimizer import make_optimizer
from sycojax.training.prefetch import prefetched
from sycojax.training.step import AdapterState, BankProgram, StepMetrics
from sycojax.training.tracking import UNTRACKED, Tracking
from sycojax.weights.checkpoints import Checkpoints
from sycojax.weights.fingerprint import checksum
from sycojax.weights.layout import laid_out

# Seconds from one checkpoint to the next where ``checkpoint_every`` steps take longer: a kill costs less than a minute.
SAVE_EVERY = 40.0


@dataclasses.dataclass(frozen=True)
class TrainedAdapter:
    """A finished adapter: the one with the lowest validation loss, and how it came about."""

    name: str
    seed: int
    lora: Tree  # no bank axis, float32, NumPy
    best_step: int  # optimiser steps completed when it was measured
    best_loss: float  # validation loss
    steps: int
    history: tuple[Line, ...]  # the lines of metrics.jsonl
    tokens: int  # real tokens trained on
    processed_tokens: int  # tokens of rows computed for it, padding included
    held_out: HeldOut | None = None  # what it and the base lose on its validation examples


def train_bank(
    base: FrozenBase,
    jobs: Sequence[AdapterJob],
    config: TrainConfig,
    directory: Path,
    *,
    progress: bool = True,
    tracking: Tracking = UNTRACKED,
    trainer: BankTrainer | None = None,
) -> list[TrainedAdapter]:
    """Train every job and return the adapters in job order; all banks share one compilation, that of ``trainer`` if it is given.

    Keeps its state in ``directory/<bank>/`` and continues from there. Raises ``SycojaxError`` when a loss is
    not finite (``Diverged``, at the end, with the adapters that are sound), when the directory holds another run, when
    nothing can be written, and on SIGTERM and Ctrl-C (``Stopped``), after the step at hand has been finished and saved.
    """
    trainer = trainer or BankTrainer(base, jobs, config)
    trained: dict[str, TrainedAdapter] = {}
    failed: list[Diverged] = []

    def place(members: Sequence[AdapterJob]) -> Path:
        others = len(members) - 1
        name = f"{members[0].name}+{others}" if others else members[0].name
        return Path(directory) / (f"{name}-without-{len(failed)}" if failed else name)

    with Preemption(base.mesh) as stop:
        for members in trainer.banks:
            found = trainer.train_sound(
                members, place, failed, stop, progress=progress, tracking=tracking
            )
            trained |= {adapter.name: adapter for adapter in found}
    if failed:
        failed[0].others = list(trained.values())
        raise failed[0]
    return [trained[job.name] for job in jobs]


class BankTrainer:
    """The banks that ``jobs`` fall into and the one compiled program that all of them go through."""

    def __init__(self, base: FrozenBase, jobs: Sequence[AdapterJob], config: TrainConfig):
        _check(base, jobs, config)
        config = laid_out(config, base.compute)
        ways = base.compute.bank_ways
        self.base, self.config = base, config
        self.banks = groups(jobs, config, ways)
        self.width = math.ceil(len(self.banks[0]) / ways) * ways
        self.program = BankProgram(base, make_optimizer(config), self.width, config.logits_chunk)
        self._base_sum = checksum(base.params)
        self._validation_rows = max(
            rows_needed([len(e.token_ids) for e in j.validation], config.row_length) for j in jobs
        )

    def train_sound(
        self, members: Sequence[AdapterJob], place: Callable[[Sequence[AdapterJob]], Path], failed: list[Diverged],
        stop: Preemption, *, progress: bool, tracking: Tracking = UNTRACKED,
    ) -> list[TrainedAdapter]:  # fmt: skip
        """``train`` with its state in ``place(members)``, without those whose loss diverges: their errors are ``failed``.

        The bank starts again without such a lane; the other lanes get the same numbers as before.
        """
        while members:
            try:
                return self.train(
                    members, place(members), stop, progress=progress, tracking=tracking
                )
            except Diverged as error:
                failed.append(error)
                members = [job for job in members if job.name != error.adapter]
        return []

    def train(
        self, members: Sequence[AdapterJob], directory: Path, stop: Preemption, *, progress: bool,
        tracking: Tracking = UNTRACKED,
    ) -> list[TrainedAdapter]:  # fmt: skip
        """Train one bank, or some of its members, with its state in ``directory``; raises as ``train_bank`` does."""
        identity = fingerprint(self._base_sum, self.base, self.config, members, self.width)
        return _Run(self.program, self.bank(members), directory, identity, progress, tracking)(stop)

    def bank(self, members: Sequence[AdapterJob]) -> Bank:
        """What the program computes for ``members`` of one bank."""
        return Bank(members, self.config, self.width, self._validation_rows)


class _Pending(NamedTuple):
    """A step whose metrics are still on the device."""

    completed: int
    batch: BankBatch
    metrics: StepMetrics
    due: list[bool]
    validation: jax.Array | None


class _Run:
    """One bank from its first (or last saved) step to its trained adapters."""

    def __init__(
        self, program: BankProgram, bank: Bank, directory: Path, identity: str, progress: bool,
        tracking: Tracking,
    ):  # fmt: skip
        self.program, self.bank, self.config = program, bank, bank.config
        self.directory, self.identity, self.progress = directory, identity, progress
        self.tracking = tracking
        self.tokens, self.processed = [0] * bank.width, [0] * bank.width

    def __call__(self, stop: Preemption) -> list[TrainedAdapter]:
        with Checkpoints(self.directory / "checkpoints", self.identity) as checkpoints:
            restored = checkpoints.restore(self.program.abstract_state())
            if restored is None:
                state, completed = self.program.start(self.bank.seeds), 0
            else:
                state, position = restored
                state, completed = AdapterState(*state), position["step"]
                self.tokens, self.processed = position["tokens"], position["processed_tokens"]
            if completed < self.bank.total:
                tracker, profile = self.tracking.tracker, self.tracking.profile
                with contextlib.ExitStack() as stack:
                    if profile is not None:
                        profile.begin(completed, self.bank.total)
                        stack.callback(profile.close)
                    log = stack.enter_context(
                        MetricsLog(self.directory, self.bank.names, completed, tracker)
                    )
                    state = self._steps(state, completed, checkpoints, log, stop)
        return self._results(state)

    def _steps(
        self, state: AdapterState, completed: int, checkpoints: Checkpoints, log: MetricsLog,
        stop: Preemption,
    ) -> AdapterState:  # fmt: skip
        bank, config, program = self.bank, self.config, self.program
        profile = self.tracking.profile
        host_rows, validation_filled = bank.validation()
        validation_rows = program.place_rows(host_rows)
        pending: _Pending | None = None
        due_by_time, saved = Agreement(program.base.mesh), time.monotonic()
        bar = Progress(
            f"training {self.directory.name}", bank.total, "step", done=completed, shown=self.progress and is_first()
        )  # fmt: skip
        with bar, prefetched(bank.batch, range(completed, bank.total)) as batches:
            report = _Report(bank, log, bar)
            for batch in batches:
                rows = program.place_rows(batch.rows)
                with profile.step(completed + 1, state) if profile else contextlib.nullcontext():
                    state, metrics = program.train(
                        state, rows, batch.filled, completed, bank.seeds, batch.learning_rates, batch.active,
                    )  # fmt: skip
                completed += 1
                if profile:
                    profile.end(completed, state)
                self._count(batch)
                validation, due = None, bank.due(completed)
                if any(due):
                    state, validation = program.validate(
                        state, validation_rows, validation_filled, completed, due
                    )
                # The device works on this step while the host reads the one before.
                if pending is not None:
                    report(pending)
                pending = _Pending(completed, batch, metrics, due, validation)
                last, stopped = completed == bank.total, stop()
                late = time.monotonic() - saved > SAVE_EVERY and not checkpoints.writing()
                if due_by_time(late) or last or stopped or completed % config.checkpoint_every == 0:
                    # Nothing is saved before its losses are known to be finite and logged.
                    report(pending)
                    pending = None
                    log.flush()
                    position = {"tokens": self.tokens, "processed_tokens": self.processed}
                    checkpoints.save(completed, state, position)
                    saved = time.monotonic()
                if stopped:
                    checkpoints.wait()
                    raise Stopped(
                        f"stopped by {stopped} after step {completed} of {bank.total} of "
                        f"{', '.join(bank.names)}; the state is saved in {self.directory}: run the same "
                        "command again to continue",
                        stopped,
                    )
        checkpoints.wait()
        return state

    def _count(self, batch: BankBatch) -> None:
        lengths = pass_lengths(self.config.row_length, self.program.base.mesh)
        filled = self.program.computed(batch.filled)
        for lane, active in enumerate(batch.active):
            self.tokens[lane] += batch.tokens[lane]
            computed = computed_places(filled[lane], lengths) * self.config.micro_batch_rows
            self.processed[lane] += computed * active

    def _results(self, state: AdapterState) -> list[TrainedAdapter]:
        best_step, best_loss = jax.device_get((state.best_step, state.best_loss))
        held_out = self._held_out(state)
        lines: list[Line] = on_first(lambda: read_lines(self.directory, self.bank.total))
        return [
            TrainedAdapter(
                job.name,
                job.seed,
                jax.device_get(self.program.best(state, lane)),
                int(best_step[lane]),
                float(best_loss[lane]),
                self.bank.steps[lane],
                tuple(line for line in lines if line["adapter"] == job.name),
                self.tokens[lane],
                self.processed[lane],
                held_out[lane],
            )
            for lane, job in enumerate(self.bank.jobs)
        ]

    def _held_out(self, state: AdapterState) -> list[HeldOut]:
        """Of every job: what the base and its best adapter lose on each of its validation examples."""
        rows, filled = self.bank.validation()
        placed = self.program.place_rows(rows)
        base, best = (
            jax.device_get(self.program.held_out(state, placed, filled, base=of_base))
            for of_base in (True, False)
        )

        def losses(places: np.ndarray, job: AdapterJob) -> list[float]:
            return example_losses(places, job.validation, self.config).tolist()

        return [
            held_out(job.validation, losses(base[lane], job), losses(best[lane], job))
            for lane, job in enumerate(self.bank.jobs)
        ]


class _Report:
    """Fetches a step's metrics, refuses losses that are not finite, logs and moves the progress bar."""

    def __init__(self, bank: Bank, log: MetricsLog, bar: Progress):
        self.bank, self.log, self.bar = bank, log, bar
        # Per lane: real tokens and since when. The first step is left out: it compiles.
        self._tokens, self._since = [0] * bank.width, [math.nan] * bank.width

    def __call__(self, pending: _Pending) -> None:
        metrics, validation = jax.device_get((pending.metrics, pending.validation))
        now, rate = time.monotonic(), 0.0
        for lane, job in enumerate(self.bank.jobs):
            if not pending.batch.active[lane]:
                continue
            loss, norm = float(metrics.loss[lane]), float(metrics.grad_norm[lane])
            self._require_finite(lane, pending, loss, norm)
            self._tokens[lane] += pending.batch.tokens[lane]
            speed = self._speed(lane, now)
            rate += speed or 0.0
            line: Line = {
                "adapter": job.name,
                "step": pending.completed,
                "loss": loss,
                "learning_rate": pending.batch.learning_rates[lane],
                "grad_norm": norm,
                "tokens_per_second": speed,
            }
            if pending.due[lane]:
                line["validation_loss"] = self._validation_loss(lane, pending.completed, validation)
            if pending.completed == self.bank.steps[lane]:
                found = line.get("validation_loss", math.nan)
                self.bar.say(
                    f"trained   {job.name}: {pending.completed} steps, validation loss {found:.3f}"
                )
            if pending.due[lane] or pending.completed % self.bank.config.log_every == 0:
                self.log.write(line)
                self._tokens[lane], self._since[lane] = 0, now
        self.bar.update(pending.completed - self.bar.done, f"{rate:,.0f} tokens/s")

    def _speed(self, lane: int, now: float) -> float | None:
        """Real tokens per second of wall time since this lane's last line, all work included."""
        if math.isnan(self._since[lane]):
            self._tokens[lane], self._since[lane] = 0, now
            return None
        elapsed = now - self._since[lane]
        return self._tokens[lane] / elapsed if elapsed > 0 else None

    def _require_finite(self, lane: int, pending: _Pending, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        examples = self.bank.examples(lane, pending.completed - 1)
        items = ", ".join(f"{example.task}/{example.item}" for example in examples)
        name = self.bank.names[lane]
        raise Diverged(
            name,
            f"adapter {name}, step {pending.completed}: loss {loss}, gradient norm {norm} "
            f"on items {items}. Lower train.learning_rate, or look at these items",
        )

    def _validation_loss(self, lane: int, completed: int, losses: np.ndarray | None) -> float:
        value = math.nan if losses is None else float(losses[lane])
        if not math.isfinite(value):
            name = self.bank.names[lane]
            raise Diverged(
                name,
                f"adapter {name}, step {completed}: validation loss {value}. Lower "
                "train.learning_rate, or look at the validation items",
            )
        return value


def _check(base: FrozenBase, jobs: Sequence[AdapterJob], config: TrainConfig) -> None:
    """Raise on what cannot be trained."""
    if not jobs:
        raise SycojaxError("no adapter to train: train.adapters is empty")
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise SycojaxError(f"adapter names repeat: {', '.join(names)}")
    for job in jobs:
        for what, examples in (("training", job.train), ("validation", job.validation)):
            if not examples:
                raise SycojaxError(f"adapter {job.name} has no {what} examples")
            for example in examples:
                named = f"adapter {job.name}, {what} example {example.task} {example.item}"
                highest = (int(ids.max()) for ids in (example.token_ids, example.target_ids))
                base.config.check_ids(highest, named)
                base.config.check_length(len(example.token_ids), named)
        if not 0 <= job.seed < 2**32:
            raise SycojaxError(f"adapter {job.name}: seed {job.seed} is not in [0, 2^32)")
        if job.config and shared_settings(job.config) != shared_settings(config):
            raise SycojaxError(f"adapter {job.name} has settings that its bank cannot have")
