"""Sharpness and ceilings: what makes raw nats and hard rates incomparable between adapters."""

from __future__ import annotations

import numpy as np

from analysis.audits.audit import REPORTED, STUDY, Audit, Rule
from analysis.audits.inputs import subjects
from analysis.page.text import number
from analysis.records.load import BASE
from analysis.results import Results

CHANGED = 1.25  # a spread this many times the base's, or this many times smaller, is another scale
ELIGIBLE = 30  # items below which a hard rate is not shown
SPREADS = {"sd_neutral": "spread of the neutral log-odds", "entropy": "entropy of the first answer"}

SHARPNESS = Rule("sharpness", "Sharpness", REPORTED)
CEILING = Rule(
    "ceiling", "Ceiling", f"a hard rate has fewer than {ELIGIBLE} eligible items; it is then n/a"
)


def sharpness(results: Results) -> list[Audit]:
    """Per group: spread of the neutral log-odds, or entropy and calibration of letters; mean over seeds."""
    audits = []
    for evaluation in subjects(results.study):
        of_base = {what: results.diagnostics(BASE, evaluation, what) for what in SPREADS}
        what = next((what for what, values in of_base.items() if values and values[0] > 0), None)
        if what is None:
            continue
        base = of_base[what][0]
        for group in results.groups:
            found = results.diagnostics(group, evaluation, what)
            if not found:
                sentence = f"{evaluation}: the {SPREADS[what]} of {group} is not known."
                audits.append(SHARPNESS.missing(group, evaluation, sentence))
                continue
            value = float(np.mean(found))
            sentence = f"{evaluation}: {SPREADS[what]} {number(value)} nats"
            if group != BASE:
                sentence += f", {number(value / base)} times the base's"
            if ece := results.diagnostics(group, evaluation, "ece"):
                sentence += f"; calibration error {number(float(np.mean(ece)), 'rate')} points"
            if not 1 / CHANGED <= value / base <= CHANGED:
                instead = results.study.registry[evaluation].scale_free
                use = f"use the scale-free effect ({instead})" if instead else "compare rates"
                sentence += f"; nats are on another scale here than for the base: {use}"
            audits.append(SHARPNESS.found(group, evaluation, f"{sentence}.", value / base))
    return audits or [
        SHARPNESS.missing(STUDY, "", "No spread or entropy of the base was recorded.")
    ]


def ceiling(results: Results) -> list[Audit]:
    """Per group and probe: items the hard headline is conditional on, in the seed that has the fewest."""
    audits = []
    for probe in results.study.with_role("probe"):
        hard = results.headline(probe, "hard")
        if hard is None:
            audits.append(CEILING.missing(STUDY, probe, f"{probe} has no hard headline."))
            continue
        for group in results.groups:
            configurations = results.study.of_adapter(group)
            measures = [results.study.measure(c.name, probe, hard.name) for c in configurations]
            eligible = [float(m.denominator.sum(axis=1).min()) for m in measures if m]
            if not eligible:
                audits.append(CEILING.missing(group, probe, f"{probe} was not scored on {group}."))
                continue
            fewest = min(eligible)
            total = max(len(m.items) for m in measures if m)
            failed = fewest < ELIGIBLE
            sentence = f"{probe}: {fewest:.0f} of {total} items can show the hard effect"
            sentence += f", fewer than {ELIGIBLE}: read it as n/a" if failed else ""
            critical = results.of(group, probe, "critical").level.value
            if np.isfinite(critical):
                sentence += f"; {number(1 - critical, 'rate')} % are praised already when nobody's opinion is told"
            # The report withholds the hard rate itself; the soft one does not rest on a condition.
            found = CEILING.found(group, probe, f"{sentence}.", fewest, failed=failed, marks=())
            audits.append(found)
    return audits or [CEILING.missing(STUDY, "", "No probe was scored.")]
