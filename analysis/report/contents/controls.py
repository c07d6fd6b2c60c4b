"""The tables of what else could explain a number: option positions, letters, questions seen in training, the parser."""

from __future__ import annotations

from analysis.figures.letters import LETTERS, lettered
from analysis.page.tables import Entry, Table
from analysis.page.text import number
from analysis.records.load import BASE
from analysis.records.strata import STRATA
from analysis.report.contents.entries import group_entry, level_entry, shift_entry, signed_entry
from analysis.results import Results
from analysis.verdicts.doubt import Doubt


def positions(results: Results, doubt: Doubt) -> Table:
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
            row: list[Entry | str] = [Entry(f"{group}{doubt.of_level(group, name)}", f"on {name}")]
            for key in shown:
                result = results.of(group, name, key)
                entry = level_entry(result, measures[key])
                suspicious = key == "position_gap" and result.level.low > 0.05
                row.append(Entry(entry.text, entry.note, "text" if suspicious else ""))
            expected = results.diagnostics(group, name, "first_letter_expected")
            row.append(number(expected[0], "rate") if expected else "n/a")
            rows.append(tuple(row))
    return Table(
        "positions",
        "Option positions, in % (bold: stored order is worth more than 5 points, the whole interval above that)",
        (
            "configuration", "correct, stored order", "correct, rotated", "gap", "answers A, rotated",
            "A expected",
        ),
        tuple(rows),
        footnote=doubt.footnote(results.groups, names),
    )  # fmt: skip


def letter_masses(results: Results, doubt: Doubt) -> Table:
    """Mean probability of each letter over rotations, in %."""
    rows = []
    for name in lettered(results):
        measures = {m.name: m for m in results.study.described(name)}
        for group in results.groups:
            keys = [f"letter_mass_{x}" for x in LETTERS]
            entries = [level_entry(results.of(group, name, k), measures[k]) for k in keys]
            rows.append((Entry(f"{group}{doubt.of_level(group, name)}", f"on {name}"), *entries))
    return Table(
        "letters",
        "Letter prior: mean probability of each of the first four letters in % with 95 % intervals; every text stands "
        "behind every letter equally often, so an unbiased model gives 25 to each",
        ("configuration", *LETTERS),
        tuple(rows),
        footnote=doubt.footnote(results.groups, lettered(results)),
    )


def strata(results: Results, doubt: Doubt, names: tuple[str, ...]) -> Table:
    """Soft shift of each adapter (level of the base) by where the question was seen."""
    rows, leads = [], results.leads("probe")
    for name in names:
        lead = leads[name]
        for group in results.groups:
            row: list[Entry | str] = [Entry(group, name)]
            for stratum in STRATA:
                found = results.by_stratum.get((group, name, lead.name, stratum))
                if found is None:
                    row.append("n/a")
                    continue
                base = group == BASE or found.shift is None
                mark = doubt.of_level(group, name) if base else doubt.of_shift(group, name)
                entry = (level_entry if base else shift_entry)(found, lead, mark)
                items = f"n = {found.level.items:,}"
                row.append(Entry(entry.text, f"{entry.note} {items}", entry.strong))
            contrast = results.seen_minus_unseen.get((group, name, lead.name))
            row.append(signed_entry(contrast, lead.unit) if contrast else "n/a")
            rows.append(tuple(row))
    return Table(
        "strata",
        "Strata: shift of the soft headline in points by where the probe's question was seen (base: its level); seen "
        "minus unseen compares the questions of a training split with all others. Exploratory",
        ("configuration", *STRATA, "seen minus unseen"),
        tuple(rows),
        footnote=doubt.footnote(results.groups, names),
    )


def published(results: Results) -> Table:
    """Each evaluation's hard headline beside the rate that the published formats and parsers give."""
    study = results.study
    rows = []
    for name in study.with_role("replication"):
        rate, ours = study.measure_of(name, "published"), study.registry.subject(name)
        if rate is None:
            continue
        hard, unparsed = results.headline(ours, "hard"), study.measure_of(name, "unparsed")
        for group in results.groups:
            row: list[Entry | str] = [
                Entry(group_entry(results, group).text, ours),
                level_entry(results.of(group, ours, hard.name), hard) if hard else "n/a",
                shift_entry(results.of(group, ours, hard.name), hard) if hard else "n/a",
                level_entry(results.of(group, name, rate.name), rate),
                shift_entry(results.of(group, name, rate.name), rate),
                level_entry(results.of(group, name, unparsed.name), unparsed)
                if unparsed
                else "n/a",
            ]
            rows.append(tuple(row))
    return Table(
        "published",
        "The published protocol beside ours, in %: generated text read by keywords and patterns against decisions by "
        "likelihood with controls. The published rates keep their known defects and decide nothing here",
        ("configuration", "hard headline", "shift", "published rate", "its shift", "not parsed"),
        tuple(rows),
    )
