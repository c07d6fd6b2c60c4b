"""Confidence intervals for one number; which one is used where is decided in ``shifts.py``."""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from analysis.statistics.estimates import LEVEL

HALVINGS = 50  # of the bracket around a score limit


def normal_quantile(level: float) -> float:
    """What a two-sided interval at ``level`` reaches, in standard errors that are known."""
    return float(special.ndtri((1 + level) / 2))


def t_quantile(df: float, level: float) -> float:
    """What a two-sided interval at ``level`` reaches, in standard errors estimated with ``df`` degrees of freedom."""
    # stdtrit is the inverse of Student's distribution function, without the cost of scipy.stats.
    return -float(special.stdtrit(df, (1 - level) / 2))


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval (JASA 1927) for ``successes`` of ``n`` independent ones."""
    if n == 0:
        return math.nan, math.nan
    interval = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def mid_p(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact binomial limits with half the chance of what was found (Lancaster, JASA 1961).

    Where Wilson's interval covers 83 % of the truths at some rates near 0, this one covers 91 % and more at every rate
    (enumerated in the tests), and it is narrower than Clopper and Pearson's.
    """

    def found(rate: float, more: bool) -> float:
        """P(X > successes), or P(X < successes), and half of P(X = successes)."""
        below = float(special.bdtr(successes - 1, n, rate)) if successes else 0.0
        upto = float(special.bdtr(successes, n, rate)) if successes < n else 1.0
        return (1 - upto if more else below) + (upto - below) / 2

    tail = (1 - level) / 2
    ends = []
    for more, none in ((True, successes == 0), (False, successes == n)):
        outside = 0.0 if more else 1.0
        inside = successes / n
        for _ in range(0 if none else HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if found(middle, more) > tail else (inside, middle)
        ends.append(outside if none else inside)
    return ends[0], ends[1]


def wilson_effective(rate: float, half_width: float) -> tuple[float, float]:
    """Wilson's interval with an effective sample size, for rates over clusters, graded answers or seeds.

    The size is the one whose t interval ``rate +- half_width`` is: ``t^2 / n = half_width^2 / (rate (1 - rate))``. The result
    stays inside [0, 1] and leans away from the near end (Franco, Little, Louis and Slud, J. Surv. Stat.
    Methodol. 2019).
    """
    k = half_width**2 / (rate * (1 - rate))
    centre = (rate + k / 2) / (1 + k)
    half = math.sqrt(k * rate * (1 - rate) + k * k / 4) / (1 + k)
    return centre - half, centre + half


def paired_score(gains: float, losses: float, n: float, reach: float) -> tuple[float, float]:
    """Tango's score interval (Stat. Med. 1998) for the difference of two paired rates.

    Of ``n`` pairs ``gains`` go up and ``losses`` go down; the difference is ``(gains - losses) / n``. The limits are the
    differences at which that lies ``reach`` standard errors away, the errors being those at the limit: the
    share that goes down is re-estimated under it. So the interval has a width where no pair differs, and leans
    away from the side where none does. The three counts need not be whole numbers.

    Of 5, 10 or 30 pairs of which .02 to .8 differ, the 95 % interval holds 92.8 % of the truths and more (enumerated in
    the tests); it is narrower than the exact interval of Chan and Zhang (Biometrics 1999) where both were computed
    (benchmarks/coverage.py).
    """
    found = (gains - losses) / n

    def within(limit: float) -> bool:
        b = -gains - losses + (2 * n - gains + losses) * limit
        c = -losses * limit * (1 - limit)
        down = max((math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n), 0.0)
        variance = n * max(2 * down + limit * (1 - limit), 0.0)
        return (gains - losses - n * limit) ** 2 <= reach**2 * variance

    ends = []
    for outside in (-1.0, 1.0):
        inside = found
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if within(middle) else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def square_and_add(
    value: float, below: np.ndarray, above: np.ndarray, correlation: np.ndarray
) -> tuple[float, float]:
    """Limits of a sum from those of its terms (Newcombe, Stat. Med. 1998; Zou, Am. J. Epidemiol. 2009).

    ``below`` and ``above``, float64 [K], say how far each term's limits lie from it, ``correlation``, [K, K], how the terms
    vary together.
    """
    low = math.sqrt(max(float(below @ correlation @ below), 0.0))
    high = math.sqrt(max(float(above @ correlation @ above), 0.0))
    return value - low, value + high
