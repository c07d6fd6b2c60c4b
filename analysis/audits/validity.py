"""Validity of a probe with ratings: does what is read without an opinion know anything about how good a text is?"""

from __future__ import annotations

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.page.text import interval, listing, number
from analysis.results import Results
from analysis.statistics import Estimate
from sycojax.evals.declared import Ratings

FAILS = "Spearman's rho of neutral leaning and rating is not above zero with its interval"


def validity(results: Results) -> list[Audit]:
    """Per group and probe that declares ``Ratings``, the seed with the lowest interval.

    Where it fails, the probe measures mood, not judgement.
    """
    declared = {name: e.ratings for name, e in results.study.registry.items() if e.ratings}
    rule, audits = Rule("validity", f"Validity of {listing([*declared])}", FAILS), []
    for name, ratings in declared.items():
        if name not in results.study.evaluations:
            audits.append(rule.missing(STUDY, name, f"{name} was not scored."))
            continue
        audits += [_of_group(rule, results, group, name, ratings) for group in results.groups]
    return audits


def _of_group(rule: Rule, results: Results, group: str, name: str, ratings: Ratings) -> Audit:
    stem = ratings.correlation
    rhos, lows, highs = (
        results.diagnostics(group, name, f"{stem}{end}") for end in ("", "_low", "_high")
    )
    if not rhos or not len(rhos) == len(lows) == len(highs):
        sentence = f"{group}: too few texts have ratings to compare its leaning with."
        return rule.missing(group, name, sentence)
    worst = min(range(len(lows)), key=lows.__getitem__)
    rho = Estimate(rhos[worst], lows[worst], highs[worst])
    sentence = (
        f"{name}: neutral leaning and the texts' ratings correlate by rho = "
        f"{number(rho.value, signed=True)} {interval(rho, 'score', True)}"
    )
    failed = not rho.low > 0
    sentence += "; not valid here" if failed else ""
    ends = [
        results.diagnostics(group, name, f"{ratings.leaning}_without_one_pair_{end}")
        for end in ("min", "max")
    ]
    if all(ends):
        low, high = min(ends[0]), max(ends[1])
        sentence += (
            f". Without any one pair of words, the leaning to the user lies in "
            f"[{number(low, signed=True)}, {number(high, signed=True)}] nats"
        )
    return rule.found(group, name, f"{sentence}.", rho.value, rho.low, rho.high, failed)
