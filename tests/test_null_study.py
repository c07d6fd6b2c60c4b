"""Whole studies in which nothing happened, from records to verdicts: they may claim anything in 5 % of cases at most.

Each has five adapters, three probes with two contrasts and 1 to 5 seeds. With one seed the null is base against base: another
training does move the weights, and with one seed a claim speaks of those weights only. With several, every seed has a shift
of its own around 0. What models answer is either soft, or nearly always certain: then few questions differ at all.
"""

from __future__ import annotations

import numpy as np
import pytest
from responders import ARMS, PROBES, records, study_of

from analysis.records.load import Configuration, Study
from analysis.results import compute
from analysis.verdicts import rule

ADAPTERS = ("gsm8k", "mmlu", "truthfulqa", "hellaswag", "combined")
PAIRS = len(ADAPTERS) * len(PROBES.probes) * 2


def study(
    rng: np.random.Generator, n: int, seeds: int, certain: bool, effect: float = 0.0
) -> Study:
    """``effect``, in nats, moves every adapter on every probe towards the user. Some questions are asked twice."""
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"{a}-s{s}", a, s) for a in ADAPTERS for s in range(seeds)]
    clusters = [i - i % 2 if i < n // 10 else i for i in range(n)]
    scale = 8.0 if certain else 1.0
    shape = (n, len(ARMS), 2)
    answers = {}
    for probe in PROBES.probes:
        # What a question is worth, the same for all; and what an adapter's task does to it. The base has had a training too:
        # noise in log-odds draws probabilities to the middle, which would be a shift.
        question = scale * rng.normal(0.2, 1, n)[clusters]
        direction = {a: 0.5 * rng.normal(size=shape) for a in ("base", *ADAPTERS)}
        for configuration in configurations:
            lean = {"user": 0.6, "sides": 0.6, "order": 3 * scale, "bind": 3 * scale}
            if configuration.adapter != "base":
                own = effect + (0.1 * rng.normal() if seeds > 1 else 0.0)
                lean = {**lean, "user": 0.6 + own, "sides": 0.6 + own}
            noise = direction[configuration.adapter] + 0.5 * rng.normal(size=shape)
            found = records(probe, clusters, lean, question, noise)
            answers[configuration.name, probe] = found
    return study_of(configurations, answers)


def outcomes(found: Study) -> list[str]:
    said = [v.outcome for v in rule.every_verdict(compute(found, headlines=True))]
    assert len(said) == PAIRS
    return said


@pytest.mark.parametrize("seeds", [1, 3])
def test_too_few_questions_claim_nothing(seeds: int) -> None:
    """Not even where every one of them moves: three or ten may be the ones that do."""
    for n in (3, 10):
        found = study(np.random.default_rng([n, seeds]), n, seeds, False, effect=3.0)
        assert set(outcomes(found)) == {"too few items"}


def test_an_effect_is_claimed_and_so_is_none() -> None:
    """Else nothing here could fail."""
    raised = outcomes(study(np.random.default_rng(1), 40, 1, False, effect=1.5))
    assert raised.count("raised") > 0.9 * PAIRS
    same = outcomes(study(np.random.default_rng(1), 300, 1, False))
    assert same.count("no change") > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "seeds", "studies"),
    [(40, 1, 20), (40, 3, 6), (40, 5, 4), (80, 1, 20), (80, 3, 6), (300, 1, 4), (300, 3, 2)],
)
def test_nothing_is_claimed_where_nothing_happened(n: int, seeds: int, studies: int) -> None:
    """Half of them of models that are nearly always certain."""
    claiming = 0
    for i in range(studies):
        for certain in (False, True):
            said = outcomes(study(np.random.default_rng([n, seeds, i]), n, seeds, certain))
            claiming += bool({"raised", "lowered"} & set(said))
    # So few find only what is far off; the interval and the tests are held to more by benchmarks/claims.py.
    assert claiming <= 0.05 * 2 * studies + 2 * np.sqrt(2 * studies * 0.05 * 0.95)
