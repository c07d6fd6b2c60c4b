"""The tables of sycophancy: each probe's headlines, all its other measures, what becomes of answers."""

from __future__ import annotations

import math

from analysis.figures.flips import PARTS
from analysis.page.tables import Entry, Table
from analysis.page.text import count, number, p_value
from analysis.records.load import BASE
from analysis.report.contents.entries import (
    group_entry,
    level_entry,
    lower_first,
    shift_entry,
    signed_entry,
)
from analysis.results import Result, Results, Tested, beside_placebo
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import Verdict, noise_floor, verdicts
from sycojax.evals.declared import Turns
from sycojax.evals.protocol import Measure
from sycojax.records import PLACEBO


def probe(results: Results, doubt: Doubt, tested: Tested) -> Table:
    """One contrast: soft and hard headline with shifts, the test of the soft one, and what noise alone gives.

    Where the study has a placebo, its shift of the soft headline stands in its row, and in the others what is left without it.
    """
    name, contrast = tested.probe, tested.contrast
    soft, hard = (results.study.measure_of(name, m) for m in (contrast.measure, contrast.hard))
    # What the probe reads without any sycophancy, printed beside its headlines.
    controls = {
        "soft floor": noise_floor(results, tested),
        "hard noise": results.study.measure_of(name, "noise"),
    }
    floors = {column: m for column, m in controls.items() if m is not None}
    compared = results.with_shifts
    placebo = compared and PLACEBO in results.groups
    told = {verdict.adapter: verdict for verdict in verdicts(results, tested)}
    rows = []
    for group in results.groups:
        row: list[Entry | str] = [group_entry(results, group)]
        marks = doubt.of_level(group, name), doubt.of_shift(group, name)
        for measure in (soft, hard):
            if measure is None:
                continue
            result = results.of(group, name, measure.name)
            few = doubt.too_few(group, name) if measure is hard else ""
            row.append(Entry("n/a", few) if few else level_entry(result, measure, marks[0]))
            if compared:
                few = doubt.too_few_of_shift(group, name) if measure is hard else ""
                row.append(Entry("n/a", few) if few else shift_entry(result, measure, marks[1]))
            if placebo and measure is soft:
                row.append(_less_the_placebos(results, group, name, measure))
            if compared and measure is soft:
                row += (
                    ["", ""] if group == BASE else [_tested(result, told[group]), _mde(told[group])]
                )
        row += [level_entry(results.of(group, name, m.name), m) for m in floors.values()]
        rows.append(tuple(row))
    columns = ["configuration"]
    if soft:
        less = ["less the placebo's"] if placebo else []
        columns += ["soft", "shift of soft", *less, "p, Holm", "MDE"] if compared else ["soft"]
    if hard:
        columns += ["hard", "shift of hard"] if compared else ["hard"]
    columns += floors
    lead = soft or hard
    size = count(len(lead.items), "item") if lead else "no items"
    said = [f"soft = {lower_first(soft.label)}"] if soft else []
    said += [f"hard = {lower_first(hard.label)}"] if hard else []
    said += [f"{column} = {lower_first(m.label)}" for column, m in floors.items()]
    return Table(
        f"probe_{tested.title.replace(', ', '_')}",
        f"{tested.title} ({size}), in points of 100: {'; '.join(said)}",
        tuple(columns),
        tuple(rows) if lead else (),
        footnote=doubt.footnote(results.groups, [name]),
    )


def other_measures(results: Results, doubt: Doubt, name: str) -> Table:
    """All other measures of an evaluation: one line each, levels with intervals."""
    rows = []
    marks = {g: doubt.of_level(g, name) for g in results.groups}
    for measure in results.study.described(name):
        if not measure.headline:
            entries = [
                level_entry(results.of(g, name, measure.name), measure, marks[g])
                for g in results.groups
            ]
            unit = "points" if measure.unit == "rate" else measure.unit
            rows.append((Entry(measure.label, f"{measure.name}, {unit}"), *entries))
    return Table(
        f"other_{name}", f"{name}: all other measures, 95 % intervals", ("measure", *results.groups),
        tuple(rows), footnote=doubt.footnote(results.groups, [name]),
    )  # fmt: skip


def flips(results: Results, doubt: Doubt, table: str, name: str, turns: Turns) -> Table:
    """What becomes of the own answer after each second turn, in % of all items."""
    described = {m.name: m for m in results.study.described(name)}
    rows = []
    for group in results.groups:
        mark = doubt.of_level(group, name)
        for turn, said in turns.said.items():
            shares = [f"{part}_{turn}" for part in PARTS]
            if not all(n in described for n in shares):
                continue
            entries = [level_entry(results.of(group, name, n), described[n], mark) for n in shares]
            rows.append((Entry(group, f"{turn}: {said}"), *entries))
    return Table(
        table, f"{name}: what becomes of the own answer, in % of all items with 95 % intervals",
        ("after", *(label for label, _ in PARTS.values())), tuple(rows),
        footnote=doubt.footnote(results.groups, [name]),
    )  # fmt: skip


def _less_the_placebos(results: Results, group: str, evaluation: str, measure: Measure) -> Entry:
    found = beside_placebo(results, group, evaluation, measure.name)
    return signed_entry(found.difference, measure.unit) if found else Entry("")


def _tested(result: Result, verdict: Verdict) -> Entry:
    if not math.isfinite(verdict.p):
        return Entry("")
    parts = [f"items {p_value(result.p)}"]
    if math.isfinite(result.p_seeds):
        parts.append(f"seeds {p_value(result.p_seeds)}")
    return Entry(p_value(verdict.p), ", ".join(parts), "text" if verdict.claimed else "")


def _mde(verdict: Verdict) -> Entry:
    words = "no change" if verdict.outcome == "no change" else ""
    return Entry(number(verdict.mde, verdict.measure.unit), words)
