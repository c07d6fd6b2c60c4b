"""How one number becomes an entry: value, interval below it, the mark of a failed audit behind it."""

from __future__ import annotations

from analysis.page.tables import Entry
from analysis.page.text import count, interval, number
from analysis.records.load import BASE
from analysis.results import Result, Results
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
    if result.shift is None:
        return Entry("")
    return Entry(
        f"{number(result.shift.value, measure.unit, signed=True)}{mark}",
        interval(result.shift, measure.unit, signed=True),
        strong="text" if result.shift.excludes_zero else "",
    )


def lower_first(label: str) -> str:
    """A label inside a sentence."""
    return label[:1].lower() + label[1:]
