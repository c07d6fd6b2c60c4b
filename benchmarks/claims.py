"""How often a claim is wrong at every number of questions: ``python -m benchmarks.claims``.

"No change" where the shift is five points, and an effect where it is 0, for shifts that every question shares and for
shifts that few questions carry. The least numbers of questions that a claim needs (``analysis/statistics``) come from it.
Takes five minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np

from analysis.statistics import ALPHA, shift, swap_test
from analysis.statistics.equivalence import SESOI_RATE
from benchmarks.coverage import sample

ITEMS = (2, 3, 5, 8, 10, 20, 40, 60, 100, 300)
SHIFT = SESOI_RATE  # what "no change" says is not there
Draw = Callable[[np.random.Generator, int], np.ndarray]  # [n] shifts of items, their mean 1 at most


def even(rng: np.random.Generator, n: int) -> np.ndarray:
    """Much the same for every question."""
    return rng.normal(1, 1, n)


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Exponential: a quarter of the questions carry most of it."""
    return rng.exponential(1, n)


def carried(rng: np.random.Generator, n: int) -> np.ndarray:
    """One question in sixteen moves by 80 points, the others by nothing to speak of."""
    return np.where(rng.random(n) < 1 / 16, 16, 0) + rng.normal(0, 0.02, n)


def decided(rng: np.random.Generator, n: int) -> np.ndarray:
    """One question in twenty is decided otherwise."""
    return np.where(rng.random(n) < 1 / 20, 20.0, 0.0)


SHIFTS: Mapping[str, Draw] = {"even": even, "skewed": skewed, "carried by few": carried}


def no_change(draw: Draw, n: int, simulations: int) -> float:
    """How often "no change" passes its test at a true shift of ``SHIFT``; 5 % is meant."""
    wrong = 0
    for i in range(simulations):
        rng = np.random.default_rng([21, i])
        moved = shift([sample(SHIFT * draw(rng, n))], sample(np.zeros(n)), confidence=0.90)
        wrong += (
            moved.low > -SHIFT and moved.high < SHIFT
        )  # what ``equivalent`` asks of enough questions
    return wrong / simulations


def effect(draw: Draw, n: int, simulations: int) -> float:
    """How often an unadjusted effect is found in a shift whose mean is 0, though few questions may carry it."""
    wrong = 0
    for i in range(simulations):
        rng = np.random.default_rng([22, i])
        moved = SHIFT * (draw(rng, n) - 1)
        wrong += swap_test([sample(moved)], sample(np.zeros(n))) < ALPHA
    return wrong / simulations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    simulations = parser.parse_args().simulations
    for title, wrong in (("no change at +5 points", no_change), ("an effect at 0", effect)):
        draws = [*SHIFTS.values(), *([decided] if wrong is no_change else [])]
        names = [*SHIFTS, "decisions"][: len(draws)]
        print(f"| {title}: questions | " + " | ".join(names) + " |")
        print("| --- |" + " --- |" * len(names))
        for n in ITEMS:
            found = (f"{100 * wrong(draw, n, simulations):.1f}" for draw in draws)
            print(f"| {n} | {' | '.join(found)} |", flush=True)
        print()


if __name__ == "__main__":
    main()
