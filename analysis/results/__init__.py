"""The statistics of a study: every measure's level, shift and tests, per configuration and per adapter."""

from __future__ import annotations

from analysis.results.comparisons import Result
from analysis.results.learning import Learning, fall_of, learning
from analysis.results.placebo import BesidePlacebo, beside_placebo
from analysis.results.study import Results, Tested, compute

__all__ = [
    "BesidePlacebo", "Learning", "Result", "Results", "Tested", "beside_placebo", "compute", "fall_of", "learning",
]  # fmt: skip
