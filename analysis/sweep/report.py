"""Write DIR/report over all cells of a sweep: the page, its Markdown, figures and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.figures.catalogue import render
from analysis.page.document import Block, Picture, render_html, render_markdown
from analysis.page.tables import Table, to_csv
from analysis.page.text import count, listing
from analysis.records.load import BASE
from analysis.results import Results, compute
from analysis.sweep import contents, figures, tables
from analysis.sweep.audits import Audited, audit
from analysis.sweep.curves import STEPS, Dose, doses, series
from analysis.sweep.load import Sweep, load_sweep, short
from sycojax.files import atomic_directory, atomic_write

OUTCOMES = "Benchmark gain is the mean over the benchmarks."
HOLLOW = "A hollow marker is in doubt: an audit failed."


def write(directory: Path) -> Path:
    """Make ``directory/report`` from ``directory/sweep.json`` and the cells' records.

    Returns the path of index.html; an older report is replaced in one step. Raises ``SycojaxError`` when no cell has
    records, a record is damaged, or the disk refuses.
    """
    sweep = load_sweep(directory)
    results = [compute(family.study, headlines=True) for family in sweep.families]
    audited = audit(sweep)
    pictures, files = _drawn(sweep, results, audited)
    document = contents.document(sweep, results, audited, pictures)
    files["index.html"] = render_html(document)
    files["report.md"] = render_markdown(document)
    files["tables/numbers.csv"] = tables.every_number(sweep, results, audited)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table) and block.rows:
                files[f"tables/{block.name}.csv"] = to_csv(block)
    with atomic_directory(directory / "report") as temporary:
        for name, content in files.items():
            atomic_write(temporary / name, content)
    return directory / "report" / "index.html"


def _drawn(
    sweep: Sweep, results: Sequence[Results], audited: Audited
) -> tuple[dict[str, Block], dict[str, str | bytes]]:
    """The pictures of the page by name, and their files."""
    points = [(i, point) for i, family in enumerate(sweep.families) for point in family.points]
    drawn: list[tuple[str, str, str, Callable[..., Figure], tuple[Any, ...]]] = [
        (
            f"dose_{dose.name}",
            f"Effect against {dose.title}",
            f"Shift against the base with its 95 % interval; small dots beside it are single seeds. Points of one line differ "
            f"in {dose.title}{_alone(dose)}. {OUTCOMES} On the probes, up is more sycophantic. {HOLLOW}",
            figures.curves, (series(sweep, dose), dose),
        )
        for dose in doses(sweep)
        if figures.outcomes(results)
    ]  # fmt: skip
    drawn.append((
        "points",
        "All points",
        f"Shift of each point against its base with the 95 % interval; small dots below it are single seeds. {OUTCOMES} On "
        f"the probes, right is more sycophantic. {HOLLOW}",
        figures.side_by_side, (points,),
    ))  # fmt: skip
    footnote = _footnote(sweep, results, audited)
    blocks: dict[str, Block] = {}
    files: dict[str, str | bytes] = {}
    for name, title, reading, draw, arguments in drawn:
        svg, png = render(draw, results, audited, *arguments)
        blocks[name] = Picture(name, title, reading, svg, footnote)
        files |= {f"figures/{name}.svg": svg, f"figures/{name}.png": png}
    return blocks, files


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
