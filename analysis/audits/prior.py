"""Letter prior: how unevenly the probability is spread over A to D when content is balanced over them."""

from __future__ import annotations

import numpy as np

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import lettered
from analysis.page.text import interval, number
from analysis.records.load import BASE
from analysis.records.measures import common_items
from analysis.results import Results
from analysis.statistics import LEVEL, SEED, Estimate, resample

SHIFT = 0.05  # nats; for scale, log 4 = 1.39 is a model that knows one letter only
MASSES = tuple(f"letter_mass_{letter}" for letter in "ABCD")

RULE = Rule(
    "letter_prior",
    "Letter prior",
    f"the interval of KL(letters || uniform) minus the base's lies above {SHIFT} nats",
)


def letter_prior(results: Results) -> list[Audit]:
    """Per adapter and lettered evaluation, against the base; the base's own prior is only told."""
    audits = []
    for name in lettered(results.study):
        for group in results.groups:
            levels = [results.of(group, name, mass).level.value for mass in MASSES]
            if not np.isfinite(levels).all():
                sentence = f"{name}: {group} has no letter masses (items with four options)."
                audits.append(RULE.missing(group, name, sentence))
                continue
            sentence = f"{name}: A to D get {', '.join(number(v, 'rate') for v in levels)} %"
            if spread := results.diagnostics(group, name, "letter_rstd"):
                sentence += f", RStd of recall {number(float(np.mean(spread)), 'rate')} points"
            sentence += f", KL(letters || uniform) {float(divergence(np.array(levels))):.3f} nats"
            shift = _shift(results, group, name) if group != BASE else None
            if shift is None:
                why = (
                    "it is what adapters are compared with"
                    if group == BASE
                    else "no base to compare"
                )
                audits.append(RULE.missing(group, name, f"{sentence}; {why}."))
                continue
            sentence += f", {shift.value:+.3f} {interval(shift, 'nats', True)} against the base."
            failed = shift.low > SHIFT
            audits.append(
                RULE.found(group, name, sentence, shift.value, shift.low, shift.high, failed)
            )
    return audits or [RULE.missing(STUDY, "", "Nothing that is answered by letter was scored.")]


def divergence(masses: np.ndarray) -> np.ndarray:
    """KL(p || uniform) in nats of p = masses [letters, ...] divided by their sum."""
    p = masses / masses.sum(axis=0)
    return (p * np.log(np.where(p > 0, p, 1.0) * len(masses))).sum(axis=0)


def _shift(results: Results, adapter: str, evaluation: str) -> Estimate | None:
    """Mean over seeds of KL minus the base's, with the percentile interval over questions and seeds.

    The four masses and the base share their bootstrap weights, so KL is formed inside each replicate.
    """
    study = results.study
    names = [*(c.name for c in study.of_adapter(adapter)), BASE]
    rows = [[study.measure(c, evaluation, mass) for mass in MASSES] for c in names]
    scored = [[m for m in row if m] for row in rows if all(row)]
    if len(scored) < 2 or not all(rows[-1]):
        return None
    flat = [resample(m) for m in common_items([m for row in scored for m in row])]
    if not flat[0].names:
        return None
    by_row = [flat[i : i + len(MASSES)] for i in range(0, len(flat), len(MASSES))]
    values = np.array([divergence(np.array([s.value for s in row])) for row in by_row])
    drawn = np.array([divergence(np.stack([s.replicates for s in row])) for row in by_row])
    seeds, base = drawn[:-1], drawn[-1]
    if len(seeds) > 1:
        rng = np.random.default_rng([SEED, len(seeds)])
        seeds = np.take_along_axis(seeds, rng.integers(len(seeds), size=seeds.shape), axis=0)
    replicates = seeds.mean(axis=0) - base
    low, high = np.nanquantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(values[:-1].mean() - values[-1])
    return Estimate(value, float(low), float(high), len(flat[0].measure.items), len(flat[0].names))
