"""How often intervals hold the truth that a report makes of several measures: ``python -m benchmarks.coverage_of_reports``.

Each is called as the report calls it, on made-up answers of one, three or five seeds that lie apart or not; the true number is 0
but for the letter prior, which seeds that lie apart raise. Printed as Markdown: a table of docs/statistics.md. Takes five
minutes; a short version is a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from analysis.audits.prior import divergence, of_masses
from analysis.calibration.planted import line
from analysis.records.load import BASE, Configuration, Study
from analysis.results import Results
from analysis.results.benchmarks import mean_shifts
from analysis.results.comparisons import compare
from analysis.results.gates import of_an_order
from analysis.results.placebo import beside_placebo
from analysis.statistics import Drawn, Estimate, Resampled, drawn_shift, pooled_spread
from benchmarks.coverage import Draw, covered, measure, sample
from sycojax.evals.protocol import Measure
from sycojax.records import PLACEBO

ITEMS = (20, 100)
SEEDS = (1, 3, 5)
APART = (0.0, 0.05)  # standard deviation between the seeds' true values
RATES = (0.2, 0.5)
ADAPTERS = ("x", "y", PLACEBO)


def benchmarks_mean(n: int, rate: float, seeds: int, apart: float) -> Draw:
    """Mean shift of four benchmarks, which a seed moves all alike."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        study, moved = _study(seeds), _moved(rng, seeds, apart)
        answers: dict[tuple[str, str], tuple[Measure, ...]] = {}
        for benchmark in "abcd":
            before = rng.random(n)
            for c in study.configurations:
                answers[c.name, benchmark] = (_answers(rng, before, rate + moved[c.name]),)
        study = _study(seeds, answers)
        return mean_shifts(study, {b: answers[BASE, b][0] for b in "abcd"})["x"], 0.0

    return draw


def less_the_placebos(n: int, rate: float, seeds: int, apart: float) -> Draw:
    """An adapter's shift less the placebo's."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        moved, before = _moved(rng, seeds, apart), rng.random(n)
        study = _study(
            seeds, {(c, "a"): (_answers(rng, before, rate + m),) for c, m in moved.items()}
        )
        compared = compare(study, {c: m for (c, _), (m,) in study.measures.items()})
        by_adapter = {(g, "a", "m"): found for g, found in compared.by_group.items()}
        found = beside_placebo(Results(study, {}, by_adapter, (), {}, {}, ()), "x", "a", "m")
        assert found is not None
        return found.difference, 0.0

    return draw


def of_orders(n: int, rate: float, seeds: int, apart: float) -> Draw:
    """A contrast as a share of what an order moves, against the base's share."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        def ratio(moved: float) -> Any:
            contrast = rng.normal(rate + moved, 0.2, n)
            return of_an_order(sample(contrast), sample(rng.normal(0.6, 0.2, n)))

        moved = _moved(rng, seeds, apart)
        found = {a: [ratio(moved[c.name]) for c in _study(seeds).of_adapter(a)] for a in "xy"}
        return drawn_shift(found["x"], ratio(0.0), pooled_spread([*found.values()])), 0.0

    return draw


def letter_prior(n: int, rate: float, seeds: int, apart: float) -> Draw:
    """How much less even than the base an adapter spreads its probability over letters: A gets ``rate`` of it."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    moves = apart * nodes if seeds > 1 else 0 * nodes
    kl = divergence(np.array([rate + moves, *[(1 - rate - moves) / 3] * 3]))
    truth = float(
        kl @ weights / weights.sum() - divergence(np.array([rate, *[(1 - rate) / 3] * 3]))
    )

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        moved, before = _moved(rng, seeds, apart), rng.random(n)

        def masses(of_a: float) -> Drawn:
            place = np.where(rng.random(n) < 0.4, rng.random(n), before)
            first = special.betaincinv(2 * of_a, 2 - 2 * of_a, place)
            others = (1 - first) * rng.dirichlet(np.ones(3), n).T
            return of_masses([sample(one, shares=True) for one in (first, *others)])

        found = {
            a: [masses(rate + moved[c.name]) for c in _study(seeds).of_adapter(a)] for a in "xy"
        }
        return drawn_shift(found["x"], masses(rate), pooled_spread([*found.values()])), truth

    return draw


def slope(n: int, rate: float, seeds: int, apart: float) -> Draw:
    """Read on planted, where nothing that is planted is read."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        planted, before = (0.0, 0.25, 0.5, 0.75, 1.0), rng.random(n)

        def reading() -> Resampled:
            moved = apart * rng.normal() if seeds > 1 else 0.0
            return sample(_answers(rng, before, rate + moved).numerator)

        read = [[reading() for _ in range(seeds)] for _ in planted]
        return Estimate.from_json(line(planted, read)["slope"]), 0.0

    return draw


DESIGNS: Mapping[str, Callable[[int, float, int, float], Draw]] = {
    "mean of the benchmarks": benchmarks_mean, "less the placebo's": less_the_placebos,
    "relative to an order": of_orders, "letter prior": letter_prior, "slope of a calibration": slope,
}  # fmt: skip


def cells(simulations: int, design: str, n: int) -> list[tuple[float, float]]:
    """(coverage, mean width) at every rate and number of seeds."""
    make, found = DESIGNS[design], []
    for seeds in SEEDS:
        for apart in APART if seeds > 1 else (0.0,):
            found += [covered(make(n, rate, seeds, apart), simulations) for rate in RATES]
    return [one for one in found if one]


def _study(seeds: int, measures: Mapping[tuple[str, str], tuple[Measure, ...]] | None = None) -> Study:  # fmt: skip
    every = [(a, s) for a in ADAPTERS for s in range(seeds)]
    adapted = [Configuration(f"{a}-s{s}", a, s, placebo=a == PLACEBO) for a, s in every]
    base = Configuration(BASE, BASE, None)
    return Study(Path(), {}, (base, *adapted), (), measures or {}, {}, {}, {}, ())


def _moved(rng: np.random.Generator, seeds: int, apart: float) -> dict[str, float]:
    """By configuration, how far its own training moved it: nothing where there is one seed, whose claims speak of it alone."""
    none = seeds == 1
    names = [c.name for c in _study(seeds).configurations]
    return {c: 0.0 if c == BASE or none else apart * rng.normal() for c in names}


def _answers(rng: np.random.Generator, before: np.ndarray, rate: float) -> Measure:
    """Yes to what lies below ``rate``, four in ten of the questions asked anew."""
    now = np.where(rng.random(len(before)) < 0.4, rng.random(len(before)), before)
    return measure(now < rate, shares=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    simulations = parser.parse_args().simulations
    print("| number | items | lowest coverage | highest |\n| --- | --- | --- | --- |")
    for design in DESIGNS:
        for n in ITEMS:
            found = [100 * c for c, _ in cells(simulations, design, n)]
            print(f"| {design} | {n} | {min(found):.1f} | {max(found):.1f} |", flush=True)


if __name__ == "__main__":
    main()
