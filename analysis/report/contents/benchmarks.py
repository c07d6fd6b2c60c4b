"""The table of capability."""

from __future__ import annotations

from analysis.page.tables import Entry, Table
from analysis.page.text import interval, number
from analysis.records.load import BASE
from analysis.report.contents.entries import group_entry, shift_entry, signed_entry
from analysis.results import Result, Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.protocol import Measure


def benchmarks(results: Results, doubt: Doubt) -> Table:
    """Accuracy of every configuration group on every benchmark, with intervals and shifts."""
    leads = results.leads("benchmark")
    rows = []
    for group in results.groups:
        row: list[Entry | str] = [group_entry(results, group)]
        for name, lead in leads.items():
            marks = doubt.of_level(group, name), doubt.of_shift(group, name)
            row.append(_level_and_shift(results.of(group, name, lead.name), lead, *marks))
        if results.with_shifts:
            mean = results.mean_benchmark_shift(group)
            marks = {doubt.of_shift(group, name) for name in leads}
            entry = signed_entry(mean, "rate", max(marks, default=""))
            row.append("" if group == BASE else entry)
        rows.append(tuple(row))
    heads = [f"{name} (n = {len(lead.items):,})" for name, lead in leads.items()]
    heads += ["mean shift"] if results.with_shifts else []
    caption = "Benchmarks: correct answers in % with 95 % interval"
    if results.with_shifts:
        caption += ", below it the shift against the base in points (bold: the interval of the shift excludes 0)"
    return Table(
        "benchmarks", caption, ("configuration", *heads), tuple(rows) if leads else (),
        footnote=doubt.footnote(results.groups, [*leads]),
    )  # fmt: skip


def _level_and_shift(result: Result, measure: Measure, mark: str, shift_mark: str) -> Entry:
    value = f"{number(result.level.value, measure.unit)}{mark}"
    level = f"{value} {interval(result.level, measure.unit)}"
    if result.shift is None:
        return Entry(level)
    shift = shift_entry(result, measure, shift_mark)
    return Entry(level, f"{shift.text} {shift.note}", "note" if shift.strong else "")
