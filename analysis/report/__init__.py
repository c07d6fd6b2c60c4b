"""Write DIR/report: the page, its Markdown, the figures, the tables and the study's three CSVs."""

from __future__ import annotations

from pathlib import Path

from analysis import calibration
from analysis.figures import catalogue
from analysis.page.document import Document, Folded, render_html, render_markdown
from analysis.page.tables import Table, to_csv
from analysis.records.load import load
from analysis.report import csvs, sections
from analysis.results import compute
from analysis.verdicts import doubt
from sycojax.files import atomic_directory, atomic_write


def write(directory: Path) -> Path:
    """Make ``directory/report`` from ``directory/study.json`` and ``directory/records``.

    Returns the path of index.html. An older report is replaced in one step. Raises ``SycojaxError``
    when study.json or all records are missing, a record is damaged, or the disk refuses.
    """
    directory = Path(directory)
    results = compute(load(directory))
    doubted = doubt.of(results)
    pictures, files = catalogue.draw_all(results, doubted)
    calibrated = calibration.read(directory)
    if calibrated:
        pictures["calibration"], drawn = catalogue.draw_calibration(calibrated)
        files |= drawn
    document = sections.document(results, doubted, pictures, calibrated)
    files["index.html"] = render_html(document)
    files["report.md"] = render_markdown(document)
    files |= csvs.published(results)
    files |= {f"tables/{name}": text for name, text in csvs.every_measure(results, doubted).items()}
    files["tables/correlations_exploratory.csv"] = csvs.exploratory_correlations(results)
    files |= {f"tables/{t.name}.csv": to_csv(t) for t in _tables(document) if t.rows}
    with atomic_directory(directory / "report") as temporary:
        for name, content in files.items():
            atomic_write(temporary / name, content)
    return directory / "report" / "index.html"


def _tables(document: Document) -> list[Table]:
    """All tables of the page, folded ones included."""
    tables = []
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                tables.append(block)
            elif isinstance(block, Folded):
                tables += block.tables
    return tables
