"""Which numbers the failed audits mark, all outcomes in one table, and when each audit fails."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.audits.audit import STUDY, Audit
from analysis.page.tables import Entry, Table, Tone
from analysis.records.load import BASE

TONES: dict[str, Tone] = {"fail": "bad", "pass": "good", "n/a": "open"}
NOT_ASKED = "\u2014"  # the audit does not apply to this group
ORDER = (
    "fail",
    "pass",
    "reported",
    "n/a",
)  # of several outcomes in one entry, the first of these is printed


def marked(audits: Sequence[Audit]) -> frozenset[tuple[str, str]]:
    """(group, evaluation) of all numbers in doubt; a failure of the whole study marks every group."""
    found = set()
    for audit in audits:
        groups = _groups(audits) if audit.group == STUDY else (audit.group,)
        found |= {(group, evaluation) for group in groups for evaluation in audit.marks}
    return frozenset(found)


def table(audits: Sequence[Audit]) -> Table:
    """Audits by group, outcomes in words; below a failure, the evaluations it was seen on."""
    groups = (*_groups(audits), STUDY)
    rows = []
    for name in dict.fromkeys(a.name for a in audits):
        of_name = [a for a in audits if a.name == name]
        entries = [_entry([a for a in of_name if a.group == group]) for group in groups]
        rows.append((of_name[0].title, *entries))
    return Table(
        "audits", "Audits: when not to believe a number", ("Audit", *groups[:-1], "whole study"), tuple(rows),
        prose=True, whole=True,
    )  # fmt: skip


def thresholds(audits: Sequence[Audit]) -> Table:
    """Every audit and when it fails: long, and the same for all studies."""
    rows = {a.name: (a.title, a.threshold) for a in audits}
    return Table(
        "audit_thresholds", "Thresholds, fixed before any study was seen", ("audit", "fails when"), tuple(rows.values()),
        prose=True, whole=True,
    )  # fmt: skip


def _entry(audits: Sequence[Audit]) -> Entry:
    if not audits:
        return Entry(NOT_ASKED)
    word = min((a.word for a in audits), key=ORDER.index)
    of_word = [a.evaluation for a in audits if a.word == word and a.evaluation]
    without = [a.evaluation for a in audits if a.word == "n/a" and a.evaluation]
    if word == "fail":
        return Entry(word, ", ".join(dict.fromkeys(of_word)), strong="text", tone=TONES[word])
    note = f"n/a: {', '.join(dict.fromkeys(without))}" if without and word != "n/a" else ""
    return Entry(word, note, tone=TONES.get(word, ""))


def _groups(audits: Sequence[Audit]) -> tuple[str, ...]:
    """Base first, then the adapters, in the order of the audits."""
    found = dict.fromkeys(a.group for a in audits if a.group != STUDY)
    return tuple(sorted(found, key=lambda g: g != BASE))
