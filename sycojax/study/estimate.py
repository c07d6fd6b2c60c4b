"""How long a study will take here: what a few steps and batches of its own take, times how many there will be.

It changes nothing that is computed: the trial works on states of its own, and its compiled programs are used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sycojax.config import StudyConfig
from sycojax.models.base import FrozenBase, zero_lora
from sycojax.progress import span
from sycojax.requests import Request
from sycojax.scoring import trial as scoring_trial
from sycojax.scoring.prepare import Encoder
from sycojax.scoring.scorer import Scorer
from sycojax.study.adapters import study_jobs
from sycojax.study.budget import CHOICES, Dropped
from sycojax.study.datasets import StudyData, prepare
from sycojax.study.inputs import Inputs, read_inputs
from sycojax.study.readouts import screening
from sycojax.study.scores import scorer_of, stack
from sycojax.study.state import State, state_of
from sycojax.study.work import Training, asked, expected, sample, spread, trained
from sycojax.training import trial as training_trial
from sycojax.training.batches import pass_lengths
from sycojax.training.loop import BankTrainer
from sycojax.weights.frozen import load_frozen

STAGES = ("readouts", "train", "evaluate")  # whose time is told beforehand, in their order
TRIED = 4  # items of each evaluation that the trial asks about


class Stage(NamedTuple):
    """What is known of a stage beforehand."""

    seconds: float
    work: str  # what there is to compute, in words


def training_stage(trainer: BankTrainer) -> Stage:
    """Training of all banks."""
    speed, config, total = training_trial.speed(trainer), trainer.config, 0.0
    adapters, steps, passes = 0, 0.0, 0.0
    cut = pass_lengths(config.row_length, trainer.base.mesh)
    for members in trainer.banks:
        # The lanes of a bank go through each step together: the longest counts.
        lanes = [trained(job, config, cut) for job in members]
        longest = Training(*(max(values) for values in zip(*lanes, strict=True)))
        total += longest.steps * speed.step + longest.passes * speed.each + longest.forward * speed.forward  # fmt: skip
        adapters, steps, passes = adapters + len(lanes), steps + longest.steps, passes + longest.passes  # fmt: skip
    rows = f"{config.micro_batch_rows} rows of {config.row_length}"
    return Stage(total, f"{adapters} adapters: {steps:,.0f} steps, {passes:,.0f} passes over {rows}")  # fmt: skip


def scoring_stages(
    config: StudyConfig, given: Inputs, data: StudyData, scorer: Scorer, state: State,
    dropped: Dropped | None = None,
) -> tuple[Dropped, dict[str, Stage]]:  # fmt: skip
    """What is left out for ``score.budget_minutes``, and two stages: choosing the readouts, and asking all configurations of ``state``.

    ``dropped``: what is left out, where that is decided already.
    """
    base, later = scorer.base, expected(config, given, data)
    configurations = len(state.configurations)
    encoder = Encoder(given.tokenizer, base.config)
    drawn = [r for several in later.values() for r in sample(several, TRIED) if r.candidates]
    # What a step takes depends on the rows, so as many prompts are decoded as will be together; with the longest among them,
    # so that the compiled programs are those of the study.
    written = [r for several in later.values() for r in several if r.max_new_tokens]
    drawn += spread(sorted(written, key=lambda r: -len(r.prompt)), scorer.decoder.rows)
    width = min(scorer.together(configurations), configurations)
    bank = stack([zero_lora(base.config, base.lora)] * width)
    speed = scoring_trial.speed(scorer, drawn, bank)

    def stage(requests: Mapping[str, Sequence[Request]], count: int) -> Stage:
        work = asked(requests, config, given, encoder)
        tokens = work.tokens + work.prompt_tokens
        seconds = tokens * speed.token + work.written / speed.rows * speed.step
        scored = sum(bool(r.candidates) for several in requests.values() for r in several)
        each = f"{tokens:,.0f} tokens to read and {work.written:,.0f} to write"
        return Stage(
            count * seconds + scored * speed.request,
            f"the base: {each}" if count == 1 else f"{count} configurations: {each} each",
        )

    stages = {"readouts": stage(screening(config, given, state).requests, 1)}
    left_out: Dropped = ()
    for left_out in CHOICES if dropped is None else [dropped]:
        stages["evaluate"] = stage(expected(config, given, data, left_out), configurations)
        if seconds_of(stages) <= 60 * config.score.budget_minutes:
            break
    return left_out, stages


def here(config: StudyConfig) -> tuple[FrozenBase, Dropped, dict[str, Stage]]:
    """For a study that has not begun: its base on the devices here, what is left out for ``score.budget_minutes``, and its stages.

    Raises ``SycojaxError`` as a study does that cannot begin; nothing is written.
    """
    given = read_inputs(config)
    data = prepare(config, given.tokenizer, given.context)
    jobs, base = study_jobs(config, data.training), load_frozen(config)
    state = state_of(config, Path(), given, jobs, data.requests)
    scorer = scorer_of(config, given, base)
    undecided = None if config.score.budget_minutes else ()
    dropped, stages = scoring_stages(config, given, data, scorer, state, undecided)
    if jobs:
        stages["train"] = training_stage(BankTrainer(base, jobs, config.train))
    return base, dropped, {name: stages[name] for name in STAGES if name in stages}


def seconds_of(stages: Mapping[str, Stage]) -> float:
    """The seconds that ``score.budget_minutes`` limits: those of all stages but training."""
    return sum(stage.seconds for name, stage in stages.items() if name != "train")


def durations(seconds: Mapping[str, float]) -> str:
    """Such as ``readouts 14 s, train 2 min``."""
    return ", ".join(f"{name} {span(seconds[name])}" for name in STAGES if name in seconds)
