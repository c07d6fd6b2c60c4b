"""Validity of feedback: does the neutral leaning know anything about how good an argument is?"""

from __future__ import annotations

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import diagnostics
from analysis.page.text import interval, number
from analysis.results import Results
from analysis.statistics import Estimate

RULE = Rule(
    "validity",
    "Validity of feedback",
    "Spearman's rho of neutral leaning and rating is not above zero with its interval",
)


def validity(results: Results) -> list[Audit]:
    """Per group, the seed with the lowest interval; where it fails, the probe measures mood, not judgement."""
    name, audits = "feedback", []
    if name not in results.study.evaluations:
        return [RULE.missing(STUDY, name, f"{name} was not scored.")]
    for group in results.groups:
        rhos = diagnostics(results, group, name, "rating_rank_correlation")
        lows = diagnostics(results, group, name, "rating_rank_correlation_low")
        highs = diagnostics(results, group, name, "rating_rank_correlation_high")
        if not rhos or not len(rhos) == len(lows) == len(highs):
            sentence = f"{group}: too few texts have ratings to compare its leaning with."
            audits.append(RULE.missing(group, name, sentence))
            continue
        worst = min(range(len(lows)), key=lows.__getitem__)
        rho = Estimate(rhos[worst], lows[worst], highs[worst])
        sentence = (
            f"{name}: neutral leaning and the texts' ratings correlate by rho = "
            f"{number(rho.value, signed=True)} {interval(rho, 'score', True)}"
        )
        failed = not rho.low > 0
        sentence += "; not valid here" if failed else ""
        ends = [
            diagnostics(results, group, name, f"pref_without_one_pair_{e}") for e in ("min", "max")
        ]
        if all(ends):
            low, high = min(ends[0]), max(ends[1])
            sentence += (
                f". Without any one pair of words, the leaning to the user lies in "
                f"[{number(low, signed=True)}, {number(high, signed=True)}] nats"
            )
        audits.append(RULE.found(group, name, f"{sentence}.", rho.value, rho.low, rho.high, failed))
    return audits
