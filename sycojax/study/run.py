"""The whole study in order: data, adapters, records, report. Each stage skips what is complete and current."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase
from sycojax.parallel.distributed import is_first, on_first
from sycojax.parallel.mesh import in_words
from sycojax.progress import Progress, span
from sycojax.scoring.journal import NAME as JOURNAL
from sycojax.scoring.scorer import Scorer
from sycojax.study.adapters import study_jobs, train_adapters
from sycojax.study.budget import Dropped, budget_line, decided, written
from sycojax.study.cost import Asked, times
from sycojax.study.datasets import StudyData, prepare
from sycojax.study.effort import of_scoring, of_training, product_speed
from sycojax.study.estimate import (
    STAGES,
    Stage,
    durations,
    scoring_stages,
    seconds_of,
    training_stage,
)
from sycojax.study.inputs import Inputs, read_inputs
from sycojax.study.ledger import Ledger
from sycojax.study.readouts import (
    READOUTS_JOURNAL,
    asked_with,
    left_out,
    screening,
    state_with_arms,
    take,
)
from sycojax.study.scores import Answered, answered, score_configurations, scorer_of, write_items
from sycojax.study.state import State, check_free, state_of
from sycojax.study.work import followed
from sycojax.study.workdir import alone, base_before, claim
from sycojax.training.bank import AdapterJob
from sycojax.training.loop import BankTrainer
from sycojax.training.tracking import UNTRACKED, Tracking
from sycojax.weights.fingerprint import weights_fingerprint
from sycojax.weights.frozen import load_frozen
from sycojax.weights.layout import laid_out
from sycojax.weights.precision import exact_products, settled

Until = Literal["data", "readouts", "train", "evaluate"]


def run(
    config: StudyConfig,
    workdir: Path,
    *,
    until: Until = "evaluate",
    command: str = "",
    progress: bool = True,
    tracking: Tracking = UNTRACKED,
    say: Callable[[str], None] = print,
    base: FrozenBase | None = None,
    data: StudyData | None = None,
    foretell: bool = False,
) -> None:
    """Bring ``workdir`` up to date with ``config`` as far as ``until``.

    ``command`` is what the user typed, for ``study.json``. ``base`` and ``data`` are what ``load_frozen`` and ``prepare`` give
    for ``config``, where they are there already. ``foretell``: say at first how long each stage will take. Raises ``SycojaxError`` on anything the user can mend; what was
    completed before stays and is reused, and an input that cannot be used leaves no trace.
    """
    started = time.perf_counter()
    if config.score.budget_minutes and jax.process_count() > 1:
        raise SycojaxError(
            "score.budget_minutes needs a trial, which one process can run and several cannot: set it to 0"
        )
    on_first(lambda: check_free(workdir, "study", config.name))
    config = settled(config, workdir)
    ledger = Ledger(workdir, config, say, started)
    with Progress("reading base and data", shown=progress and is_first()):
        given = read_inputs(config)
        data = data or prepare(config, given.tokenizer, given.context)
    jobs = study_jobs(config, data.training)
    # A run that stops before the base is asked must know the arms that an earlier one asked: they are part of the questions that the
    # answers in the workdir rest on.
    early = until in ("data", "train")
    state = (
        state_with_arms(config, workdir, given, jobs, data)
        if early
        else state_of(config, workdir, given, jobs, data.requests)
    )
    with alone(workdir), exact_products(config.base.dtype):
        on_first(lambda: claim(workdir, config))
        base = base or load_frozen(config, progress=progress)
        study = _Study(config, workdir, given, data, jobs, base, ledger, progress)
        study.begin(state, command)
        if until == "data":
            return
        asked = screening(config, given, state)
        with Progress("trial of what is to come", shown=progress and is_first()):
            dropped, trainer = study.foretell(state, asked, until, foretell)
        known: Answered = {}
        if until != "train":
            state = study.choose(state, asked, dropped)
            known = answered(asked)
            if until == "readouts":
                return
        study.train(state, tracking, trainer)
        if until != "train":
            study.evaluate(state, known)


@dataclasses.dataclass(frozen=True)
class _Study:
    """A study at work, stage by stage."""

    config: StudyConfig
    workdir: Path
    given: Inputs
    data: StudyData
    jobs: Sequence[AdapterJob]
    base: FrozenBase
    ledger: Ledger
    progress: bool

    def begin(self, state: State, command: str) -> None:
        """Say and write what is computed with what."""
        config, base, given, note = self.config, self.base, self.given, self.ledger.note
        count = base.config.base_parameter_count
        chosen = f", {base.compute.attention} attention" if config.base.attention == "auto" else ""
        note(f"base      {given.base} ({count:,} parameters, {config.base.precision}{chosen})")
        layout: dict[str, Any] = {"mesh": dict(base.mesh.shape)}
        if self.jobs:
            layout["micro_batch_rows"] = laid_out(config.train, base.compute).micro_batch_rows
            layout["remat"] = base.compute.remat
        if base.mesh.size > 1:
            note(f"mesh      {in_words(base.mesh.shape)}")
        if on_first(lambda: base_before(self.workdir)) not in ("", given.weights):
            note("          its files are not those of the last run: all that rests on it is made anew")  # fmt: skip
        numbers = on_first(lambda: weights_fingerprint(given.base))
        notes = _notes(given, config, decided(config, self.workdir))
        self.ledger.write(
            data=dict(self.data.summary), template=given.prompts.template.description(), base_fingerprint=given.weights,
            base_weights=numbers, basis=state.basis, attention=base.compute.attention, layout=layout, command=command,
            notes=notes,
        )  # fmt: skip
        note(_data_line(self.data.summary))
        self.ledger.lap("data")

    def foretell(
        self, state: State, asked: State, until: Until, wanted: bool
    ) -> tuple[Dropped, BankTrainer | None]:
        """What is left out for ``score.budget_minutes``, and the trainer, where the trial has made one.

        Where that is ``wanted``, say how long the stages will take that have not begun.
        """
        config, ledger = self.config, self.ledger
        dropped, told = decided(config, self.workdir), ledger.written("estimate")
        # Several processes would stop their trials at different moments.
        wanted = wanted and jax.process_count() == 1
        trainer, stages = None, dict[str, Stage]()
        trains = wanted and until != "readouts" and "train" not in told and bool(self.jobs)
        if trains and self.jobs == state.untrained():
            trainer = BankTrainer(self.base, self.jobs, config.train)
            stages["train"] = training_stage(trainer)
        unasked = wanted and "readouts" not in told and bool(asked.lacking())
        if until != "train" and (dropped is None or unasked):
            dropped, found = scoring_stages(
                config, self.given, self.data, self.programs.again(), state, dropped
            )
            stages |= found
        if stages:
            ledger.lap("trial")
            estimate = {name: round(stages[name].seconds, 3) for name in STAGES if name in stages}
            ledger.write(estimate=estimate, product_flops=product_speed(self.base))
            ledger.note(f"estimate  {durations(estimate)}; from a trial of {span(ledger.seconds['trial'])}")  # fmt: skip
        if config.score.budget_minutes and dropped is not None:
            ledger.note(f"budget    {budget_line(config, dropped, seconds_of(stages))}")
            notes = _notes(self.given, config, dropped)
            ledger.write(budget=written(config, dropped), notes=notes)
        return dropped or (), trainer

    def choose(self, state: State, asked: State, dropped: Dropped) -> State:
        """Ask the base in every readout, choose one for each probe, and say what all configurations are asked by that."""
        config, given, ledger = self.config, self.given, self.ledger
        counts = self._score(asked, journal=READOUTS_JOURNAL)
        choice = take(config, asked, ledger.note)
        requests = asked_with(config, given, self.data, choice, dropped)
        state = state_of(config, self.workdir, given, self.jobs, requests)
        on_first(lambda: write_items(self.workdir, state.requests))
        long = left_out(config, requests)
        taken = {name: {**one, "too_long": long.get(name, 0)} for name, one in choice.items()}
        ledger.write(readouts=taken, basis=state.basis, asked=state.asked)
        if choice and is_first():
            alone_asked, all_asked = (
                followed(r, config, given.prompts) for r in (self.data.requests, requests)
            )
            ledger.note(_cost_line(alone_asked, asked.requests, all_asked))
        ledger.lap("readouts", of_scoring(counts, self.base.config) if counts else None)
        return state

    def train(self, state: State, tracking: Tracking, trainer: BankTrainer | None) -> None:
        """Train the adapters that are not up to date."""
        fresh = [job.name for job in state.untrained()]
        training = train_adapters(
            self.config, self.base, state, progress=self.progress, tracking=tracking, trainer=trainer
        )  # fmt: skip
        done = of_training({name: training[name] for name in fresh}, self.base.config)
        self.ledger.lap("train", done)
        self.ledger.write(training=training)
        self.ledger.note(f"adapters  {len(training)} trained or up to date")

    def evaluate(self, state: State, known: Answered) -> None:
        """Ask every configuration everything, except what is ``known`` of the base."""
        ledger = self.ledger
        counts = self._score(state, known=known, checked=lambda found: ledger.write(scoring=found))
        ledger.lap("evaluate", of_scoring(counts, self.base.config) if counts else None)
        ledger.note(
            f"records   {len(state.configurations)} configurations on {len(state.requests)} evaluations"
        )
        if counts:
            ledger.note(_tokens_line(counts))
        if ledger.written("estimate"):
            ledger.note(f"took      {durations(ledger.seconds)}")

    @functools.cached_property
    def programs(self) -> Scorer:
        """What asks in all stages: a program that one has compiled serves the others."""
        return scorer_of(self.config, self.given, self.base)

    def _score(
        self, state: State, journal: str = JOURNAL, known: Answered | None = None,
        checked: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        return score_configurations(
            self.config, self.programs.base, self.programs.again(), state, progress=self.progress, journal_name=journal,
            known=known, checked=checked,
        )  # fmt: skip


def _cost_line(alone: Asked, screened: Asked, asked: Asked) -> str:
    adapter = times(asked, alone)
    base = times({**asked, **{f"screening/{name}": few for name, few in screened.items()}}, alone)
    return f"cost      an adapter is asked {adapter:.1f} times what it would be without arms, the base {base:.1f} times"


def _notes(given: Inputs, config: StudyConfig, dropped: Dropped | None) -> list[str]:
    """What the report says of the study besides its numbers."""
    idle = [
        f"{name} does nothing: all that it adds to the base's weights is zero, so its numbers are the base's."
        for name, found in given.external.items()
        if found.idle
    ]
    return [*idle, f"{budget_line(config, dropped).capitalize()}."] if dropped else idle


def _data_line(summary: Mapping[str, Any]) -> str:
    rows = {split: sum(by_name.values()) for split, by_name in summary["rows"].items()}
    text = f"data      {rows['train']} training rows, {rows['test']} test items, {rows['probe']} probe items"
    dropped = sum(
        counts["rows"] for counts in summary.get("contaminated_rows_dropped", {}).values()
    )
    return f"{text}; {dropped} training rows dropped that a probe asks" if dropped else text


def _tokens_line(counts: Mapping[str, Any]) -> str:
    """What scoring computed against the least that any scheme could, and against no sharing at all."""
    computed, unique = counts["padded_tokens"], counts["unique_tokens"]
    line = (
        f"tokens    {computed:,} scored, padding included: {computed / max(unique, 1):.2f}x the {unique:,} unique "
        f"ones ({counts['naive_tokens']:,} without sharing)"
    )
    generated = counts["generated_tokens"]
    return f"{line}; {generated:,} generated" if generated else line
