"""The statistics of a study: every measure's level, shift and tests, per configuration and per adapter."""

from __future__ import annotations

from analysis.results.comparisons import Result
from analysis.results.placebo import BesidePlacebo, beside_placebo
from analysis.results.study import Results, Tested, compute

__all__ = ["BesidePlacebo", "Result", "Results", "Tested", "beside_placebo", "compute"]
