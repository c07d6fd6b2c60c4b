"""What a study could have seen, and when "no change" is a finding rather than a lack of items."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.statistics.estimates import ALPHA, POWER, Resampled
from analysis.statistics.seeds import Error, SeedSpread
from analysis.statistics.shifts import shift

SESOI_RATE = 0.05  # smallest shift of a rate that matters: five points
SESOI_SD = 0.2  # of anything without bounds, in standard deviations over the base's questions
# Fewer questions show no absence of a shift that few of them carry: where one in sixteen moves by 80 points, 40 hold no
# such question in 8 % of studies and 60 in 2 % (benchmarks/claims.py; docs/statistics.md has its figures).
FEWEST_SAME = 60


def minimum_detectable(found: Error) -> float:
    """The smallest true shift that a two-sided test at ``ALPHA`` finds with probability ``POWER``.

    ``(t_{1 - ALPHA/2} + t_{POWER}) * se``, in the measure's unit; with seeds the two half widths of ``Error``. nan where no
    item varies. A paired rate with discordant share p_d has ``se = sqrt(p_d / n)``, a soft shift ``sd / sqrt(n)``.
    """
    if not found.se > 1e-12:
        return math.nan
    return found.half_width(1 - ALPHA) + found.half_width(2 * POWER - 1)


def smallest_of_interest(base: Resampled) -> float:
    """The margin of equivalence, fixed before any study: .05 for rates, .2 standard deviations else."""
    if base.measure.unit == "rate":
        return SESOI_RATE
    if base.measure.unit == "sd":
        return SESOI_SD
    # The influence of a cluster times C is its deviation; for a plain mean exactly.
    clusters = len(base.names)
    return SESOI_SD * math.sqrt(clusters * float((base.influence**2).sum()))


def equivalent(
    seeds: Sequence[Resampled], base: Resampled, spread: SeedSpread | None = None
) -> bool | None:
    """Two one-sided tests at .05 (Schuirmann, J. Pharmacokinet. Biopharm. 1987): the 90 % interval of the shift
    lies within +- the smallest shift of interest. None where there is no interval, and below ``FEWEST_SAME`` questions."""
    if min(s.counted for s in (*seeds, base)) < FEWEST_SAME:
        return None
    found = shift(seeds, base, spread, confidence=0.90)
    margin = smallest_of_interest(base)
    if not (math.isfinite(found.low) and math.isfinite(found.high) and margin > 0):
        return None
    return -margin < found.low and found.high < margin
