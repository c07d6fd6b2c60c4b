"""Letter prior: how unevenly the probability is spread over A to D when content is balanced over them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import lettered
from analysis.page.text import interval, number
from analysis.records.load import BASE, Study
from analysis.records.measures import common_items
from analysis.results import Results
from analysis.statistics import (
    Drawn,
    Estimate,
    Resampled,
    SeedSpread,
    drawn_shift,
    pooled_spread,
    resample,
)
from analysis.statistics.paired import FEWEST_TESTED

SHIFT = 0.05  # nats; for scale, log 4 = 1.39 is a model that knows one letter only
MASSES = tuple(f"letter_mass_{letter}" for letter in "ABCD")

RULE = Rule(
    "letter_prior",
    "Letter prior",
    f"the interval of KL(letters || uniform) minus the base's lies above {SHIFT} nats",
)


def letter_prior(results: Results) -> list[Audit]:
    """Per adapter and lettered evaluation, against the base; the base's own prior is only told."""
    audits, study = [], results.study
    for name in lettered(study):
        spread = pooled_spread(
            [_drawn(study, (a,), name)[0] for a in study.adapters if not study.is_placebo(a)]
        )
        for group in results.groups:
            levels = [results.of(group, name, mass).level.value for mass in MASSES]
            if not np.isfinite(levels).all():
                sentence = f"{name}: {group} has no letter masses (items with four options)."
                audits.append(RULE.missing(group, name, sentence))
                continue
            sentence = f"{name}: A to D get {', '.join(number(v, 'rate') for v in levels)} %"
            if recall := results.diagnostics(group, name, "letter_rstd"):
                sentence += f", RStd of recall {number(float(np.mean(recall)), 'rate')} points"
            sentence += f", KL(letters || uniform) {float(divergence(np.array(levels))):.3f} nats"
            shift = _shift(study, group, name, spread) if group != BASE else None
            if shift is None:
                why = (
                    "it is what adapters are compared with"
                    if group == BASE
                    else "no base to compare"
                )
                audits.append(RULE.missing(group, name, f"{sentence}; {why}."))
                continue
            sentence += f", {shift.value:+.3f} {interval(shift, 'nats', True)} against the base."
            if not math.isfinite(shift.low):
                few = f"{shift.clusters} questions with four options; {FEWEST_TESTED} are needed to tell"
                audits.append(RULE.missing(group, name, f"{sentence} {few}."))
                continue
            failed = shift.low > SHIFT
            audits.append(
                RULE.found(group, name, sentence, shift.value, shift.low, shift.high, failed)
            )
    return audits or [RULE.missing(STUDY, "", "Nothing that is answered by letter was scored.")]


def divergence(masses: np.ndarray) -> np.ndarray:
    """KL(p || uniform) in nats of p = masses [letters, ...] divided by their sum."""
    p = masses / masses.sum(axis=0)
    return (p * np.log(np.where(p > 0, p, 1.0) * len(masses))).sum(axis=0)


def of_masses(masses: Sequence[Resampled]) -> Drawn:
    """KL of the masses of one configuration. They share their bootstrap weights, so it is formed inside each replicate."""
    value = divergence(np.array([s.value for s in masses]))
    replicates = divergence(np.stack([s.replicates for s in masses]))
    return Drawn(float(value), replicates, min(s.counted for s in masses))


def _shift(
    study: Study, adapter: str, evaluation: str, spread: SeedSpread | None
) -> Estimate | None:
    """Mean over seeds of KL minus the base's; None where either has no masses, or they share no question."""
    seeds, base = _drawn(study, (adapter, BASE), evaluation)
    return drawn_shift(seeds, base[0], spread) if seeds and base and base[0].clusters else None


def _drawn(study: Study, groups: Sequence[str], evaluation: str) -> list[list[Drawn]]:
    """KL of every seed of ``groups`` that has the masses, on the items that all of them were asked."""
    rows = [
        [[study.measure(c.name, evaluation, mass) for mass in MASSES] for c in study.of_adapter(g)]
        for g in groups
    ]
    scored = [[[m for m in row if m] for row in of_group if all(row)] for of_group in rows]
    every = [m for of_group in scored for row in of_group for m in row]
    flat = iter([resample(m) for m in common_items(every)] if every else [])
    found = [[list(itertools.islice(flat, len(row))) for row in of_group] for of_group in scored]
    return [[of_masses(row) for row in of_group] for of_group in found]
