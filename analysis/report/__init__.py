"""The report of a study: DIR/report with the page, the transcripts, their Markdown, the figures, the tables and the study's three CSVs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from analysis import calibration
from analysis.figures import calibration as planted
from analysis.figures import catalogue
from analysis.figures.picture import picture
from analysis.page.document import render_html, render_markdown
from analysis.page.publish import publish
from analysis.records.load import load
from analysis.report import csvs, prose, sections, transcripts
from analysis.results import compute
from analysis.verdicts import doubt


def write(
    directory: Path, probes: Sequence[str | Path] = (), say: Callable[[str], None] = lambda _: None
) -> Path:
    """Make ``directory/report`` from ``directory/study.json`` and ``directory/records``.

    ``probes`` are the files of a user's evaluations; what is not named is left out. Returns the path of index.html. An
    older report is replaced in one step. ``say`` is told in a line why little or nothing is concluded. Raises ``SycojaxError`` as ``load`` does, and when the disk refuses.
    """
    directory = Path(directory)
    results = compute(load(directory, probes))
    for block in prose.demonstration([results]):
        say(block.text)
    doubted = doubt.of(results)
    pictures = catalogue.draw_all(results, doubted)
    if results.calibration:
        pictures[calibration.NAME] = picture(
            calibration.NAME, planted.TITLE, planted.READING, planted.draw, results.calibration
        )
    document = sections.document(results, doubted, pictures)
    beside = transcripts.document(results.study)
    files = {
        **csvs.files(results, doubted),
        f"{transcripts.NAME}.html": render_html(beside),
        f"{transcripts.NAME}.md": render_markdown(beside),
    }
    return publish(document, files, directory / "report")
