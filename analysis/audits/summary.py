"""Which numbers the failed audits mark, and all verdicts in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from analysis.audits.audit import STUDY, Audit
from analysis.page.tables import Entry, Table
from analysis.records.load import BASE

TONES: dict[str, Literal["good", "open"]] = {"pass": "good", "n/a": "open"}
NOT_ASKED = "\u2014"  # the audit does not apply to this group
ORDER = ("fail", "pass", "reported", "n/a")  # the first of these that a entry holds is its word


def marked(audits: Sequence[Audit]) -> frozenset[tuple[str, str]]:
    """(group, evaluation) of all numbers in doubt; a failure of the whole study marks every group."""
    found = set()
    for audit in audits:
        groups = _groups(audits) if audit.group == STUDY else (audit.group,)
        found |= {(group, evaluation) for group in groups for evaluation in audit.marks}
    return frozenset(found)


def table(audits: Sequence[Audit]) -> Table:
    """Audits by group, verdicts in words; below a failure, the evaluations it was seen on."""
    groups = (*_groups(audits), STUDY)
    rows = []
    for name in dict.fromkeys(a.name for a in audits):
        of_name = [a for a in audits if a.name == name]
        entries = [_entry([a for a in of_name if a.group == group]) for group in groups]
        rows.append((of_name[0].title, *entries, of_name[0].threshold))
    columns = ("Audit", *groups[:-1], "whole study", "fails when")
    return Table("audits", "Audits: when not to believe a number", columns, tuple(rows), prose=True)


def _entry(audits: Sequence[Audit]) -> Entry:
    if not audits:
        return Entry(NOT_ASKED)
    word = min((a.word for a in audits), key=ORDER.index)
    of_word = [a.evaluation for a in audits if a.word == word and a.evaluation]
    without = [a.evaluation for a in audits if a.word == "n/a" and a.evaluation]
    if word == "fail":
        return Entry(word, ", ".join(dict.fromkeys(of_word)), strong="text", tone="bad")
    note = f"n/a: {', '.join(dict.fromkeys(without))}" if without and word != "n/a" else ""
    return Entry(word, note, tone=TONES.get(word, ""))


def _groups(audits: Sequence[Audit]) -> tuple[str, ...]:
    """Base first, then the adapters, in the order of the audits."""
    found = dict.fromkeys(a.group for a in audits if a.group != STUDY)
    return tuple(sorted(found, key=lambda g: g != BASE))
