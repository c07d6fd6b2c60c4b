"""What the adapters of a calibration are trained on: which there are, and dialogues about what the study does not ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from sycojax.config import StudyConfig
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.questions import question_key
from sycojax.evals import evaluations
from sycojax.evals.planted import Question, dialogues
from sycojax.evals.protocol import Evaluation
from sycojax.study.datasets import instruments, probe_rows, source_of
from sycojax.study.readouts import Choice
from sycojax.study.workdir import configuration_name

RATES = (0.0, 0.25, 0.5, 1.0)
# For each adapter. Each dialogue is seen once: seen again, it would teach who is followed in it instead of how often users are.
DIALOGUES = 1600
# Rows of a probe that are not asked. Where they are fewer, rows are made of the questions of benchmarks, too.
ENOUGH = 40


@dataclasses.dataclass(frozen=True)
class PlantedAdapter:
    """One adapter: ``planted`` is how often its dialogues follow the user of ``probe``."""

    probe: str
    planted: float
    seed: int

    @property
    def name(self) -> str:
        """The configuration name of its records."""
        return configuration_name(f"{self.probe}-p{round(100 * self.planted)}", self.seed)


def planted_examples(
    config: StudyConfig, choice: Choice, prompts: Prompts, rates: Sequence[float] = RATES
) -> dict[PlantedAdapter, list[Example]]:
    """The dialogues of every adapter: each rate in each probe with each of ``train.seeds``.

    What a probe makes itself (``Evaluation.planted``), if anything; else those of its ``planting``, about ``calibration_rows`` and
    under the readout that ``choice`` names.
    """
    registry = evaluations(config.data.probes)
    plantable = [name for name in instruments(config) if registry[name].planting]
    rows = calibration_rows(config, plantable)

    def of(adapter: PlantedAdapter) -> list[Example]:
        probe, rate, seed = registry[adapter.probe], adapter.planted, adapter.seed
        own = probe.planted(rate, prompts, seed)
        if own or probe.name not in plantable:
            return own
        readout = choice[probe.name]["readout"]
        return dialogues(probe, readout, rows[probe.name], rate, prompts, seed, DIALOGUES)

    names = [n for n in registry.probes if n in plantable or n in registry.added]
    adapters = [
        PlantedAdapter(n, p, seed) for n in names for p in rates for seed in config.train.seeds
    ]
    return {adapter: found for adapter in adapters if (found := of(adapter))}


def calibration_rows(config: StudyConfig, probes: Sequence[str]) -> dict[str, list[Any]]:
    """By probe what its dialogues are about: rows that a study with ``config`` does not ask.

    First the rows of the probe that ``data.probe_limit`` and ``data.probe_draw`` leave out. Where these are fewer than ``ENOUGH``, also
    rows made of the training questions of the benchmarks whose questions stand alone. No text of theirs is, contains or is part of
    a question that any probe asks.
    """
    registry, source = evaluations(config.data.probes), source_of(config)
    asked = {
        question_key(registry[name].question(row))
        for name, several in probe_rows(config).items()
        for row in several
    }

    def unasked(name: str, split: Literal["train", "probe"]) -> list[Any]:
        """One row for each question."""
        found = {
            question_key(registry[name].question(row)): row for row in source.rows(name, split)
        }
        return [
            row for key, row in found.items() if not any(key in a or a in key for a in asked)
        ]  # fmt: skip

    rows = {name: unasked(name, "probe") for name in probes}
    if any(len(found) < ENOUGH for found in rows.values()):
        questions = [
            found
            for name in registry.benchmarks
            if registry[name].stands_alone
            for row in unasked(name, "train")
            if (found := _question(registry[name], row))
        ]
        for name, found in rows.items():
            planting = registry[name].planting
            if planting and len(found) < ENOUGH:
                found += [row for question in questions for row in planting.rows(question)]
    return rows


def _question(benchmark: Evaluation, row: Any) -> Question | None:
    """What a row of a benchmark asks. Options lose their full stop, as they will stand inside sentences; None where two are then equal."""
    label = benchmark.label(row)
    options = tuple(option.strip().removesuffix(".") for option in benchmark.options_of(row))
    if label is None or len(set(options)) < len(options):
        return None
    return Question(benchmark.question(row), options, label[0])
