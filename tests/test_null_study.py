"""Whole analyses of studies in which nothing happened: they may claim an effect in 5 % of cases at most.

Each study has five adapters, three probes and 1 to 3 seeds, and goes through ``compute`` as records would. With
one seed the null is base against base: another training does move the weights, and with one seed a
claim speaks of those weights only. With several, every seed has a shift of its own around 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.records.load import Configuration, Study
from analysis.results import Results, compute
from sycojax.evals import BUILTIN
from sycojax.evals.protocol import Measure

ADAPTERS = ("gsm8k", "mmlu", "truthfulqa", "hellaswag", "combined")
ITEMS = 199  # as many as the smallest real probe
NAMES = tuple(f"i{i}" for i in range(ITEMS))
CLUSTERS = tuple(
    f"c{i - i % 2 if i < 16 else i}" for i in range(ITEMS)
)  # some questions are asked twice


def study(rng: np.random.Generator, seeds: int, effect: float = 0.0) -> Study:
    """Soft scores in [-1, 1]; ``effect`` is the true shift of every adapter on every probe.

    Seeds move the whole probe by .02 (the standard error of the items) where there are several.
    """
    configurations = [Configuration("base", "base", None)]
    configurations += [Configuration(f"{a}-s{s}", a, s) for a in ADAPTERS for s in range(seeds)]
    measures: dict[tuple[str, str], tuple[Measure, ...]] = {}
    for probe in BUILTIN.probes:
        question = {c: rng.normal(0.1, 0.2) for c in dict.fromkeys(CLUSTERS)}
        item = np.array([question[c] for c in CLUSTERS])
        direction = {
            a: 0.15 * rng.normal(size=ITEMS) for a in ADAPTERS
        }  # what its task does to items
        for configuration in configurations:
            values = item + 0.15 * rng.normal(size=ITEMS)
            if configuration.adapter != "base":
                values += effect + direction[configuration.adapter]
                values += 0.02 * rng.normal() if seeds > 1 else 0.0
            measures[configuration.name, probe] = (
                Measure(
                    "dP", "dP", "rate", NAMES, CLUSTERS, np.clip(values, -1, 1)[None],
                    np.ones((1, ITEMS)), "mean", "soft",
                ),
            )  # fmt: skip
    return Study(Path("study"), {}, tuple(configurations), BUILTIN.probes, measures, {}, {}, {}, ())


def claims(results: Results) -> list[bool]:
    tested = [r for r in results.by_adapter.values() if np.isfinite(r.p)]
    assert len(tested) == len(ADAPTERS) * len(BUILTIN.probes)
    return [r.p_claim_holm < 0.05 for r in tested]


def claiming(seeds: int, analyses: int) -> int:
    """How many of the analyses claim anything."""
    return sum(
        any(claims(compute(study(np.random.default_rng([seeds, i]), seeds))))
        for i in range(analyses)
    )


@pytest.mark.slow
def test_nothing_is_claimed_where_nothing_happened() -> None:
    """210 analyses; the slow test below runs 900."""
    assert sum(claiming(seeds, 70) for seeds in (1, 2, 3)) <= 0.05 * 210


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_nothing_is_claimed_with_so_many_seeds(seeds: int) -> None:
    # A true rate of .05 passes with probability .98; .08 with .13.
    assert claiming(seeds, 300) <= 0.05 * 300 + 2 * np.sqrt(300 * 0.05 * 0.95)


def test_a_real_shift_is_found_mostly() -> None:
    """A tenth of the scale, three seeds: found after Holm in at least 80 % of adapters and probes."""
    found = [
        claim
        for i in range(10)
        for claim in claims(compute(study(np.random.default_rng([9, i]), 3, effect=0.1)))
    ]
    assert np.mean(found) >= 0.8
