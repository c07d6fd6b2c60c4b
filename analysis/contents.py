"""The tables of the report, made from results and from what study.json says about the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.load import BASE, finite
from analysis.results import Result, Results
from analysis.tables import Cell, Table, matrix, shown
from analysis.text import count, interval, number, p_value
from sycojax.evals.protocol import Measure

# Measures of what a probe reads without any sycophancy: printed beside its headlines.
FLOORS = ("noise", "floor")


def benchmarks(results: Results) -> Table:
    """Accuracy of every configuration group on every benchmark, with intervals and shifts."""
    names = results.study.with_role("benchmark")
    leads = [(name, lead) for name in names if (lead := results.leading(name))]
    rows = []
    for group in results.groups:
        row: list[Cell | str] = [_group(results, group)]
        for name, lead in leads:
            row.append(_level_and_shift(results.of(group, name, lead.name), lead))
        if results.with_shifts:
            mean = results.mean_benchmark_shift(group)
            value = number(mean.value, "rate", signed=True)
            strong = "text" if mean.excludes_zero else ""
            note = interval(mean, "rate", signed=True)
            row.append("" if group == BASE else Cell(value, note, strong))
        rows.append(tuple(row))
    heads = [f"{name} (n = {len(lead.items):,})" for name, lead in leads]
    heads += ["mean shift"] if results.with_shifts else []
    caption = "Benchmarks: correct answers in % with 95 % interval"
    if results.with_shifts:
        caption += ", below it the shift against the base in points (bold: the interval of the shift excludes 0)"
    return Table("benchmarks", caption, ("configuration", *heads), tuple(rows) if leads else ())


def probe(results: Results, name: str) -> Table:
    """One probe: soft and hard headline with shifts, the tested p-value, and what noise alone gives."""
    soft, hard = results.headline(name, "soft"), results.headline(name, "hard")
    floors = [
        m
        for m in results.study.described(name)
        if not m.headline and any(word in m.name for word in FLOORS)
    ]
    compared = results.with_shifts
    rows = []
    for group in results.groups:
        row: list[Cell | str] = [_group(results, group)]
        for measure in (soft, hard):
            if measure:
                result = results.of(group, name, measure.name)
                row.append(_level(result, measure))
                row += [_shift(result, measure)] if compared else []
                if compared and measure is soft:
                    unadjusted = f"unadjusted {p_value(result.p)}"
                    row.append("" if group == BASE else Cell(p_value(result.p_holm), unadjusted))
        row += [_level(results.of(group, name, m.name), m) for m in floors]
        rows.append(tuple(row))
    columns = ["configuration"]
    if soft:
        columns += ["soft", "shift of soft", "p, Holm"] if compared else ["soft"]
    if hard:
        columns += ["hard", "shift of hard"] if compared else ["hard"]
    columns += ["noise alone"] * len(floors)
    shown = soft or hard
    size = count(len(shown.items), "item") if shown else "no items"
    said = [f"soft = {_lower(soft.label)}"] if soft else []
    said += [f"hard = {_lower(hard.label)}"] if hard else []
    said += [f"noise alone = {_lower(m.label)}" for m in floors]
    return Table(
        f"probe_{name}",
        f"{name} ({size}), in points of 100: {'; '.join(said)}",
        tuple(columns),
        tuple(rows) if shown else (),
    )


def other_measures(results: Results, name: str) -> Table:
    """All other measures of a probe: one line each, levels with intervals."""
    rows = []
    for measure in results.study.described(name):
        if not measure.headline:
            cells = [_level(results.of(g, name, measure.name), measure) for g in results.groups]
            unit = "points" if measure.unit == "rate" else measure.unit
            rows.append((Cell(measure.label, f"{measure.name}, {unit}"), *cells))
    return Table(
        f"other_{name}", f"{name}: the other measures", ("measure", *results.groups), tuple(rows)
    )


def positions(results: Results) -> Table:
    """Accuracy in stored against rotated option order, and how often the answer is A."""
    names = [
        name
        for name in results.study.with_role("benchmark")
        if {"accuracy_as_is", "position_gap"} <= {m.name for m in results.study.described(name)}
    ]
    rows = []
    for name in names:
        measures = {m.name: m for m in results.study.described(name)}
        shown = ("accuracy_as_is", "accuracy", "position_gap", "first_letter")
        for group in results.groups:
            row: list[Cell | str] = [Cell(group, f"on {name}")]
            for key in shown:
                result = results.of(group, name, key)
                cell = _level(result, measures[key]) if key in measures else Cell("n/a")
                suspicious = key == "position_gap" and result.level.low > 0.05
                row.append(Cell(cell.text, cell.note, "text" if suspicious else ""))
            expected = [
                results.study.diagnostics.get((c.name, name), {}).get("first_letter_expected")
                for c in results.study.of_adapter(group)
            ]
            known = [value for value in expected if finite(value)]
            row.append(number(known[0], "rate") if known else "n/a")
            rows.append(tuple(row))
    return Table(
        "positions",
        "Position audit, in % (bold: stored order is worth more than 5 points, the whole interval above that)",
        (
            "configuration", "correct, stored order", "correct, rotated", "gap", "answers A, rotated",
            "A expected",
        ),
        tuple(rows),
    )  # fmt: skip


def diagnostics(results: Results) -> Table:
    """Side figures of every evaluation: the mean over an adapter's seeds."""
    study = results.study
    rows = []
    for name in study.evaluations:
        found = [study.diagnostics[k] for k in study.diagnostics if k[1] == name]
        for figure in dict.fromkeys(key for one in found for key in one):
            row = [Cell(figure.replace("_", " "), name)]
            for group in results.groups:
                values = [
                    study.diagnostics.get((c.name, name), {}).get(figure, math.nan)
                    for c in study.of_adapter(group)
                ]
                known = [v for v in values if finite(v)]
                row.append(Cell(f"{sum(known) / len(known):,.4g}" if known else "n/a"))
            rows.append(tuple(row))
        cut = [
            sum(study.truncated.get((c.name, name), 0) for c in study.of_adapter(g))
            for g in results.groups
        ]
        rows.append((Cell("prompts cut to fit the context", name), *(f"{c:,}" for c in cut)))
    return Table(
        "diagnostics",
        "Diagnostics: mean over seeds; prompts that were cut are counted over all seeds",
        ("figure", *results.groups),
        tuple(rows),
    )


def data_rows(data: Mapping[str, Any]) -> Table:
    """Rows per set, rows dropped because a probe asks them, and requests: one line per data set."""
    columns: dict[str, Mapping[str, Any]] = {}
    for key, value in data.items():
        if key in ("fingerprints", "training_examples") or not isinstance(value, Mapping):
            continue
        if value and all(isinstance(v, Mapping) for v in value.values()):
            columns |= {f"{split} {key}": per_set for split, per_set in value.items()}
        else:
            columns[key] = value
    return matrix("data", "Rows read, dropped and asked", "data set", columns) if columns else Table(
        "data", "Rows read, dropped and asked", ("data set",), ()
    )  # fmt: skip


def training_examples(data: Mapping[str, Any]) -> Table:
    """Examples per training set after encoding."""
    counts = data.get("training_examples")
    return matrix(
        "training_examples", "Training examples after encoding", "training set",
        counts if isinstance(counts, Mapping) else {},
    )  # fmt: skip


def training(document: Mapping[str, Any]) -> Table:
    """What study.json says about the training of each adapter; lists and nested values are left out."""
    found = document.get("training")
    summaries = found if isinstance(found, Mapping) else {}
    rows = {
        name: {k: v for k, v in one.items() if not isinstance(v, list | dict) and k != "name"}
        for name, one in summaries.items()
        if isinstance(one, Mapping)
    }
    columns = list(dict.fromkeys(k for one in rows.values() for k in one))
    return Table(
        "training",
        "Training, one row per adapter and seed",
        ("configuration", *(c.replace("_", " ") for c in columns)),
        tuple((name, *(shown(one.get(c, "")) for c in columns)) for name, one in rows.items()),
    )


def facts(name: str, caption: str, values: Mapping[str, Any]) -> Table:
    """A mapping as a table of one or, where its values are mappings, several columns."""
    return matrix(name, caption, "", values)


def formulas(results: Results) -> Table:
    """Every measure with its formula, as the evaluation states it."""
    rows = []
    for name in results.study.evaluations:
        for measure in results.study.described(name):
            kind = f"{measure.headline} headline" if measure.headline else measure.unit
            rows.append((Cell(measure.label, f"{name}: {measure.name}"), kind, measure.formula))
    return Table("formulas", "Measures", ("measure", "kind", "formula"), tuple(rows), prose=True)


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]


def _group(results: Results, group: str) -> Cell:
    seeds = len(results.study.of_adapter(group))
    return Cell(group, "" if group == BASE else count(seeds, "seed"))


def _level(result: Result, measure: Measure) -> Cell:
    note = interval(result.level, measure.unit)
    return Cell(number(result.level.value, measure.unit), note)


def _shift(result: Result, measure: Measure) -> Cell:
    if result.shift is None:
        return Cell("")
    return Cell(
        number(result.shift.value, measure.unit, signed=True),
        interval(result.shift, measure.unit, signed=True),
        strong="text" if result.shift.excludes_zero else "",
    )


def _level_and_shift(result: Result, measure: Measure) -> Cell:
    level = f"{number(result.level.value, measure.unit)} {interval(result.level, measure.unit)}"
    if result.shift is None:
        return Cell(level)
    shift = _shift(result, measure)
    return Cell(level, f"{shift.text} {shift.note}", "note" if shift.strong else "")
