"""The report of a study: DIR/report with the page, its Markdown, the figures, the tables and the study's three CSVs."""

from __future__ import annotations

from pathlib import Path

from analysis import calibration
from analysis.figures import calibration as planted
from analysis.figures import catalogue
from analysis.figures.picture import picture
from analysis.page.publish import publish
from analysis.records.load import load
from analysis.report import csvs, sections
from analysis.results import compute
from analysis.verdicts import doubt


def write(directory: Path) -> Path:
    """Make ``directory/report`` from ``directory/study.json`` and ``directory/records``.

    Returns the path of index.html. An older report is replaced in one step. Raises ``SycojaxError``
    when study.json or all records are missing, a record is damaged, or the disk refuses.
    """
    directory = Path(directory)
    results = compute(load(directory))
    doubted = doubt.of(results)
    pictures = catalogue.draw_all(results, doubted)
    calibrated = calibration.read(directory)
    if calibrated:
        pictures[calibration.NAME] = picture(
            calibration.NAME, planted.TITLE, planted.READING, planted.draw, calibrated
        )
    document = sections.document(results, doubted, pictures, calibrated)
    return publish(document, csvs.files(results, doubted), directory / "report")
