"""Which numbers of a sweep are not to be believed: every cell is audited as the study that it is."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping

from analysis.audits.summary import ORDER
from analysis.page.tables import Entry, Table
from analysis.records.load import BASE
from analysis.results import compute
from analysis.sweep.load import Family, Sweep
from analysis.verdicts import doubt
from analysis.verdicts.conclusions import failed_audits
from analysis.verdicts.doubt import Doubt


@dataclasses.dataclass(frozen=True)
class Audited:
    """The audits of the cells, and the marks of the points that come from them."""

    cells: Mapping[str, Doubt]
    families: tuple[Doubt, ...]  # of the sweep's families; a group is a point, or the base

    @property
    def failing(self) -> list[str]:
        """The cells in which an audit failed."""
        return [n for n, d in self.cells.items() if any(a.outcome == "fail" for a in d.audits)]


def audit(sweep: Sweep) -> Audited:
    """Audit every cell that is in the report, as its own report does."""
    cells = {name: doubt.of(compute(study)) for name, study in sweep.studies.items()}
    return Audited(cells, tuple(_joined(family, cells) for family in sweep.families))


def table(sweep: Sweep, audited: Audited) -> Table:
    """A row per cell: how many of the audits came out how, and where they failed."""
    rows = []
    for name, found in audited.cells.items():
        titles = dict.fromkeys(a.title for a in found.audits)
        words = collections.Counter(
            min((a.word for a in found.audits if a.title == title), key=ORDER.index)
            for title in titles
        )
        failed = words["fail"]
        note = ", ".join(f"{words[word]} {word}" for word in ORDER[1:] if words[word])
        verdict = Entry(f"{failed} failed" if failed else "none failed", note, tone="bad" if failed else "good")  # fmt: skip
        groups = [BASE, *sweep.studies[name].adapters]
        rows.append((name, verdict, failed_audits(found, groups)))
    return Table(
        "audits", "Audits of the cells: when not to believe a number", ("cell", "verdicts", "failed, and where"),
        tuple(rows), prose=True,
    )  # fmt: skip


def heavier(marks: Iterable[str]) -> str:
    """The mark of a number made from several: a doubt of its own before one of the base, else ""."""
    found = set(marks)
    return next((mark for mark in (doubt.OWN, doubt.OF_BASE) if mark in found), "")


def _joined(family: Family, cells: Mapping[str, Doubt]) -> Doubt:
    """A point is in doubt where its adapter is in one of its cells; the base, and so every shift, where it is in any."""
    marked = set()
    for point in family.points:
        for cell in point.cells:
            for group, evaluation in cells[cell].marked:
                if group == BASE:
                    marked.add((BASE, evaluation))
                elif group == point.adapter:
                    marked.add((point.group, evaluation))
    return Doubt((), frozenset(marked))
