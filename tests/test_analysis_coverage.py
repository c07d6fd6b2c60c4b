"""Simulated coverage of every interval: 95 % intervals hold the truth in 95 % of studies, few questions or many.

The designs are those of ``benchmarks/coverage.py``, whose figures stand in docs/statistics.md; here few of them with fixed
seeds, and all of them in the slow tests.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics import level, paired_score, pooled_spread, resample, shift
from analysis.statistics.intervals import normal_quantile
from benchmarks import coverage_of_reports
from benchmarks.coverage import DESIGNS, Draw, cells, covered, exact_limit, sample
from sycojax.evals.protocol import Measure

SEVERAL = [(5, 2, 68, 3.0), (3, 3, 68, 1.0), (1, 3, 68, 3.0)]


def nats(values: np.ndarray):
    names = tuple(map(str, range(len(values))))
    return resample(
        Measure("m", "M", "nats", names, names, values[None], np.ones((1, len(values))), "mean")
    )


def graded(n: int, rate: float) -> Draw:
    """A share of four rotations each."""
    return lambda rng: (
        level([sample(rng.binomial(4, rng.beta(rate, 1 - rate, n)) / 4, shares=True)]), rate,
    )  # fmt: skip


def soft(n: int, kind: str) -> Draw:
    """Shifts of probabilities: about the same for all questions, skewed, or carried by three in twenty."""
    draws = {
        "even": lambda rng: rng.normal(0.05, 0.05, n),
        "skewed": lambda rng: rng.exponential(0.05, n),
        "carried": lambda rng: np.where(rng.random(n) < 0.15, 1 / 3, 0) + rng.normal(0, 0.01, n),
    }
    return lambda rng: (shift([sample(draws[kind](rng))], sample(np.zeros(n))), 0.05)


def unbounded(n: int, kind: str) -> Draw:
    truth = {"normal": 0.0, "exponential": 1.0}[kind]
    return lambda rng: (level([nats(getattr(rng, kind)(size=n))]), truth)


def seeded(adapters: int, seeds: int, n: int, seed_sd: float, skewed: bool = False) -> Draw:
    """True shift 0; ``seed_sd`` in standard errors of the items' part."""

    def draw(rng: np.random.Generator):
        base = 0.1 * rng.normal(size=n)
        groups = []
        for _ in range(adapters):
            item = 0.05 * (rng.exponential(size=n) - 1 if skewed else rng.normal(size=n))
            apart = seed_sd * 0.05 / np.sqrt(n) * rng.normal(size=seeds)
            groups.append([sample(base + item + a + 0.03 * rng.normal(size=n)) for a in apart])
        return shift(groups[0], sample(base), pooled_spread(groups)), 0.0

    return draw


@pytest.mark.parametrize("design", DESIGNS)
def test_no_number_of_questions_is_too_small(design: str) -> None:
    """Five at a rate of .5, and thirty of which almost none change."""
    for n, rate, change in ((6, 0.5, 0.5), (30, 0.02, 0.05)):
        found = covered(DESIGNS[design](n, rate, change, 1), 200)
        assert found is None or found[0] >= 0.925 - 0.037  # two standard errors


def test_a_sparse_interval_is_no_wider_than_the_exact_one() -> None:
    reach = normal_quantile(0.95)
    for n in (5, 30):
        for gains, losses in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1)):
            high = paired_score(gains, losses, n, reach)[1]
            assert 0.7 * exact_limit(gains, losses, n) < high < exact_limit(gains, losses, n)
            assert paired_score(losses, gains, n, reach)[0] == pytest.approx(-high)


@pytest.mark.parametrize("case", SEVERAL)
def test_several_seeds(case: tuple[int, int, int, float]) -> None:
    found = covered(seeded(*case), 400)
    assert found is not None
    assert 0.925 <= found[0] <= 0.985


@pytest.mark.parametrize("design", coverage_of_reports.DESIGNS)
def test_what_a_report_makes_of_several_measures(design: str) -> None:
    """Three seeds that lie as far apart as three times what 300 questions leave open."""
    found = covered(coverage_of_reports.DESIGNS[design](300, 0.5, 3, 0.05), 40)
    assert found is not None
    assert found[0] >= 0.925 - 0.083  # two standard errors


@pytest.mark.slow
@pytest.mark.parametrize("design", coverage_of_reports.DESIGNS)
def test_and_at_every_size(design: str) -> None:
    for n in coverage_of_reports.ITEMS:
        found = [c for c, _ in coverage_of_reports.cells(200, design, n)]
        assert min(found) >= 0.925 - 0.037, n


@pytest.mark.slow
def test_every_design_at_every_size() -> None:
    """92.5 % and more; 93 to 97 % where five or more are expected to change, and what 1,000 draws and whole numbers add."""
    for cell in cells(1000):
        assert cell.covered >= 0.925 - 0.016, cell
        if cell.changed >= 5 and cell.items >= 30:
            assert 0.93 - 0.016 <= cell.covered <= 0.97 + 0.015, cell


@pytest.mark.slow
@pytest.mark.parametrize("n", [68, 129, 300])
def test_graded_and_unbounded_numbers(n: int) -> None:
    for rate in (0.05, 0.2, 0.5):
        # Graded answers at .05 of 68 items: 92 %, and what 1,000 draws add.
        assert _coverage(graded(n, rate)) >= (0.895 if (n, rate) == (68, 0.05) else 0.925)
    for kind in ("even", "skewed", "carried"):
        assert 0.925 <= _coverage(soft(n, kind)) <= 0.975
    assert 0.93 <= _coverage(unbounded(n, "normal")) <= 0.97
    assert 0.92 <= _coverage(unbounded(n, "exponential")) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [1, 5])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 1.0, 3.0])
def test_seeds_of_every_number(adapters: int, seeds: int, seed_sd: float) -> None:
    assert 0.925 <= _coverage(seeded(adapters, seeds, 199, seed_sd)) <= 0.985
    assert 0.92 <= _coverage(seeded(adapters, seeds, 129, seed_sd, True)) <= 0.985


def _coverage(draw: Draw) -> float:
    found = covered(draw, 1000)
    assert found is not None
    return found[0]
