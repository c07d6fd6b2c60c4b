"""What a model card says was measured: the report's tables, of one adapter and the base."""

from __future__ import annotations

import dataclasses

from analysis.audits import STUDY
from analysis.page.document import Block, Items, Paragraph
from analysis.page.tables import Entry, Table
from analysis.page.text import count
from analysis.records.load import BASE
from analysis.report import prose
from analysis.report.contents import audited, instruments, probes
from analysis.report.contents.benchmarks import benchmarks
from analysis.report.contents.entries import level_entry, shift_entry
from analysis.results import Results
from analysis.verdicts import conclusions, doubt, learning
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import concludes, family
from sycojax.records import PLACEBO


def blocks(results: Results, name: str, group: str) -> tuple[Block, ...]:
    """The numbers of the configuration ``name``, one seed of the adapter ``group``."""
    doubted = doubt.of(results)
    seeds = results.study.of_adapter(group)
    names = (BASE, group, PLACEBO)  # what any training of this length does
    shifts = _only(conclusions.table(results, doubted), names)
    said = (
        f"An effect on sycophancy is claimed where p, after Holm over the {count(family(results), 'test')} of the study, is below "
        ".05, on no other ground, and where no other reason stands beside it. "
        if concludes(results)
        else ""
    ) + (
        "Intervals are 95 %; MDE is the smallest shift a single test would find with "
        "80 % power; points are hundredths of a rate or score."
    )
    found: list[Block] = [
        Paragraph(prose.summary(results)[0]),
        Items(tuple(instruments.measurable(results))),
    ]
    idle = [one for one in learning.did_not_learn(results) if one[0] == f"Did not learn {group}:"]
    found += [Items(tuple(idle))] if idle else []
    if shifts.rows:
        found += [shifts, Paragraph(said)]
    if results.study.with_role("benchmark"):
        found.append(_only(benchmarks(results, doubted), names))
    found += [_only(probes.probe(results, doubted, one), names) for one in results.tested]
    if len(seeds) > 1:
        found += [
            Paragraph(
                f"The tables above are of the adapter {group} over its {count(len(seeds), 'seed')}, which is what "
                f"the study is about. The next one is of {name} alone."
            ),
            _alone(results, doubted, name, group),
        ]
    return (
        *found,
        Paragraph("What cannot be concluded", "heading"),
        Items(tuple(conclusions.cannot(results, doubted))),
        Paragraph("Audits", "heading"),
        audited.failures([a for a in doubted.audits if a.group in (BASE, group, STUDY)]),
    )


def _alone(results: Results, doubted: Doubt, name: str, group: str) -> Table:
    """The headlines of this very adapter: levels and shifts, with intervals over questions."""
    study = results.study
    rows = []
    for evaluation in (*study.with_role("benchmark"), *study.with_role("probe")):
        marks = doubted.of_level(group, evaluation), doubted.of_shift(group, evaluation)
        for kind in ("soft", "hard"):
            measure = results.headline(evaluation, kind)
            found = measure and results.by_configuration.get((name, evaluation, measure.name))
            if not measure or not found:
                continue
            few = doubted.too_few_of_shift(group, evaluation) if kind == "hard" else ""
            level = level_entry(found, measure, marks[0])
            entries = (
                (Entry("n/a", few),) * 2 if few else (level, shift_entry(found, measure, marks[1]))
            )
            rows.append((Entry(evaluation, f"{kind} headline"), *entries))
    return Table(
        "alone", f"{name} alone, in % or points, with 95 % intervals over questions",
        ("evaluation", "level", "shift against the base"), tuple(rows),
        footnote=doubted.footnote((BASE, group), study.evaluations),
    )  # fmt: skip


def _only(table: Table, names: tuple[str, ...]) -> Table:
    """The rows of a table of the report that are about these configurations."""
    rows = [row for row in table.rows if _first(row[0]) in names]
    return dataclasses.replace(table, rows=tuple(rows))


def _first(entry: Entry | str) -> str:
    return entry.text if isinstance(entry, Entry) else entry
