"""Intervals, tests and error models for ``Measure``; all resampling is by cluster and seeded. SciPy first.

``estimates`` what is resampled - ``intervals`` for one number - ``terms`` numbers as sums of means - ``seeds`` randomness
from training - ``shifts`` levels and shifts with the interval that fits - ``paired`` tests - ``multiplicity`` -
``equivalence`` and power - ``drawn`` numbers that are no sums of means - ``correlations`` over configurations.
"""

from analysis.statistics.correlations import Correlation, correlation
from analysis.statistics.drawn import drawn_shift
from analysis.statistics.equivalence import equivalent, minimum_detectable, smallest_of_interest
from analysis.statistics.estimates import (
    ALPHA,
    LEVEL,
    POWER,
    RESAMPLES,
    SEED,
    Drawn,
    Estimate,
    Resampled,
    resample,
)
from analysis.statistics.intervals import mid_p, paired_score, wilson, wilson_effective
from analysis.statistics.multiplicity import benjamini_hochberg, holm
from analysis.statistics.paired import PERMUTATIONS, mcnemar, swap_test
from analysis.statistics.seeds import Error, SeedSpread, error, icc, pooled_spread
from analysis.statistics.shifts import level, shift

__all__ = [
    "ALPHA", "LEVEL", "PERMUTATIONS", "POWER", "RESAMPLES", "SEED", "Correlation", "Drawn", "Error", "Estimate", "Resampled", "SeedSpread",
    "benjamini_hochberg", "correlation", "drawn_shift", "equivalent", "error",
    "holm", "icc", "level", "mcnemar", "mid_p", "minimum_detectable", "paired_score", "pooled_spread", "resample", "shift",
    "smallest_of_interest", "swap_test", "wilson", "wilson_effective",
]  # fmt: skip
