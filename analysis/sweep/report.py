"""Write DIR/report over all cells of a sweep: the page, its Markdown, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.page.publish import publish
from analysis.results import compute
from analysis.sweep import contents, tables
from analysis.sweep.audits import audit
from analysis.sweep.load import load_sweep


def write(directory: Path, probes: Sequence[str | Path] = ()) -> Path:
    """Make ``directory/report`` from ``directory/sweep.json`` and the cells' records.

    ``probes`` are the files of a user's evaluations. Returns the path of index.html; an older report is replaced in one step. Raises ``SycojaxError`` when no cell has
    records, a record is damaged, or the disk refuses.
    """
    sweep = load_sweep(directory, probes)
    results = [compute(family.study, headlines=True) for family in sweep.families]
    audited = audit(sweep)
    document = contents.document(sweep, results, audited)
    numbers = {"tables/numbers.csv": tables.every_number(sweep, results, audited)}
    return publish(document, numbers, directory / "report")
