"""How one number becomes an entry: value, interval below it, the mark of a failed audit behind it."""

from __future__ import annotations

from analysis.page.tables import Entry
from analysis.page.text import count, interval, number
from analysis.records.load import BASE
from analysis.results import Result, Results
from analysis.statistics import Estimate
from sycojax.evals.protocol import Measure


def group_entry(results: Results, group: str) -> Entry:
    """The name of a row: the base, or an adapter and its seeds."""
    seeds = len(results.study.of_adapter(group))
    return Entry(group, "" if group == BASE else count(seeds, "seed"))


def level_entry(result: Result, measure: Measure, mark: str = "") -> Entry:
    """A level and its interval; empty where it was not scored."""
    note = interval(result.level, measure.unit)
    return Entry(f"{number(result.level.value, measure.unit)}{mark}", note)


def shift_entry(result: Result, measure: Measure, mark: str = "") -> Entry:
    """A shift and its interval; empty for the base, bold where the interval excludes 0."""
    return signed_entry(result.shift, measure.unit, mark) if result.shift else Entry("")


def signed_entry(estimate: Estimate, unit: str, mark: str = "") -> Entry:
    """A shift or another difference and its interval, bold where that excludes 0."""
    value = f"{number(estimate.value, unit, signed=True)}{mark}"
    strong = "text" if estimate.excludes_zero else ""
    return Entry(value, interval(estimate, unit, signed=True), strong)


def lower_first(label: str) -> str:
    """A label inside a sentence."""
    return label[:1].lower() + label[1:]
