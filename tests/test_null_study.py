"""Whole studies in which nothing happened, from records to verdicts: they may claim anything in 5 % of cases at most.

Each has five adapters, three probes and 1 to 5 seeds. With one seed the null is base against base: another training does
move the weights, and with one seed a claim speaks of those weights only. With several, every seed has a shift of its own
around 0. What models answer is either soft, or nearly always certain: then few questions differ at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from analysis.records.load import Configuration, Study
from analysis.results import compute
from analysis.verdicts import rule
from sycojax.evals import choices
from sycojax.evals.declared import Contrast
from sycojax.evals.measured import measured
from sycojax.evals.protocol import ItemRecords, Measure, Probe
from sycojax.evals.registry import Evaluations
from sycojax.records import Record

ADAPTERS = ("gsm8k", "mmlu", "truthfulqa", "hellaswag", "combined")
SIDES = ("for", "against")


class Sided(Probe):
    """Two answers, once with the user for the first and once against it."""

    contrasts = (Contrast("dP", "decided_net", "floor"),)

    def __init__(self, name: str):
        self.name = name

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        table = ItemRecords(records)
        d = {side: s[:, 0] - s[:, 1] for side, s in zip(SIDES, table.scores(*SIDES), strict=True)}
        q = {side: choices.sigmoid(found) for side, found in d.items()}
        return [
            table.mean("dP", "Probability", q["for"] - q["against"], "mean of q_for - q_against"),
            table.mean(
                "decided_net", "Decision", (d["for"] > 0) * 1.0 - (d["against"] > 0),
                "mean of 1[d_for > 0] - 1[d_against > 0]",
            ),
        ]  # fmt: skip


PROBES = Evaluations([Sided("answer"), Sided("are_you_sure"), Sided("feedback")])


def study(
    rng: np.random.Generator, n: int, seeds: int, certain: bool, effect: float = 0.0
) -> Study:
    """``effect``, in nats, moves every adapter on every probe towards the user. Some questions are asked twice."""
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"{a}-s{s}", a, s) for a in ADAPTERS for s in range(seeds)]
    clusters = [i - i % 2 if i < n // 10 else i for i in range(n)]
    scale = 12.0 if certain else 1.0
    measures: dict[tuple[str, str], tuple[Measure, ...]] = {}
    for probe in PROBES.probes:
        # What a question's two sides are worth, the same for all; and what an adapter's task does to it. The base has
        # had a training too: noise in log-odds draws probabilities to the middle, which would be a shift.
        question = scale * rng.normal(0.2, 1, (n, 1))[clusters] + np.array([0.4, -0.4])
        direction = {a: 0.5 * rng.normal(size=(n, 2)) for a in ("base", *ADAPTERS)}
        for configuration in configurations:
            moved = question + direction[configuration.adapter] + 0.5 * rng.normal(size=(n, 2))
            if configuration.adapter != "base":
                moved += effect * np.array([1, -1])
                moved += 0.1 * rng.normal() * np.array([1, -1]) if seeds > 1 else 0.0
            measures[configuration.name, probe] = tuple(
                measured(PROBES[probe], records(probe, clusters, moved))
            )
    return Study(
        Path("study"), {}, tuple(configurations), PROBES.probes, measures, {}, {}, {}, (),
        registry=PROBES,
    )  # fmt: skip


def records(probe: str, clusters: Sequence[int], logits: np.ndarray) -> list[Record]:
    return [
        Record(probe, f"i{i}", side, f"c{clusters[i]}", {}, (logit, 0.0))
        for i, row in enumerate(logits)
        for side, logit in zip(SIDES, row, strict=True)
    ]


def outcomes(monkeypatch: pytest.MonkeyPatch, found: Study) -> list[str]:
    monkeypatch.setattr(rule, "concludes", lambda _: True)
    said = [v.outcome for v in rule.every_verdict(compute(found, headlines=True))]
    assert len(said) == len(ADAPTERS) * len(PROBES)
    return said


@pytest.mark.parametrize("seeds", [1, 3])
def test_too_few_questions_claim_nothing(monkeypatch: pytest.MonkeyPatch, seeds: int) -> None:
    """Not even where every one of them moves: three or ten may be the ones that do."""
    for n in (3, 10):
        found = study(np.random.default_rng([n, seeds]), n, seeds, False, effect=3.0)
        assert set(outcomes(monkeypatch, found)) == {"too few items"}


def test_an_effect_is_claimed_and_so_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing here could fail."""
    raised = outcomes(monkeypatch, study(np.random.default_rng(1), 40, 1, False, effect=1.5))
    assert set(raised) == {"raised"}
    same = outcomes(monkeypatch, study(np.random.default_rng(1), 300, 1, False))
    assert same.count("no change") > 10


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 300])
@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_nothing_is_claimed_where_nothing_happened(
    monkeypatch: pytest.MonkeyPatch, n: int, seeds: int
) -> None:
    """120 studies, half of them of models that are nearly always certain."""
    claiming = 0
    for i in range(60):
        for certain in (False, True):
            rng = np.random.default_rng([n, seeds, i])
            said = outcomes(monkeypatch, study(rng, n, seeds, certain))
            claiming += bool({"raised", "lowered"} & set(said))
    # A true rate of .05 passes with probability .97; .1 with .35.
    assert claiming <= 0.05 * 120 + 2 * np.sqrt(120 * 0.05 * 0.95)
