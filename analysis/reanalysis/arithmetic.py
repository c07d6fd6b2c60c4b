"""Relations that are arithmetic: a stated number against the one that the tables give.

One function per relation; the names of its parameters are the keys a claim record may use.
"""

from __future__ import annotations

import math

from analysis.page.text import listing, number
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.judgement import FAILS, HOLDS, Judgement, holds_if, missing
from analysis.reanalysis.wording import Stated, percent, side, sign_of, signed, stated
from analysis.records.load import BASE
from analysis.report.csvs import PROBES


def level(evidence: Evidence, configuration: str, evaluation: str, value: str) -> Judgement:
    """The rate of one configuration on one evaluation is ``value``."""
    rate, claimed = evidence.scores.rate(configuration, evaluation), stated(value)
    where = f"{configuration} on {evaluation}"
    if not math.isfinite(rate):
        return missing(where)
    found = number(rate, digits=3)
    return Judgement(holds_if(claimed.means(rate)), found, f"The table gives {found} for {where}.")


def change(
    evidence: Evidence, configuration: str, evaluation: str, value: str, share: str = ""
) -> Judgement:
    """The (mean) change against the base is ``value``; with ``share``, also that share of the base's rate."""
    names = evidence.evaluations(evaluation)
    moved = evidence.scores.change(configuration, names)
    if not math.isfinite(moved):
        return missing(f"the change of {configuration} on {evaluation}")
    agrees = stated(value).means(moved)
    parts = [f"{e} {signed(evidence.scores.change(configuration, e))}" for e in names]
    why = f"The mean of {listing(parts)}" if len(parts) > 1 else f"The change on {evaluation}"
    why += f" is {number(moved, digits=4, signed=True)}."
    found = signed(moved)
    if share:
        before = evidence.scores.rate(BASE, names[0]) if len(names) == 1 else math.nan
        relative = moved / before if before else math.nan
        agrees = agrees and stated(share).means(relative)
        found += f" ({percent(relative)})"
        why += f" That is {percent(relative)} of the base's {number(before, digits=3)}."
    return Judgement(holds_if(agrees), found, why)


def only(evidence: Evidence, configuration: str, evaluation: str, sign: str) -> Judgement:
    """This adapter's mean change has the sign ("+" or "-"), and no other adapter's has it."""
    moved = _moved(evidence, evaluation)
    if configuration not in moved:
        return missing(f"the changes of all adapters on {evaluation}")
    having = {a: m for a, m in moved.items() if sign_of(m) == sign}
    found = (
        ", ".join(f"{a} {number(m, digits=4, signed=True)}" for a, m in having.items()) or "none"
    )
    if list(having) == [configuration]:
        return Judgement(HOLDS, found, f"No other adapter's mean change is {side(sign)}.")
    others = [
        f"{a} ({number(m, digits=4, signed=True)})" for a, m in having.items() if a != configuration
    ]
    also = f"The mean change of {listing(others)} is {side(sign)} too." if others else ""
    own = "" if configuration in having else f"That of {configuration} is not {side(sign)}."
    return Judgement(FAILS, found, " ".join(s for s in (also, own) if s))


def largest(evidence: Evidence, configuration: str, evaluation: str) -> Judgement:
    """No adapter's mean change is as large as this one's."""
    moved = _moved(evidence, evaluation)
    if configuration not in moved:
        return missing(f"the changes of all adapters on {evaluation}")
    order = sorted(moved, key=lambda a: -moved[a])
    shown = [f"{a} {signed(moved[a])}" for a in order]
    ahead = len(order) < 2 or moved[order[0]] > moved[order[1]] + 1e-9
    agrees = order[0] == configuration and ahead
    return Judgement(holds_if(agrees), shown[0], f"Mean changes in order: {listing(shown)}.")


def every(evidence: Evidence, evaluation: str, low: str, high: str) -> Judgement:
    """Every adapter's change, as a share of the base's rate, is between ``low`` and ``high``."""
    before = evidence.scores.rate(BASE, evaluation)
    moved = _moved(evidence, evaluation)
    if not moved or not before:
        return missing(f"a base rate above 0 on {evaluation} and every adapter's change of it")
    relative = {a: m / before for a, m in moved.items()}
    (bottom, top) = sorted((stated(low), stated(high)), key=lambda s: s.value)
    outside = [
        a
        for a, share in relative.items()
        if not bottom.value - bottom.half_unit <= share <= top.value + top.half_unit
    ]
    shown = [f"{a} {percent(share)}" for a, share in relative.items()]
    found = f"{percent(min(relative.values()))} to {percent(max(relative.values()))}"
    why = f"Changes as a share of the base's rate: {listing(shown)}."
    return Judgement(holds_if(not outside), found, why)


def correlation(evidence: Evidence, benchmark: str, probe: str, value: str) -> Judgement:
    """Pearson's r of the benchmark with the probe over the configurations is ``value``."""
    pair, claimed = evidence.pair(benchmark, probe), stated(value)
    if pair is None:
        return missing(f"a correlation of {benchmark} with {probe}")
    found = signed(pair.found.r)
    if claimed.means(pair.found.r):
        return Judgement(HOLDS, found, f"Recomputed r = {found} over {evidence.points} points.")
    owners = _owners(evidence, claimed)
    why = f"Recomputed r = {found}."
    if owners:
        why += f" {signed(claimed.value)} is the value of {listing(owners)}."
        found += f"; {value} is {listing(owners)}"
    elif sign_of(pair.found.r) != sign_of(claimed.value):
        why += " The sign is the other one, and no pair has the value that was stated."
    return Judgement(FAILS, found, why)


def correlations(evidence: Evidence, benchmark: str, low: str, high: str) -> Judgement:
    """All correlations of the benchmark with the probes are between ``low`` and ``high``."""
    pairs = [p for probe in PROBES if (p := evidence.pair(benchmark, probe))]
    if len(pairs) < len(PROBES):
        return missing(f"the correlations of {benchmark} with all probes")
    bottom, top = stated(low), stated(high)
    inside = [
        bottom.value - bottom.half_unit <= p.found.r <= top.value + top.half_unit for p in pairs
    ]
    shown = [f"{p.probe} {signed(p.found.r)}" for p in pairs]
    why = f"Recomputed: {listing(shown)}."
    for end in (bottom, top):
        owners = _owners(evidence, end)
        if owners and not any(end.means(p.found.r) for p in pairs):
            why += f" {number(end.value, signed=True)} is the value of {listing(owners)}."
    return Judgement(holds_if(all(inside)), ", ".join(shown), why)


def _moved(evidence: Evidence, evaluation: str) -> dict[str, float]:
    """Every adapter's mean change against the base; empty where one of them is not known."""
    names = evidence.evaluations(evaluation)
    moved = {a: evidence.scores.change(a, names) for a in evidence.scores.adapters}
    return moved if all(map(math.isfinite, moved.values())) else {}


def _owners(evidence: Evidence, claimed: Stated) -> list[str]:
    """The pairs that have the value that was stated."""
    return [f"{b} x {p}" for (b, p), o in evidence.pairs.items() if claimed.means(o.found.r)]
