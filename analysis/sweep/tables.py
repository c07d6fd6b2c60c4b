"""The tables of a sweep: its points with levels and shifts, trends, seeds, cells; and one long CSV."""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.page.tables import Entry, Table, Tone, csv_text
from analysis.page.text import count, number
from analysis.records.load import BASE
from analysis.report.contents.entries import shift_entry, signed_entry
from analysis.results import Results
from analysis.sweep.audits import Audited, heavier
from analysis.sweep.curves import Dose, replicates, series, trend
from analysis.sweep.load import CellState, Point, Sweep, setting_text, short_names
from sycojax.evals.protocol import Measure


def leading(results: Sequence[Results], *roles: str) -> dict[str, Measure]:
    """What was scored in these roles in any family, and the headline that tables show of it."""
    found: dict[str, Measure] = {}
    for role in roles:
        for one in results:
            found |= {name: lead for name, lead in one.leads(role).items() if name not in found}
    return found


def points(sweep: Sweep, results: Sequence[Results], audited: Audited, role: str) -> Table:
    """Shifts of every point against its base, on all evaluations of a role."""
    rows, footnotes = [], []
    leads = leading(results, role)
    for family, found, doubt in zip(sweep.families, results, audited.families, strict=True):
        footnotes.append(doubt.footnote([BASE, *(p.group for p in family.points)], list(leads)))
        for point in family.points:
            marks = {n: doubt.of_shift(point.group, n) for n in leads}
            row: list[Entry | str] = [_point_entry(point, found), *_trained(point)]
            for n in leads:
                lead = found.leading(n)  # another recipe may lead with another measure
                row.append(
                    shift_entry(found.of(point.group, n, lead.name), lead, marks[n]) if lead else ""
                )
            if role == "benchmark":
                mean = found.mean_benchmark_shift(point.group)
                row.append(signed_entry(mean, "rate", heavier(marks.values())))
            rows.append(tuple(row))
    heads = [f"{name} (n = {_items(results, name)})" for name in leads]
    heads += ["mean"] if role == "benchmark" else []
    what = "Benchmarks" if role == "benchmark" else "Probes"
    return Table(
        f"{role}s", f"{what}: shift against the base with 95 % interval (bold: it excludes 0)",
        ("point", "steps", "examples", *heads), tuple(rows) if leads else (), footnote=max(footnotes),
    )  # fmt: skip


def trends(sweep: Sweep, results: Sequence[Results], audited: Audited, dose: Dose) -> Table:
    """The slope per doubling of a dose, for every series with two points or more and every evaluation."""
    names = tuple(leading(results, "benchmark", "probe"))
    samples = {
        (i, name): replicates(found, name) for i, found in enumerate(results) for name in names
    }
    rows, footnote = [], ""
    for line in series(sweep, dose):
        entries: list[Entry | str] = []
        doubt, groups = audited.families[line.family], [point.group for point in line.points]
        footnote = footnote or doubt.footnote(groups, names)
        for name in names:
            lead = results[line.family].leading(name)
            found = trend(line, dose, samples[line.family, name])
            if found is None or lead is None:
                entries.append("")
                continue
            # The base cancels, and its doubts with it.
            mark = heavier(doubt.of_level(group, name) for group in groups)
            entries.append(signed_entry(found, lead.unit, mark))
        if any(entries):
            rows.append((Entry(line.adapter, line.label), *entries))
    caption = (
        f"Change per doubling of {dose.title}: slope of the headline on log2, with 95 % interval (bold: it excludes 0; "
        "one line at a time, not adjusted for their number)"
    )
    return Table(f"trend_{dose.name}", caption, ("series", *names), tuple(rows), footnote=footnote)


def seeds(sweep: Sweep, results: Sequence[Results], audited: Audited) -> Table:
    """How far the seeds of a point lie apart, against what the choice of items explains."""
    leads, rows, footnotes = leading(results, "benchmark", "probe"), [], []
    for family, found, doubt in zip(sweep.families, results, audited.families, strict=True):
        footnotes.append(doubt.footnote([p.group for p in family.points], list(leads)))
        for point in family.points:
            entries: list[Entry | str] = []
            for name in leads:
                lead = found.leading(name)
                if lead is None:
                    entries.append("")
                    continue
                values = [r.level.value for r in found.of_seeds(point.group, name, lead.name)]
                share = found.of(point.group, name, lead.name).icc
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
                note = f"{100 * share:.0f} % training" if math.isfinite(share) else ""
                mark = doubt.of_level(point.group, name)
                entries.append(Entry(f"{number(spread, lead.unit)}{mark}", note))
            if len(found.study.of_adapter(point.group)) > 1:
                rows.append((_point_entry(point, found), *entries))
    caption = (
        "Standard deviation between the seeds of a point, and below it how much of a seed's variance is training rather "
        "than the choice of items, the spread between seeds pooled over points"
    )
    return Table(
        "seeds", caption, ("point", *leads), tuple(rows), footnote=max(footnotes) if rows else ""
    )


def cells(sweep: Sweep) -> Table:
    """Every cell, its settings and what became of it."""
    tones: dict[str, Tone] = {"finished": "good", "not run": "open"}
    rows = []
    for entry in sweep.document["cells"]:
        state = sweep.states[entry["name"]]
        text = Entry(state.word, state.message, tone=tones.get(state.word, "bad"))
        rows.append(
            (
                entry["name"],
                *(setting_text(entry["settings"][k]) for k in sweep.document["keys"]),
                text,
            )
        )
    return Table(
        "cells", "Cells of the sweep", ("cell", *short_names(sweep.document["keys"]), "state"), tuple(rows), prose=True
    )  # fmt: skip


def every_number(sweep: Sweep, results: Sequence[Results], audited: Audited) -> str:
    """A CSV with a line per point and headline, and one per seed: level, shift and interval as raw numbers."""
    rows = []
    for family, found, doubt in zip(sweep.families, results, audited.families, strict=True):
        study = found.study
        leads = found.leads("benchmark") | found.leads("probe")
        for point in family.points:
            for name, lead in leads.items():
                common = [point.adapter, *_settings(point, sweep)]
                marked = bool(doubt.of_shift(point.group, name))
                size = [
                    float(np.mean(point.steps)) if point.steps else None,
                    point.examples,
                    name,
                    lead.name,
                ]
                whole = found.of(point.group, name, lead.name)
                entries = [("all", len(study.of_adapter(point.group)), whole)]
                entries += [
                    (str(c.seed), 1, found.by_configuration[c.name, name, lead.name])
                    for c in study.of_adapter(point.group)
                    if (c.name, name, lead.name) in found.by_configuration
                ]
                for seed, n, result in entries:
                    shift = result.shift
                    rows.append([
                        *common, *size, seed, n, result.level.value, result.level.low, result.level.high,
                        *((shift.value, shift.low, shift.high) if shift else (None,) * 3), result.p_claim_holm, marked,
                    ])  # fmt: skip
    columns = (
        "adapter", *short_names(sweep.factors), "steps", "examples", "evaluation", "measure", "seed", "seeds", "level",
        "level_low", "level_high", "shift", "shift_low", "shift_high", "p_claim_holm", "in_doubt",
    )  # fmt: skip
    return csv_text(columns, rows)


def _point_entry(point: Point, results: Results) -> Entry:
    n = len(results.study.of_adapter(point.group))
    return Entry(point.adapter, ", ".join(p for p in (point.label, count(n, "seed")) if p))


def _trained(point: Point) -> list[Entry | str]:
    steps = (
        "-".join(f"{n:,}" for n in sorted({min(point.steps), max(point.steps)}))
        if point.steps
        else ""
    )
    best = sorted({min(point.best_steps), max(point.best_steps)}) if point.best_steps else []
    note = f"kept at {'-'.join(f'{n:,}' for n in best)}" if best else ""
    return [Entry(steps, note), f"{point.examples:,}" if point.examples else ""]


def _items(results: Sequence[Results], name: str) -> str:
    """Of how many items: "300", or "200 or 300" in families that were asked differently."""
    leads = [lead for one in results if (lead := one.leading(name))]
    return " or ".join(f"{n:,}" for n in sorted({len(lead.items) for lead in leads}))


def _settings(point: Point, sweep: Sweep) -> list[str]:
    return [setting_text(point.settings[k]) if k in point.settings else "" for k in sweep.factors]


def counted(states: Mapping[str, CellState]) -> str:
    """ "4 of 6 cells are finished, 1 failed, 1 has not run yet"."""
    words = collections.Counter(state.word for state in states.values())
    finished = words["finished"]
    parts = [
        f"{finished} of {count(len(states), 'cell')} {'is' if finished == 1 else 'are'} finished"
    ]
    for word in ("incomplete", "outdated"):
        if n := words[word]:
            parts.append(f"{n} {'is' if n == 1 else 'are'} {word}")
    if n := words["failed"]:
        parts.append(f"{n} failed")
    if n := words["not run"]:
        parts.append(f"{n} {'has' if n == 1 else 'have'} not run yet")
    return ", ".join(parts)
