"""The tables of a sweep: its points with levels and shifts, trends, seeds, cells; and one long CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.contents.cells import shift_cell
from analysis.results import Results
from analysis.sweep.curves import Dose, replicates, series, trend
from analysis.sweep.load import Point, Sweep, short, shown
from analysis.tables import Cell, Table, csv_text
from analysis.text import count, interval, number


def points(sweep: Sweep, results: Sequence[Results], role: str) -> Table:
    """Shifts of every point against its base, on all evaluations of a role."""
    rows = []
    leads = {
        name: lead
        for name in results[0].study.with_role(role)
        if (lead := results[0].leading(name))
    }
    for family, found in zip(sweep.families, results, strict=True):
        for point in family.points:
            row: list[Cell | str] = [_point_cell(point, found), *_trained(point)]
            row += [
                shift_cell(found.of(point.group, n, lead.name), lead) for n, lead in leads.items()
            ]
            if role == "benchmark":
                mean = found.mean_benchmark_shift(point.group)
                strong = "text" if mean.excludes_zero else ""
                row.append(
                    Cell(number(mean.value, "rate", True), interval(mean, "rate", True), strong)
                )
            rows.append(tuple(row))
    heads = [f"{name} (n = {len(lead.items):,})" for name, lead in leads.items()]
    heads += ["mean"] if role == "benchmark" else []
    what = "Benchmarks" if role == "benchmark" else "Probes"
    return Table(
        f"{role}s", f"{what}: shift against the base with 95 % interval (bold: it excludes 0)",
        ("point", "steps", "examples", *heads), tuple(rows) if leads else (),
    )  # fmt: skip


def trends(sweep: Sweep, results: Sequence[Results], dose: Dose) -> Table:
    """The slope per doubling of a dose, for every series with two points or more and every evaluation."""
    study = results[0].study
    names = (*study.with_role("benchmark"), *study.with_role("probe"))
    samples = {
        (i, name): replicates(found, name) for i, found in enumerate(results) for name in names
    }
    rows = []
    for line in series(sweep, dose):
        cells: list[Cell | str] = []
        for name in names:
            lead = results[line.family].leading(name)
            found = trend(line, dose, samples[line.family, name])
            if found is None or lead is None:
                cells.append("")
                continue
            strong = "text" if found.excludes_zero else ""
            note = interval(found, lead.unit, True)
            cells.append(Cell(number(found.value, lead.unit, True), note, strong))
        if any(cells):
            rows.append((Cell(line.adapter, line.label), *cells))
    caption = (
        f"Change per doubling of {dose.title}: slope of the headline on log2, with 95 % interval (bold: it excludes 0; "
        "one line at a time, not adjusted for their number)"
    )
    return Table(f"trend_{dose.name}", caption, ("series", *names), tuple(rows))


def seeds(sweep: Sweep, results: Sequence[Results]) -> Table:
    """How far the seeds of a point lie apart, against what the choice of items explains."""
    study = results[0].study
    leads = {
        name: lead
        for name in (*study.with_role("benchmark"), *study.with_role("probe"))
        if (lead := results[0].leading(name))
    }
    rows = []
    for family, found in zip(sweep.families, results, strict=True):
        for point in family.points:
            cells = []
            for name, lead in leads.items():
                values = [r.level.value for r in found.of_seeds(point.group, name, lead.name)]
                share = found.of(point.group, name, lead.name).icc
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
                note = f"{100 * share:.0f} % training" if math.isfinite(share) else ""
                cells.append(Cell(number(spread, lead.unit), note))
            if len(found.study.of_adapter(point.group)) > 1:
                rows.append((_point_cell(point, found), *cells))
    caption = (
        "Standard deviation between the seeds of a point, and below it how much of a seed's variance is training rather "
        "than the choice of items, the spread between seeds pooled over points"
    )
    return Table("seeds", caption, ("point", *leads), tuple(rows))


def cells(sweep: Sweep) -> Table:
    """Every cell, its settings and what became of it."""
    rows = []
    for entry in sweep.document["cells"]:
        state = sweep.states[entry["name"]]
        done = state == "finished"
        known = done or state in ("not run", "incomplete")
        text = Cell(
            state if known else "failed", "" if known else state, tone="good" if done else "bad"
        )
        rows.append(
            (entry["name"], *(shown(entry["settings"][k]) for k in sweep.document["keys"]), text)
        )
    return Table(
        "cells", "Cells of the sweep", ("cell", *map(short, sweep.document["keys"]), "state"), tuple(rows), prose=True
    )  # fmt: skip


def every_number(sweep: Sweep, results: Sequence[Results]) -> str:
    """A CSV with a line per point and headline, and one per seed: level, shift and interval as raw numbers."""
    rows = []
    for family, found in zip(sweep.families, results, strict=True):
        study = found.study
        roles = (*study.with_role("benchmark"), *study.with_role("probe"))
        for point in family.points:
            for name in roles:
                lead = found.leading(name)
                if lead is None:
                    continue
                common = [point.adapter, *(shown(point.settings[k]) for k in sweep.factors)]
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
                        *((shift.value, shift.low, shift.high) if shift else (None,) * 3), result.p_claim_holm,
                    ])  # fmt: skip
    columns = (
        "adapter", *map(short, sweep.factors), "steps", "examples", "evaluation", "measure", "seed", "seeds", "level",
        "level_low", "level_high", "shift", "shift_low", "shift_high", "p_claim_holm",
    )  # fmt: skip
    return csv_text(columns, rows)


def _point_cell(point: Point, results: Results) -> Cell:
    n = len(results.study.of_adapter(point.group))
    return Cell(point.adapter, ", ".join(p for p in (point.label, count(n, "seed")) if p))


def _trained(point: Point) -> list[Cell | str]:
    steps = (
        "-".join(f"{n:,}" for n in sorted({min(point.steps), max(point.steps)}))
        if point.steps
        else ""
    )
    kept = sorted({min(point.best_steps), max(point.best_steps)}) if point.best_steps else []
    note = f"kept at {'-'.join(f'{n:,}' for n in kept)}" if kept else ""
    return [Cell(steps, note), f"{point.examples:,}" if point.examples else ""]


def counted(states: Mapping[str, str]) -> str:
    """ "5 of 6 cells are finished, 1 failed"."""
    finished = sum(state in ("finished", "incomplete") for state in states.values())
    waiting = sum(state == "not run" for state in states.values())
    parts = [
        f"{finished} of {count(len(states), 'cell')} {'is' if finished == 1 else 'are'} finished"
    ]
    parts += [f"{failed} failed"] if (failed := len(states) - finished - waiting) else []
    parts += [f"{waiting} {'has' if waiting == 1 else 'have'} not run yet"] if waiting else []
    return ", ".join(parts)
