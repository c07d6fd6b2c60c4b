"""Write DIR/report over all cells of a sweep: the page, its Markdown, figures and tables."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from analysis.figures.style import SETTINGS
from analysis.page import Block, Picture, render_html, render_markdown
from analysis.results import compute
from analysis.sweep import contents, figures, tables
from analysis.sweep.curves import doses, series
from analysis.sweep.load import load_sweep
from analysis.tables import Table, to_csv
from sycojax.files import atomic_directory, atomic_write


def write(directory: Path) -> Path:
    """Make ``directory/report`` from ``directory/sweep.json`` and the cells' records.

    Returns the path of index.html; an older report is replaced in one step. Raises ``SycojaxError`` when no cell has
    records, a record is damaged, or the disk refuses.
    """
    sweep = load_sweep(directory)
    results = [compute(family.study, headlines=True) for family in sweep.families]
    along = doses(sweep)
    points = [(i, point) for i, family in enumerate(sweep.families) for point in family.points]
    with matplotlib.rc_context(SETTINGS):
        drawn: dict[str, tuple[str, str, Figure]] = {
            f"dose_{dose.name}": (
                f"Effect against {dose.title}",
                "Shift against the base with its 95 % interval; small dots are single seeds. Points of one line differ in "
                f"{dose.title} alone. Benchmark gain is the mean over the benchmarks; on the probes, up is more sycophantic.",
                figures.curves(results, series(sweep, dose), dose),
            )
            for dose in along
            if figures.outcomes(results)
        }
        drawn["points"] = (
            "All points",
            "Shift of each point against its base with the 95 % interval; small dots are single seeds. On the probes, "
            "right is more sycophantic.",
            figures.side_by_side(results, points),
        )
        pictures, files = _rendered(drawn)
    along = [dose for dose in along if f"dose_{dose.name}" in pictures]
    document = contents.document(sweep, results, along, pictures)
    files["index.html"] = render_html(document)
    files["report.md"] = render_markdown(document)
    files["tables/numbers.csv"] = tables.every_number(sweep, results)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table) and block.rows:
                files[f"tables/{block.name}.csv"] = to_csv(block)
    with atomic_directory(directory / "report") as temporary:
        for name, content in files.items():
            atomic_write(temporary / name, content)
    return directory / "report" / "index.html"


def _rendered(
    drawn: Mapping[str, tuple[str, str, Figure]],
) -> tuple[dict[str, Block], dict[str, str | bytes]]:
    blocks: dict[str, Block] = {}
    files: dict[str, str | bytes] = {}
    for name, (title, reading, figure) in drawn.items():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        svg, png = io.BytesIO(), io.BytesIO()
        # Without a date and a creator the same numbers give the same file.
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
        blocks[name] = Picture(name, title, reading, svg.getvalue())
        files |= {f"figures/{name}.svg": svg.getvalue(), f"figures/{name}.png": png.getvalue()}
    return blocks, files
