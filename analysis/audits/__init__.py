"""Audits: when not to believe a number. Every study is audited; a failure marks the numbers it puts in doubt.

One file per idea; each names its thresholds at the top, fixed before any result was seen. An audit reads
results only (measures, diagnostics, study.json); what it lacks makes it "n/a", never a pass.
"""

from __future__ import annotations

from collections.abc import Callable

from analysis.audits.audit import STUDY, Audit
from analysis.audits.binding import binding
from analysis.audits.determinism import base_null, determinism
from analysis.audits.echo import echo
from analysis.audits.format import prompt_format
from analysis.audits.items import contamination, duplicates
from analysis.audits.labels import label_position
from analysis.audits.letters import always_a, letter_locked
from analysis.audits.prior import letter_prior
from analysis.audits.readout import agreement, coverage, old_parser
from analysis.audits.scale import ceiling, sharpness
from analysis.audits.summary import marked, table, thresholds
from analysis.audits.validity import validity
from analysis.results import Results

AUDITS: tuple[Callable[[Results], list[Audit]], ...] = (
    label_position, always_a, binding, letter_prior, letter_locked, coverage, agreement, old_parser,
    prompt_format, echo, sharpness, ceiling, duplicates, contamination, determinism, base_null, validity,
)  # fmt: skip

__all__ = ["AUDITS", "STUDY", "Audit", "marked", "run", "table", "thresholds"]


def run(results: Results) -> tuple[Audit, ...]:
    """All audits of a study in the order of the report's table, then those that a user's evaluation brings."""
    own = [audit for evaluation in results.study.registry.values() for audit in evaluation.audits]
    return tuple(found for audit in (*AUDITS, *own) for found in audit(results))
