"""The whole study in order: data, adapters, records, report. Each stage skips what is complete and current."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.models.base import FrozenBase
from sycojax.models.lora import covering
from sycojax.parallel.distributed import is_first, on_first
from sycojax.progress import Progress, span
from sycojax.scoring.journal import NAME as JOURNAL
from sycojax.scoring.scorer import Scorer
from sycojax.study.adapters import study_jobs, train_adapters
from sycojax.study.budget import Dropped, decided, written
from sycojax.study.budget import said as budget_said
from sycojax.study.cost import Asked, times
from sycojax.study.datasets import StudyData, prepare
from sycojax.study.effort import of_scoring, of_training, product_speed
from sycojax.study.estimate import (
    STAGES,
    Stage,
    said,
    scoring_stages,
    seconds_of,
    training_stage,
)
from sycojax.study.inputs import Inputs, read_inputs
from sycojax.study.readouts import NAME as READOUTS
from sycojax.study.readouts import asked_with, left_out, screening, settled, take
from sycojax.study.scores import Answered, answered, score_configurations, write_items
from sycojax.study.state import State, check_free, state_of
from sycojax.study.work import followed
from sycojax.study.workdir import alone, base_before, claim, describe
from sycojax.training.layout import laid_out
from sycojax.training.loop import BankTrainer
from sycojax.training.tracking import UNTRACKED, Tracking
from sycojax.weights.fingerprint import weights_fingerprint
from sycojax.weights.frozen import load_frozen
from sycojax.weights.precision import settled as settled_precision

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
    seconds: dict[str, float] = {}

    def lap(stage: str, done: Mapping[str, float] | None = None) -> None:
        """``done``: what the stage computed, which is set beside its time where this run alone did all of it."""
        nonlocal started
        now = time.perf_counter()
        spent = on_first(
            lambda: read_json(workdir / "study.json").get("seconds", {}).get(stage, 0.0)
        )
        seconds[stage] = round(spent + now - started, 1)  # of all runs
        work = (
            {stage: {**done, "seconds": round(now - started, 1)}} if done and done["tokens"] else {}
        )
        write_down({"seconds": seconds, "work": work if anew and not spent else {}})
        started = now

    def note(line: str) -> None:
        if is_first():
            say(line)

    def write_down(found: dict[str, Any]) -> None:
        on_first(lambda: describe(workdir, config, found))

    if config.score.budget_minutes and jax.process_count() > 1:
        raise SycojaxError(
            "score.budget_minutes needs a trial, which one process can run and several cannot: set it to 0"
        )
    on_first(lambda: check_free(workdir, "study", config.name))
    left = ("training/*/*/checkpoints", JOURNAL, f"{READOUTS}.jsonl")  # by a run that was stopped
    anew = on_first(lambda: not any(any(workdir.glob(name)) for name in left))
    config = settled_precision(config, workdir)
    with Progress("reading base and data", shown=progress and is_first()):
        given = read_inputs(config)
        data = data or prepare(config, given.tokenizer, given.context)
    jobs = study_jobs(config, data.training)
    # Where it stops before the base is asked, the arms that it was asked before are part of what the answers rest on.
    early = until in ("data", "train")
    state = (
        settled(config, workdir, given, jobs, data)
        if early
        else state_of(config, workdir, given, jobs, data.requests)
    )
    with alone(workdir):
        on_first(lambda: claim(workdir, config))
        base = base or load_frozen(config, progress=progress)
        count = base.config.base_parameter_count
        chosen = f", {base.compute.attention} attention" if config.base.attention == "auto" else ""
        note(f"base      {given.base} ({count:,} parameters, {config.base.precision}{chosen})")
        layout: dict[str, Any] = {"mesh": dict(base.mesh.shape)}
        if jobs:
            layout["micro_batch_rows"] = laid_out(config.train, base.compute).micro_batch_rows
        if base.mesh.size > 1:
            sizes = " x ".join(f"{axis} {size}" for axis, size in base.mesh.shape.items())
            note(f"mesh      {sizes}")
        if on_first(lambda: base_before(workdir)) not in ("", given.weights):
            note(
                "          its files are not those of the last run: all that rests on it is made anew"
            )
        numbers = on_first(lambda: weights_fingerprint(given.base))
        dropped = decided(config, workdir)
        write_down({
            "data": dict(data.summary), "template": given.prompts.template.description(),
            "base_fingerprint": given.weights, "base_weights": numbers, "basis": state.basis,
            "attention": base.compute.attention, "layout": layout, "command": command, "notes": _notes(given, config, dropped),
        })  # fmt: skip
        note(_data_line(data.summary))
        lap("data")
        if until == "data":
            return
        # Adapters of other shapes share one program with the study's own: the smallest that holds all of them.
        shapes = [adapter.shape for adapter in given.external.values()]
        scored = dataclasses.replace(base, lora=covering([config.lora, *shapes]))
        ends = given.prompts.template.end_ids(given.tokenizer)

        programs = Scorer(scored, given.tokenizer, config.score, ends)

        def score(
            state: State, known: Answered | None = None, journal: str = JOURNAL
        ) -> dict[str, Any]:
            own = programs.again()
            return score_configurations(
                config, scored, own, state, progress=progress, journal_name=journal, known=known
            )

        asked = screening(config, given, state)
        trainer, stages = None, dict[str, Stage]()
        told = on_first(lambda: read_json(workdir / "study.json").get("estimate", {}))
        # Several processes would stop their trials at different moments.
        if dropped is None or (foretell and jax.process_count() == 1):
            if (
                foretell
                and until != "readouts"
                and "train" not in told
                and jobs
                and jobs == state.untrained()
            ):
                trainer = BankTrainer(base, jobs, config.train)
                stages["train"] = training_stage(trainer)
            if until != "train" and (
                dropped is None or ("readouts" not in told and asked.lacking())
            ):
                dropped, found = scoring_stages(
                    config, given, data, programs.again(), state, dropped
                )
                stages |= found
        if stages:
            lap("trial")
            estimate = {name: round(stages[name].seconds, 1) for name in STAGES if name in stages}
            write_down({"estimate": estimate, "product_flops": product_speed(base)})
            note(f"estimate  {said(estimate)}; from a trial of {span(seconds['trial'])}")
        if config.score.budget_minutes and dropped is not None:
            note(f"budget    {budget_said(config, dropped, seconds_of(stages))}")
            notes = _notes(given, config, dropped)
            write_down({"budget": written(config, dropped), "notes": notes})
        known: Answered = {}

        if until != "train":
            first_counts = score(asked, journal=f"{READOUTS}.jsonl")
            known = answered(asked)
            choice = take(config, asked, note)
            requests = asked_with(config, given, data, choice, dropped or ())
            state = state_of(config, workdir, given, jobs, requests)
            on_first(lambda: write_items(workdir, state.requests))
            long = left_out(config, requests)
            taken = {name: {**one, "too_long": long.get(name, 0)} for name, one in choice.items()}
            write_down({"readouts": taken, "basis": state.basis, "asked": state.asked})
            if choice and is_first():
                alone_asked, all_asked = (
                    followed(r, config, given.prompts) for r in (data.requests, requests)
                )
                note(_cost_line(alone_asked, asked.requests, all_asked))
            lap("readouts", of_scoring(first_counts, base.config) if first_counts else None)
            if until == "readouts":
                return
        fresh = [job.name for job in state.untrained()]
        training = train_adapters(
            config, base, state, progress=progress, tracking=tracking, trainer=trainer
        )
        lap("train", of_training({name: training[name] for name in fresh}, base.config))
        write_down({"training": training})
        note(f"adapters  {len(training)} trained or up to date")
        if until == "train":
            return
        counts = score(state, known)
        lap("evaluate", of_scoring(counts, base.config) if counts else None)
        write_down({"scoring": counts} if counts else {})
        note(
            f"records   {len(state.configurations)} configurations on {len(state.requests)} evaluations"
        )
        if counts:
            note(_tokens_line(counts))
        if told or stages:
            note(f"took      {said(seconds)}")


def _cost_line(alone: Asked, screened: Asked, asked: Asked) -> str:
    adapter = times(asked, alone)
    base = times({**asked, **{f"{READOUTS}/{name}": few for name, few in screened.items()}}, alone)
    return f"cost      an adapter is asked {adapter:.1f} times what it would be without arms, the base {base:.1f} times"


def _notes(given: Inputs, config: StudyConfig, dropped: Dropped | None) -> list[str]:
    """What the report says of the study besides its numbers."""
    idle = [
        f"{name} does nothing: all that it adds to the base's weights is zero, so its numbers are the base's."
        for name, found in given.external.items()
        if found.idle
    ]
    return [*idle, f"{budget_said(config, dropped).capitalize()}."] if dropped else idle


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
