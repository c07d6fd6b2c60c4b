"""Write DIR/report over all cells of a sweep: the page, its Markdown, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.picture import picture
from analysis.page.document import Picture
from analysis.page.publish import publish
from analysis.page.text import count, listing
from analysis.records.load import BASE
from analysis.results import Results, compute
from analysis.sweep import contents, figures, tables
from analysis.sweep.audits import Audited, audit
from analysis.sweep.curves import STEPS, Dose, doses, series
from analysis.sweep.load import Sweep, load_sweep, short

OUTCOMES = "Benchmark gain is the mean over the benchmarks."
HOLLOW = "A hollow marker is in doubt: an audit failed."


def write(directory: Path, probes: Sequence[str | Path] = ()) -> Path:
    """Make ``directory/report`` from ``directory/sweep.json`` and the cells' records.

    ``probes`` are the files of a user's evaluations. Returns the path of index.html; an older report is replaced in one step. Raises ``SycojaxError`` when no cell has
    records, a record is damaged, or the disk refuses.
    """
    sweep = load_sweep(directory, probes)
    results = [compute(family.study, headlines=True) for family in sweep.families]
    audited = audit(sweep)
    document = contents.document(sweep, results, audited, _pictures(sweep, results, audited))
    numbers = {"tables/numbers.csv": tables.every_number(sweep, results, audited)}
    return publish(document, numbers, directory / "report")


def _pictures(sweep: Sweep, results: Sequence[Results], audited: Audited) -> dict[str, Picture]:
    """The pictures of the page by name."""
    footnote = _footnote(sweep, results, audited)
    drawn = [
        picture(
            f"dose_{dose.name}",
            f"Effect against {dose.title}",
            f"Shift against the base with its 95 % interval; small dots beside it are single seeds. Points of one line differ "
            f"in {dose.title}{_alone(dose)}. {OUTCOMES} On the probes, up is more sycophantic. {HOLLOW}",
            figures.curves, results, audited, series(sweep, dose), dose,
            footnote=footnote,
        )
        for dose in doses(sweep)
        if figures.outcomes(results)
    ]  # fmt: skip
    points = [(i, point) for i, family in enumerate(sweep.families) for point in family.points]
    drawn.append(picture(
        "points",
        "All points",
        f"Shift of each point against its base with the 95 % interval; small dots below it are single seeds. {OUTCOMES} On "
        f"the probes, right is more sycophantic. {HOLLOW}",
        figures.side_by_side, results, audited, points,
        footnote=footnote,
    ))  # fmt: skip
    return {one.name: one for one in drawn}


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
