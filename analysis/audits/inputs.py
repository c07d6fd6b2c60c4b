"""What the audits read out of results: names of evaluations, parts of study.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.records.load import COMBINED, Study
from analysis.results import Results


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


def section(study: Study, *keys: str) -> Mapping[str, Any]:
    """An object inside study.json; empty where it, or one around it, is missing or is no object."""
    found: Any = study.document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def tasks_of(adapter: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """Which of ``tasks`` an adapter was trained on."""
    return tuple(task for task in tasks if adapter in (task, COMBINED))
