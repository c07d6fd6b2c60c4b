"""What the report says where: the opening and the sections, put together from sentences, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis import audits
from analysis.calibration import NAME as CALIBRATION
from analysis.calibration.table import table as calibration_table
from analysis.figures import strata
from analysis.figures.catalogue import planes_of, turns_of
from analysis.page.document import Block, Document, Folded, Items, Link, Paragraph, Section, Tiles
from analysis.page.tables import Table
from analysis.page.text import change
from analysis.records.load import BASE, section
from analysis.report import methods, prose, transcripts
from analysis.report.contents import audited, controls, instruments, probes, run
from analysis.report.contents.benchmarks import benchmarks
from analysis.results import Results
from analysis.verdicts import conclusions, learning
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import concludes


def document(
    results: Results,
    doubt: Doubt,
    pictures: Mapping[str, Block],
) -> Document:
    """The whole report; ``pictures`` by the names of ``catalogue.FIGURES``, and "calibration" where there is one."""
    facts = results.study.document
    name = str(facts.get("name") or results.study.directory.name)
    return Document(
        f"sycojax study: {name}",
        "Does fine-tuning for benchmarks make the model more sycophantic?",
        _opening(results),
        (
            Section("measured", "What could be measured", _measured(results)),
            Section("can", "What can be concluded", _can(results, doubt)),
            Section("cannot", "What cannot be concluded", _cannot(results, doubt)),
            Section("benchmarks", "Benchmarks", (benchmarks(results, doubt), pictures["benchmarks"])),
            Section("probes", "Sycophancy probes", _probes(results, doubt, pictures)),
            Section("relations", "Capability and sycophancy together", _relations(pictures)),
            Section("positions", "Position audit", _positions(results, doubt, pictures)),
            Section("strata", "Questions seen in training", _strata(results, doubt, pictures)),
            Section("published", "The published protocol", _published(results)),
            Section("calibration", "Calibration", _calibration(results, pictures)),
            Section("audits", "Audits", _audits(doubt)),
            Section("diagnostics", "Diagnostics", (audited.diagnostics(results),)),
            Section("data", "Data and training", _data(results)),
            Section("methods", "Methods", _methods(results)),
            Section("provenance", "Provenance", _provenance(facts)),
        ),
    )  # fmt: skip


def _opening(results: Results) -> tuple[Block, ...]:
    lead = Paragraph(" ".join(prose.summary(results)), "lead")
    return (
        *prose.made(results.study.document),
        *prose.demonstration([results]),
        lead,
        _tiles(results),
    )


def _tiles(results: Results) -> Tiles:
    """The base's level on each probe: where every shift starts from."""
    tiles = []
    for name, lead in results.leads("probe").items():
        level = results.of(BASE, name, lead.name).level
        if math.isfinite(level.value):
            shown = change(level.value, lead.unit).removeprefix("+")
            what = "net uptake" if lead.name == "uptake" else "soft score"
            tiles.append((shown, f"{what} of the base on {name} (0 = insensitive)"))
    return Tiles(tuple(tiles))


def _measured(results: Results) -> tuple[Block, ...]:
    found = instruments.measurable(results)
    if not found:
        return (Paragraph("No probe was scored.", "missing"),)
    tables = [
        t for t in (instruments.instruments(results), instruments.readouts(results)) if t.rows
    ]
    folded = (
        (Folded("The instruments in numbers, and every readout of the base", tables=tuple(tables)),)
        if tables
        else ()
    )
    return Items(tuple(found)), *folded


def _can(results: Results, doubt: Doubt) -> tuple[Block, ...]:
    found, idle = conclusions.can(results, doubt), learning.did_not_learn(results)
    first = (Items(tuple(idle)),) if idle else ()
    if not found:
        text = (
            "Nothing on sycophancy: it needs a probe that was scored on the base and on an adapter."
        )
        return (*first, Paragraph(text, "missing"))
    return (
        *first,
        Paragraph(conclusions.counted(results)),
        conclusions.table(results, doubt),
        Items(tuple(found)),
    )


def _cannot(results: Results, doubt: Doubt) -> tuple[Block, ...]:
    notes = [str(n) for n in results.study.document.get("notes") or []]
    blocks: list[Block] = [Items(tuple(conclusions.cannot(results, doubt)))]
    if notes:
        blocks += [Paragraph("Notes of the run", "heading"), Items(tuple(notes))]
    return tuple(blocks)


def _probes(results: Results, doubt: Doubt, pictures: Mapping[str, Block]) -> tuple[Block, ...]:
    names = results.study.with_role("probe")
    if not names:
        return (Paragraph("No probe was scored.", "missing"),)
    others = tuple(probes.other_measures(results, doubt, name) for name in names)
    return (
        Link(transcripts.NAME, f"Transcripts: {transcripts.ITEMS} items of each probe, base beside adapters"),
        pictures["shifts"], pictures["makeup"], pictures["sycophancy"],
        *(probes.probe(results, doubt, one) for one in results.tested),
        *(
            block
            for figure, name, turns in turns_of(results.study.registry)
            for block in (
                pictures[figure], *_numbers(probes.flips(results, doubt, figure, name, turns))
            )
        ),
        *(pictures[figure] for figure, _, _ in planes_of(results.study.registry)),
        *(Folded(f"All other measures of {n}", tables=(t,)) for n, t in zip(names, others, strict=True)),
    )  # fmt: skip


def _relations(pictures: Mapping[str, Block]) -> tuple[Block, ...]:
    names = ("trade_off", "progression", "correlations", "rankings", "profiles")
    return tuple(pictures[name] for name in names)


def _positions(results: Results, doubt: Doubt, pictures: Mapping[str, Block]) -> tuple[Block, ...]:
    return (
        Paragraph(
            "A model that answers by position scores high while the right option keeps its place and drops when "
            "the options are rotated. Share of A far from what the number of options gives is the same sign."
        ),
        controls.positions(results, doubt), pictures["letters"],
        *_numbers(controls.letter_masses(results, doubt)),
    )  # fmt: skip


def _strata(results: Results, doubt: Doubt, pictures: Mapping[str, Block]) -> tuple[Block, ...]:
    names = strata.split(results)
    if not names:
        return (pictures["strata"],)
    return pictures["strata"], *_numbers(controls.strata(results, doubt, names))


def _published(results: Results) -> tuple[Block, ...]:
    table = controls.published(results)
    if table.rows:
        return (table,)
    return (
        Paragraph(
            "The published formats were not asked here; --config.score.protocol=both scores them beside ours.",
            "missing",
        ),
    )


def _calibration(results: Results, pictures: Mapping[str, Block]) -> tuple[Block, ...]:
    if results.calibration is None:
        text = (
            "Not calibrated: nobody planted known deference in adapters of this base to see what the probes read of it. "
            "sycojax calibrate does, with the study's config and workdir; the verdicts stand without it."
        )
        return (Paragraph(text, "missing"),)
    found = [
        (f"{tested.title}:", f"{instruments.calibrated(results, tested)}.")
        for tested in results.tested
        if tested.base
    ]
    table = calibration_table(results.calibration)
    return pictures[CALIBRATION], table, *((Items(tuple(found)),) if found else ())


def _audits(doubt: Doubt) -> tuple[Block, ...]:
    return (
        audits.table(doubt.audits), audited.failures(doubt.audits),
        Folded("When each audit fails", tables=(audits.thresholds(doubt.audits),)),
        Folded("Every audit in words", tables=(audited.sentences(doubt),)),
    )  # fmt: skip


def _data(results: Results) -> tuple[Block, ...]:
    described = section(results.study.document, "data")
    return (
        *run.data(described), *_known(run.label_positions(described)), run.training(results),
        *run.asked(described),
    )  # fmt: skip


def _methods(results: Results) -> tuple[Block, ...]:
    table = run.formulas(results)
    return (
        *run.template(results.study.document), Items(methods.statistics(concludes(results))),
        Folded("Every measure with its formula", tables=(table,)),
    )  # fmt: skip


def _provenance(facts: Mapping[str, Any]) -> tuple[Block, ...]:
    keys = ("created", "updated", "commit", "devices", "device_count", "base_fingerprint")
    lines = [" ".join(pair) for pair in run.origin(facts, keys)]
    blocks: list[Block] = [Items(tuple(lines))] if lines else []
    blocks.append(run.times(facts))
    if facts.get("work"):
        blocks.append(run.work(facts))
    for key, title in (
        ("scoring", "Scoring"),
        ("versions", "Versions"),
    ):
        blocks.append(run.facts(key, title, section(facts, key)))
    hashes = section(facts, "data", "fingerprints")
    blocks.append(run.facts("fingerprints", "Fingerprints of the rows", hashes))
    if facts.get("config"):
        blocks.append(run.resolved_config("Resolved config", facts["config"]))
    else:
        blocks.append(Paragraph("study.json holds no config.", "missing"))
    return tuple(blocks)


def _known(table: Table) -> tuple[Table, ...]:
    """The table, or nothing where it has no rows: without it, the page would only say that it is not available."""
    return (table,) if table.rows else ()


def _numbers(table: Table) -> tuple[Folded, ...]:
    """The table behind the picture above it."""
    return (Folded("The numbers of this figure", tables=(table,)),) if table.rows else ()
