"""What the report over a sweep says where."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.figures.picture import picture
from analysis.page.document import Block, Document, Items, Paragraph, Picture, Section
from analysis.page.text import change, count, interval, listing, p_value
from analysis.records.load import BASE
from analysis.report import prose
from analysis.report.contents import run
from analysis.results import Results
from analysis.sweep import audits, figures, tables
from analysis.sweep.audits import Audited
from analysis.sweep.curves import STEPS, Dose, doses, series
from analysis.sweep.load import Sweep, setting_text, short, short_names
from analysis.verdicts.doubt import MEANING
from analysis.verdicts.rule import findings

METHODS = (
    "A point is one adapter at one setting; its seeds are replicates, whether one cell trained them or several. Shifts, "
    "intervals and tests are those of a study's report, with all points of the sweep as its adapters: intervals by "
    "question and seed, the spread between seeds pooled over the points (docs/statistics.md).",
    "Points are compared with the base of their own cells. Cells whose base or whose questions differ (another base, recipe "
    "or number of items) are analysed apart and only shown together.",
    "The p values of shifts are adjusted by Holm over every point and probe of the sweep that share a base, placebos left out: a finer grid has to show more.",
    "Where the spread between seeds grows with the dose, which the table between seeds shows, pooling makes the intervals of "
    "small doses wider than need be and those of the largest too short: spread doubling from point to point, a 95 % interval "
    "of the largest dose covered 82-86 % in simulations with two seeds, 88-89 % with three and 91-93 % with five, that of the "
    "slope 88-90, 91-92 and 93-95 %.",
    "A trend is the least-squares slope on log2 of the dose, and its interval holds for that line alone. A curve need not be "
    "a line: look at the figure first. With few seeds, doses that were trained on the same seeds share their luck.",
    "Every adapter is the one with the lowest validation loss of its run, so its training may have ended, for what is "
    "measured, at the step that the tables call kept. The axis is the length of the run.",
    "Every cell is audited as the study that it is. All other measures stand in each cell's own report.",
)
OUTCOMES = "Benchmark gain is the mean over the benchmarks."
HOLLOW = "A hollow marker is in doubt: an audit failed."
AUDITS = Paragraph(
    "What each audit looks at, when it fails and what it found stands in the cell's own report. A point is in doubt where "
    "one of its cells is."
)


def document(sweep: Sweep, results: Sequence[Results], audited: Audited) -> Document:
    """The whole page."""
    benchmarks = tables.points(sweep, results, audited, "benchmark")
    probes = tables.points(sweep, results, audited, "probe")
    curves = [
        block
        for dose in doses(sweep)
        if figures.outcomes(results)
        for block in (
            _curve(sweep, results, audited, dose),
            tables.trends(sweep, results, audited, dose),
        )
    ]
    none = Paragraph(
        "The cells differ in nothing that can be counted: there is no dose.", "missing"
    )
    spread = tables.seeds(sweep, results, audited)
    alone = Paragraph("No point has a second seed: nothing tells training from luck.", "missing")
    return Document(
        f"sycojax sweep: {sweep.document['name']}",
        f"What changes with {listing([name.replace('_', ' ') for name in short_names(sweep.document['keys'])])}?",
        _opening(sweep, results, audited),
        (
            Section("can", "What can be concluded", _claims(sweep, results, audited)),
            Section("doses", "Effect against dose", tuple(curves) or (none,)),
            Section("points", "All points", (_points(sweep, results, audited), benchmarks, probes)),
            Section("seeds", "Between seeds", (spread if spread.rows else alone,)),
            Section("audits", "Audits", (AUDITS, audits.table(sweep, audited))),
            Section("cells", "Cells", (
                tables.cells(sweep),
                Paragraph("Each cell is a study of its own: sycojax report --workdir=WORKDIR/cells/NAME writes its report."),
            )),
            Section("methods", "Methods", (Items(METHODS),)),
            Section("provenance", "Provenance", _provenance(sweep)),
        ),
        footer="Written by sycojax from the item records in cells/; tables/numbers.csv holds every number of this page.",
    )  # fmt: skip


def _opening(sweep: Sweep, results: Sequence[Results], audited: Audited) -> tuple[Block, ...]:
    facts = sweep.document
    blocks: list[Block] = [*prose.made(facts), *prose.demonstration(results)]
    values = {
        key: list(dict.fromkeys(setting_text(entry["settings"][key]) for entry in facts["cells"]))
        for key in facts["keys"]
    }
    pairs = zip(short_names(facts["keys"]), values.values(), strict=True)
    varied = "; ".join(f"{name.replace('_', ' ')} {listing(v)}" for name, v in pairs)
    adapters = sum(c.adapter != BASE for r in results for c in r.study.configurations)
    blocks.append(
        Paragraph(
            f"{tables.counted(sweep.states)}: {varied}. They hold {count(adapters, 'adapter')} at "
            f"{count(len(sweep.points), 'point')}.",
            "lead",
        )
    )
    left_out = [
        (f"{name}: {state.word}.", state.message)
        for name, state in sweep.states.items()
        if state.word in ("failed", "outdated")
    ]
    blocks += [Items(tuple(left_out))] if left_out else []
    if failing := audited.failing:
        blocks.append(
            Paragraph(
                f"An audit failed in {len(failing)} of {count(len(audited.cells), 'cell')}. {MEANING}",
                "callout",
            )
        )
    return tuple(blocks)


def _curve(sweep: Sweep, results: Sequence[Results], audited: Audited, dose: Dose) -> Picture:
    return picture(
        f"dose_{dose.name}",
        f"Effect against {dose.title}",
        f"Shift against the base with its 95 % interval; small dots beside it are single seeds. Points of one line differ "
        f"in {dose.title}{_alone(dose)}. {OUTCOMES} On the probes, up is more sycophantic. {HOLLOW}",
        figures.curves, results, audited, series(sweep, dose), dose,
        footnote=_footnote(sweep, results, audited),
    )  # fmt: skip


def _points(sweep: Sweep, results: Sequence[Results], audited: Audited) -> Picture:
    points = [(i, point) for i, family in enumerate(sweep.families) for point in family.points]
    return picture(
        "points",
        "All points",
        f"Shift of each point against its base with the 95 % interval; small dots below it are single seeds. {OUTCOMES} On "
        f"the probes, right is more sycophantic. {HOLLOW}",
        figures.side_by_side, results, audited, points,
        footnote=_footnote(sweep, results, audited),
    )  # fmt: skip


def _alone(dose: Dose) -> str:
    own = f" (set by {listing([*map(short, dose.keys)])})" if dose.title == STEPS else ""
    return f"{own} " + (
        f"and with it in {listing([*map(short, dose.along)])}" if dose.along else "alone"
    )


def _footnote(sweep: Sweep, results: Sequence[Results], audited: Audited) -> str:
    """What is in doubt, by evaluation; the points themselves are drawn hollow and marked in the tables."""
    found = []
    for name in tables.leading(results, "benchmark", "probe"):
        marked = [
            (point.group, name) in doubt.marked
            for family, doubt in zip(sweep.families, audited.families, strict=True)
            for point in family.points
        ]
        if any((BASE, name) in doubt.marked for doubt in audited.families):
            found.append(f"{name} (the base, and so every shift)")
        elif any(marked):
            found.append(f"{name} ({sum(marked)} of {count(len(marked), 'point')})")
    return f"In doubt: {listing(found)}." if found else ""


def _claims(sweep: Sweep, results: Sequence[Results], audited: Audited) -> tuple[Block, ...]:
    """Shifts of probes that hold after Holm, point by point."""
    found: list[tuple[str, str]] = []
    tests = blind = 0
    for family, result, doubt in zip(sweep.families, results, audited.families, strict=True):
        told = findings(result)
        for point in family.points:
            for one in (v for v in told if v.adapter == point.group):
                tests += 1
                blind += one.outcome == "not valid here"
                if one.claimed:
                    unit = one.measure.unit
                    size = f"{change(one.shift.value, unit)} {interval(one.shift, unit, True)}"
                    where = (
                        f"{point.group}: {one.tested.title}{doubt.of_shift(point.group, one.probe)}"
                    )
                    found.append((where, f"{size}, p {p_value(one.p)} after Holm."))
    if not tests:
        return (Paragraph("Nothing on sycophancy: no probe was scored.", "missing"),)
    if blind == tests:
        text = (
            f"Nothing: none of the {count(tests, 'shift')} of the probes, which stand under All points, was measured by an "
            "instrument that is valid here."
        )
        return (Paragraph(text),)
    said = f"{len(found)} of {count(tests - blind, 'probe shift')} hold{'s' if len(found) == 1 else ''} after Holm's adjustment."
    if blind:
        said += f" {blind} more {'was' if blind == 1 else 'were'} not validly measured."
    lone = [p for f in sweep.families for p in f.points if len(f.study.of_adapter(p.group)) == 1]
    if lone:
        said += " Points with a single seed speak about that seed only."
    return (Paragraph(said), *([Items(tuple(found))] if found else []))


def _provenance(sweep: Sweep) -> tuple[Block, ...]:
    facts = sweep.document
    versions = facts.get("versions") or {}
    lines = [f"study: {facts.get('study')}", f"commit: {facts.get('commit') or 'unknown'}"]
    lines += [f"{name}: {version}" for name, version in versions.items()]
    config = run.resolved_config("The study below the sweep", facts.get("config") or {})
    return Items(tuple(lines)), config
