"""What the audits read out of results: which evaluations there are, and which tasks."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.records.load import Study
from analysis.results import Results
from sycojax.records import COMBINED, PLACEBO


def subjects(study: Study) -> tuple[str, ...]:
    """The benchmarks and probes that were scored: what audits speak about."""
    return (*study.with_role("benchmark"), *study.with_role("probe"))


def lettered(study: Study) -> tuple[str, ...]:
    """Those that are answered by the letter of an option."""
    return tuple(
        name
        for name in subjects(study)
        if {m.name for m in study.described(name)} & {"position_gap", "letter_mass_A"}
    )


def asked_as(results: Results, probe: str, variant: str) -> str | None:
    """The audit evaluation that asks a probe in another way, where it was recorded."""
    name = f"{probe}_{variant}"
    return name if name in results.study.evaluations else None


def not_asked(probe: str, variant: str, why: str) -> str:
    """The sentence where ``asked_as`` found nothing."""
    return (
        f"{probe} was not asked {why}: no records of {probe}_{variant} (config.score.audit_items)."
    )


def tasks_of(adapter: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """Which of ``tasks`` an adapter was trained on."""
    return tuple(task for task in tasks if adapter in (task, COMBINED, PLACEBO))
