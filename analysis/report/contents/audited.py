"""What the audits found, in words, and the side figures of the evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.audits import Audit
from analysis.audits.summary import TONES
from analysis.page.document import Items, Paragraph
from analysis.page.tables import Entry, Table
from analysis.results import Results
from analysis.verdicts.doubt import Doubt


def failures(audits: Sequence[Audit]) -> Items | Paragraph:
    """Which of these audits failed, and where, with their sentences."""
    said = [(f"{a.title}, {_where(a)}:", a.sentence) for a in audits if a.outcome == "fail"]
    return Items(tuple(said)) if said else Paragraph("No audit failed.")


def sentences(doubt: Doubt) -> Table:
    """Every finding: group, statistic with interval, verdict, sentence."""
    rows = []
    for a in doubt.audits:
        value = f"{a.statistic:.3g}" if math.isfinite(a.statistic) else "n/a"
        ends = f"[{a.low:.3g}, {a.high:.3g}]" if math.isfinite(a.low + a.high) else ""
        tone = TONES.get(a.outcome, "")
        strong = "text" if a.outcome == "fail" else ""
        verdict = Entry(a.outcome, strong=strong, tone=tone)
        rows.append((Entry(a.title, _where(a)), Entry(value, ends), verdict, a.sentence))
    return Table(
        "audit_findings", "Every audit of every configuration",
        ("audit", "statistic", "verdict", "finding"), tuple(rows), prose=True,
    )  # fmt: skip


def _where(audit: Audit) -> str:
    return " on ".join(part for part in (audit.group, audit.evaluation) if part)


def diagnostics(results: Results) -> Table:
    """Side figures of every evaluation: the mean over an adapter's seeds."""
    study = results.study
    rows = []
    for name in study.evaluations:
        found = [study.diagnostics[k] for k in study.diagnostics if k[1] == name]
        for figure in dict.fromkeys(key for one in found for key in one):
            row = [Entry(figure.replace("_", " "), name)]
            for group in results.groups:
                known = results.diagnostics(group, name, figure)
                row.append(Entry(f"{sum(known) / len(known):,.4g}" if known else "n/a"))
            rows.append(tuple(row))
        cut = [
            sum(study.truncated.get((c.name, name), 0) for c in study.of_adapter(g))
            for g in results.groups
        ]
        if any(cut):
            entries = (f"{c:,}" for c in cut)
            rows.append((Entry("prompts cut to fit the context", name), *entries))
    return Table(
        "diagnostics",
        "Diagnostics: mean over seeds; prompts that were cut are counted over all seeds and not listed where there "
        "were none",
        ("figure", *results.groups),
        tuple(rows),
    )
