"""The items themselves: questions asked twice, and questions that were trained on."""

from __future__ import annotations

import math

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import tasks_of
from analysis.page.text import finite, interval, listing, number
from analysis.records.load import section
from analysis.results import Results
from analysis.statistics import Estimate
from sycojax.records import COMBINED, PLACEBO

DUPLICATES = Rule(
    "duplicates", "Duplicates", "an interval counts a question that is asked again as a new one"
)
CONTAMINATION = Rule(
    "contamination",
    "Contamination",
    "the adapter was trained on questions of the probe; where that is not known: "
    "seen minus unseen excludes zero",
)


def duplicates(results: Results) -> list[Audit]:
    """Per probe, for the whole study: rows against distinct questions, and that resampling goes by question."""
    study, audits = results.study, []
    for probe in study.with_role("probe"):
        lead = results.leading(probe)
        if lead is None:
            audits.append(DUPLICATES.missing(STUDY, probe, f"{probe} has no headline."))
            continue
        items, questions = len(lead.items), len(set(lead.clusters))
        rows = section(study.document, "data", "rows", "probe").get(probe)
        rows = int(rows) if finite(rows) and rows >= items else items
        units = max(results.of(g, probe, lead.name).level.clusters for g in results.groups)
        sentence = (
            f"{probe}: {rows} rows ask {questions} distinct questions in {items} items; "
            f"intervals count {units} units."
        )
        times = rows / max(questions, 1)
        audits.append(DUPLICATES.found(STUDY, probe, sentence, times, failed=units > questions))
    return audits or [DUPLICATES.missing(STUDY, "", "No probe was scored.")]


def contamination(results: Results) -> list[Audit]:
    """Per adapter and probe: questions of the probe among the adapter's training examples."""
    audits = []
    for probe in results.study.with_role("probe"):
        soft = results.headline(probe, "soft")
        for adapter in results.study.adapters:
            trained = trained_on(results, adapter, probe)
            contrast = _contrast(results, adapter, probe, soft.name) if soft else None
            if trained is None and contrast is None:
                sentence = (
                    f"{probe}: study.json says nothing on which of its questions {adapter} was trained on, "
                    "and its records have no strata."
                )
                audits.append(CONTAMINATION.missing(adapter, probe, sentence))
                continue
            said = "an unknown number" if trained is None else str(trained)
            sentence = f"{probe}: {said} of its questions were trained on"
            low = high = math.nan
            if contrast is not None:
                low, high = contrast.low, contrast.high
                sentence += (
                    f"; on questions of the {listing(_shared(results))} training file the shift is "
                    f"{number(contrast.value, 'rate', True)} points {interval(contrast, 'rate', True)} from that "
                    "on others"
                )
            if trained is None and contrast is not None:
                failed, statistic = contrast.excludes_zero, contrast.value
            else:
                failed, statistic = bool(trained), float(trained or 0)
                low = high = math.nan  # of the contrast, not of the count
            audits.append(
                CONTAMINATION.found(adapter, probe, f"{sentence}.", statistic, low, high, failed)
            )
    return audits or [CONTAMINATION.missing(STUDY, "", "No probe, or no adapter, was scored.")]


def trained_on(results: Results, adapter: str, probe: str) -> int | None:
    """How many questions of a probe an adapter was trained on; None where study.json does not tell."""
    counted = section(results.study.document, "data", "trained_on_probe")
    if counted:
        tasks = tasks_of(adapter, tuple(counted))
        counts = [
            section(results.study.document, "data", "trained_on_probe", t).get(probe) for t in tasks
        ]
        return sum(int(n) for n in counts if finite(n))
    strata = section(results.study.document, "data", "contamination", probe)
    if not finite(strata.get("train")):
        return None
    if "contaminated_rows_dropped" in section(results.study.document, "data"):
        return 0
    return int(strata["train"]) if adapter in (*_shared(results), COMBINED, PLACEBO) else 0


def _shared(results: Results) -> list[str]:
    """The tasks whose training questions the probes' strata are about."""
    return [name for name, e in results.study.registry.items() if e.shared_with_probes]


def _contrast(results: Results, adapter: str, probe: str, measure: str) -> Estimate | None:
    found = results.seen_minus_unseen.get((adapter, probe, measure))
    return found if found and math.isfinite(found.value) else None
