"""How often the intervals of analysis/statistics hold the truth: ``python -m benchmarks.coverage``.

Every design is a way in which a level or a shift of rates comes about; each is simulated at every number of items, rate
and share of items that change. Printed as Markdown: the tables of docs/statistics.md. Takes ten minutes; a short version is
a test.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy import special

from analysis.records.strata import seen_minus_unseen
from analysis.statistics import Estimate, Resampled, level, paired_score, resample, shift
from analysis.statistics.intervals import normal_quantile
from sycojax.evals.protocol import Measure

ITEMS = (5, 10, 30, 100, 300)
RATES = (0.0, 0.02, 0.2, 0.5)
CHANGES = (0.05, 0.5)  # the share of items whose answer is drawn anew: low and high discordance
RIGHT = 0.6  # the share of questions that a condition holds for
Draw = Callable[[np.random.Generator], tuple[Estimate, float]]


def measure(
    values: np.ndarray, weights: np.ndarray | None = None, *, size: int = 1, shares: bool = False
) -> Measure:
    """A rate over [J, n] or [n] values, ``size`` neighbours to a cluster."""
    above = np.atleast_2d(np.asarray(values, float))
    below = np.ones_like(above) if weights is None else np.atleast_2d(weights).astype(float)
    n = above.shape[1]
    return Measure(
        "m", "M", "rate", _names(n, 1), _names(n, size), above * below, below, "mean", shares=shares
    )


def sample(
    values: np.ndarray, weights: np.ndarray | None = None, *, size: int = 1, shares: bool = False
) -> Resampled:
    """``measure``, ready for intervals."""
    return resample(measure(values, weights, size=size, shares=shares))


def _yes(rng: np.random.Generator, n: int, rate: float, size: int) -> np.ndarray:
    """Answers, of which half the clusters give one for all their items."""
    each = rng.random(n) < rate
    alike = np.repeat(rng.random(n // size) < rate, size)
    return np.where(np.repeat(rng.random(n // size) < 0.5, size), alike, each) if size > 1 else each


def _anew(
    rng: np.random.Generator, before: np.ndarray, rate: float, change: float, size: int
) -> np.ndarray:
    """``before`` with a share of the answers drawn anew."""
    moved = np.repeat(rng.random(len(before) // size) < change, size)
    return np.where(moved, _yes(rng, len(before), rate, size), before)


def share(n: int, rate: float, change: float, size: int) -> Draw:
    """The level of a rate."""
    return lambda rng: (level([sample(_yes(rng, n, rate, size), size=size, shares=True)]), rate)


def decisions(n: int, rate: float, change: float, size: int) -> Draw:
    """The level of a difference within items: two answers to the same question."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        before = _yes(rng, n, rate, size)
        after = _anew(rng, before, rate, change, size).astype(float)
        return level([sample(after - before, size=size)]), 0.0

    return draw


def paired(n: int, rate: float, change: float, size: int) -> Draw:
    """The shift of a rate: adapter and base answer the same questions."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        before = _yes(rng, n, rate, size)
        after = _anew(rng, before, rate, change, size)
        return _shift(after, before, size=size), 0.0

    return draw


def raised(n: int, rate: float, change: float, size: int) -> Draw:
    """The shift of a rate that only goes up."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        before = _yes(rng, n, rate, size)
        after = before | np.repeat(rng.random(n // size) < change, size)
        return _shift(after, before, size=size), change * (1 - rate)

    return draw


def unpaired(n: int, rate: float, change: float, size: int) -> Draw:
    """The difference of a rate between a third of the questions and the others, which is 0."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        answers, few = _yes(rng, n, rate, size), n // 3 // size * size
        parts = {
            "train": measure(answers[:few], size=size, shares=True),
            "neither": measure(answers[few:], size=size, shares=True),
        }
        parts = {
            name: dataclasses.replace(
                part,
                items=tuple(name + i for i in part.items),
                clusters=tuple(name + c for c in part.clusters),
            )
            for name, part in parts.items()
        }
        found = seen_minus_unseen(parts)
        assert found is not None
        return level([resample(found)]), 0.0

    return draw


def conditional(n: int, rate: float, change: float, size: int) -> Draw:
    """The shift of a rate among the questions that each of both got right."""

    def draw(rng: np.random.Generator) -> tuple[Estimate, float]:
        right = _yes(rng, n, RIGHT, size)
        still = _anew(rng, right, RIGHT, 0.2, size)
        before = _yes(rng, n, rate, size)
        after = _anew(rng, before, rate, change, size)
        return _shift(after, before, still, right, size=size), 0.0

    return draw


DESIGNS: Mapping[str, Callable[[int, float, float, int], Draw]] = {
    "share": share, "difference within items": decisions, "paired shift": paired,
    "paired shift, only up": raised, "two groups of items": unpaired,
    "conditional shift": conditional,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Cell:
    """One design at one size: how often its 95 % interval held the truth."""

    design: str
    items: int
    rate: float
    change: float
    size: int
    covered: float
    width: float
    changed: (
        float  # clusters in which both of what is compared are expected to be counted otherwise
    )


def cells(simulations: int) -> Iterator[Cell]:
    """Every design in distinct questions and in pairs; draws without an interval ("too few items") are left out."""
    for design, make in DESIGNS.items():
        for n in ITEMS:
            for size in (1, 2):
                for rate in RATES:
                    for change in (
                        CHANGES if design not in ("share", "two groups of items") else (1.0,)
                    ):
                        found = covered(make(n - n % size, rate, change, size), simulations)
                        if found is not None:
                            up = design.endswith("only up")
                            apart = change * (1 - rate) if up else 2 * change * rate * (1 - rate)
                            apart *= RIGHT if make is conditional else 1
                            yield Cell(
                                design, n, rate, change, size, *found, changed=n / size * apart
                            )


def covered(draw: Draw, simulations: int) -> tuple[float, float] | None:
    """(share of intervals that hold the truth, mean width); None where most draws have no interval."""
    held, widths = [], []
    for i in range(simulations):
        found, truth = draw(np.random.default_rng([20, i]))
        if np.isfinite(found.low):
            held.append(found.low - 1e-9 <= truth <= found.high + 1e-9)
            widths.append(found.high - found.low)
    if len(held) < simulations / 2:
        return None
    return float(np.mean(held)), float(np.mean(widths))


def exact_limit(gains: int, losses: int, n: int) -> float:
    """The upper end of the exact unconditional interval of Chan and Zhang (Biometrics 1999) for paired rates.

    Outcomes are ordered by Tango's statistic; the share that goes down is the worst of 60 values.
    """
    g, losing = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    g, losing = g[g + losing <= n], losing[g + losing <= n]
    ways = special.gammaln(n + 1) - special.gammaln([g + 1, losing + 1, n - g - losing + 1]).sum(0)
    here = np.flatnonzero((g == gains) & (losing == losses))[0]

    def chance(limit: float) -> float:
        b = -g - losing + (2 * n - g + losing) * limit
        c = -losing * limit * (1 - limit)
        down = np.maximum((np.sqrt(np.maximum(b * b - 8 * n * c, 0)) - b) / (4 * n), 0)
        error = np.sqrt(np.maximum(n * (2 * down + limit * (1 - limit)), 1e-14))
        statistic = (g - losing - n * limit) / error
        far = statistic <= statistic[here] + 1e-9
        q = np.linspace(0, (1 - limit) / 2, 60)[:, None]
        log = ways[far] + special.xlogy(g[far], q + limit) + special.xlogy(losing[far], q)
        log += special.xlogy((n - g - losing)[far], np.maximum(1 - 2 * q - limit, 0))
        return float(np.exp(log).sum(axis=1).max())

    inside, outside = (gains - losses) / n, 1.0
    for _ in range(20):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if chance(middle) > 0.025 else (inside, middle)
    return inside


def _shift(
    after: np.ndarray,
    before: np.ndarray,
    given: np.ndarray | None = None,
    given_before: np.ndarray | None = None,
    *,
    size: int,
) -> Estimate:
    return shift(
        [sample(after, given, size=size, shares=True)],
        sample(before, given_before, size=size, shares=True),
    )


@functools.cache
def _names(n: int, size: int) -> tuple[str, ...]:
    return tuple(f"{i // size:04d}" for i in range(n))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    found = list(cells(parser.parse_args().simulations))
    print(
        "| design | items | lowest coverage | mean width there | coverage where 5 or more change |"
    )
    print("| --- | --- | --- | --- | --- |")
    for design in DESIGNS:
        for n in ITEMS:
            of = [c for c in found if (c.design, c.items) == (design, n)]
            if not of:
                continue
            low = min(of, key=lambda c: c.covered)
            many = [c.covered for c in of if c.changed >= 5]
            span = f"{100 * min(many):.1f} to {100 * max(many):.1f}" if many else ""
            print(f"| {design} | {n} | {100 * low.covered:.1f} | {low.width:.3f} | {span} |")
    reach = normal_quantile(0.95)
    print("\n| pairs | up | down | upper end | exact |\n| --- | --- | --- | --- | --- |")
    for n in (5, 10, 30, 60):
        for gains, losses in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (4, 1)):
            high = paired_score(gains, losses, n, reach)[1]
            print(
                f"| {n} | {gains} | {losses} | {high:.4f} | {exact_limit(gains, losses, n):.4f} |"
            )


if __name__ == "__main__":
    main()
