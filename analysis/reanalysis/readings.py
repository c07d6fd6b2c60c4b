"""Relations that are conclusions: what a change or a correlation is taken to show.

A conclusion holds only when the test that the tables allow supports it and nothing is known against the measurement.
One function per relation; the names of its parameters are the keys a claim record may use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from analysis.page.text import listing, number, p_value
from analysis.reanalysis.evidence import LETTERED, Evidence
from analysis.reanalysis.inference import fisher, shift
from analysis.reanalysis.judgement import FAILS, HOLDS, OPEN, Judgement, holds_if, missing
from analysis.reanalysis.wording import side, sign_of, signed
from analysis.records.load import BASE
from analysis.statistics import ALPHA

EVERY = "every adapter"
NEGLIGIBLE = 0.3  # |r| below this counts as no relation (Cohen's "medium")


def association(evidence: Evidence, benchmark: str, probes: Sequence[str], sign: str) -> Judgement:
    """The benchmark goes with the probes upwards ("+"), downwards ("-") or not at all ("0").

    Holds only when every pair is significant after Holm over all pairs (for "0": when every interval lies
    within +-``NEGLIGIBLE``); does not hold when a pair's own r has the other sign.
    """
    pairs = [p for probe in probes if (p := evidence.pair(benchmark, probe))]
    if len(pairs) < len(probes):
        return missing(f"the correlations of {benchmark} with {listing(list(probes))}")
    found = ", ".join(f"{p.probe} {signed(p.found.r)}" for p in pairs)
    told = [
        f"r with {p.probe} = {signed(p.found.r)} (exact p {p_value(p.found.p)}, after Holm "
        f"{p_value(p.p_holm)}; {number(p.found.lowest, signed=True)} to {number(p.found.highest, signed=True)} "
        "with one configuration left out)"
        for p in pairs
    ]
    why = f"{listing(told)}."
    if sign == "0":
        close = all(max(abs(p.found.low), abs(p.found.high)) < NEGLIGIBLE for p in pairs)
        low, high = min(p.found.low for p in pairs), max(p.found.high for p in pairs)
        why += (
            f" The intervals reach from {number(low, signed=True)} to {number(high, signed=True)}."
        )
        return Judgement(HOLDS if close else OPEN, found, why)
    if any(sign_of(p.found.r) != sign for p in pairs):
        return Judgement(FAILS, found, f"The sign is not {side(sign)} for all: {why}")
    if all(p.p_holm < ALPHA for p in pairs):
        return Judgement(HOLDS, found, why)
    return Judgement(OPEN, found, f"{evidence.points} configurations cannot decide it: {why}")


def effect(evidence: Evidence, configuration: str, evaluation: str, sign: str) -> Judgement:
    """Against the base the rate of the probe(s) rises ("+") or falls ("-") by more than chance.

    Fisher's exact test of the counts (the pairing by item is not in the tables), Holm over all adapters and
    probes. What is known against the measurement itself leaves the question open, whatever the test says.
    """
    adapters = evidence.scores.adapters if configuration == EVERY else (configuration,)
    wanted = [(a, p) for a in adapters for p in evidence.evaluations(evaluation)]
    if not wanted or any(key not in evidence.shifts for key in wanted):
        return missing(f"counts of independent items for {configuration} and base on {evaluation}")
    tested = {key: evidence.shifts[key] for key in wanted}
    told = [
        f"{_who(key, configuration, evaluation)}{signed(s.value)} [{signed(s.low)}, "
        f"{signed(s.high)}], p {p_value(s.p)}, after Holm {p_value(s.p_holm)}"
        for key, s in tested.items()
    ]
    first = next(iter(tested.values()))
    found = f"{signed(first.value)}, p after Holm {p_value(first.p_holm)}"
    if len(tested) > 1:
        passed = sum(s.p_holm < ALPHA for s in tested.values())
        found = f"{passed} of {len(tested)} with p < .05 after Holm"
    why = f"{'; '.join(told)}."
    against = [key for key, s in tested.items() if s.p_holm < ALPHA and sign_of(s.value) != sign]
    if against:
        return Judgement(FAILS, found, f"{_names(against)} moves the other way: {why}")
    weak = [key for key, s in tested.items() if not s.p_holm < ALPHA]
    if weak:
        why = f"{why} {_power(evidence, dict.fromkeys(p for _, p in weak), sign)}"
    doubts = [d for p in evidence.evaluations(evaluation) for d in evidence.doubts(adapters, p)]
    why = " ".join([why, *doubts])
    return Judgement(OPEN if weak or doubts else HOLDS, found, why)


def amplifies(
    evidence: Evidence, configuration: str, parts: Sequence[str], probes: Sequence[str]
) -> Judgement:
    """The adapter trained on all parts moves each probe further than the part that moves it most.

    Tested against that part (Fisher, unpaired); the mean and the sum of the parts' changes are printed beside it.
    """
    told, outcomes, founds, doubts = [], set(), [], []
    for probe in probes:
        moved = evidence.scores.change(configuration, probe)
        of_parts = {a: evidence.scores.change(a, probe) for a in parts}
        top = max(of_parts, key=lambda a: of_parts[a])
        one, other = (evidence.counts.get((a, probe)) for a in (configuration, top))
        if not all(map(math.isfinite, (moved, *of_parts.values()))) or not (one and other):
            return missing(f"rates and counts of {configuration} and its parts on {probe}")
        total, p = sum(of_parts.values()), fisher(one, other)
        told.append(
            f"{probe}: {signed(moved)} against {signed(of_parts[top])} for {top}, the largest part (p {p_value(p)}), "
            f"{signed(total / len(of_parts))} for the mean and {signed(total)} for the sum of the parts."
        )
        founds.append(f"{probe} {signed(moved)}, parts at most {signed(of_parts[top])}")
        unsure = evidence.doubts((configuration, top), probe)
        doubts += unsure
        if moved <= of_parts[top]:
            outcomes.add(FAILS)
        else:
            outcomes.add(HOLDS if p < ALPHA and not unsure else OPEN)
    outcome = FAILS if FAILS in outcomes else OPEN if OPEN in outcomes else HOLDS
    return Judgement(outcome, "; ".join(founds), " ".join([*told, *doubts]))


def ability(evidence: Evidence, configuration: str, benchmark: str) -> Judgement:
    """The adapter's gain on the benchmark is ability, and not the place of the right option."""
    count, before = (evidence.counts.get((c, benchmark)) for c in (configuration, BASE))
    trained, tested = (evidence.stored(benchmark, split) for split in ("train", "test"))
    if count is None or before is None or not tested:
        return missing(f"counts and the stored positions of the right options of {benchmark}")
    found = f"{count.hits}/{count.items}"
    if tested[0] == sum(tested):
        why = (
            f"The right option is stored first in {trained[0]} of {sum(trained)} training and {tested[0]} of "
            f"{sum(tested)} test rows, so always answering A scores 1.000 here."
        )
        # On its own task the score cannot tell; on another benchmark with letters it can.
        own = evidence.stored(configuration, "train")
        for other in LETTERED if own and own[0] == sum(own) else ():
            if other != configuration and evidence.always_a(configuration, other):
                count = evidence.counts[configuration, other]
                found += f"; {other} {count.hits}/{count.items} = its share of A"
                why += (
                    f" On {other} the adapter gets {count.hits} of {count.items} right ({number(count.rate, digits=3)}), "
                    f"exactly the number of items whose answer is A: it answers A."
                )
                return Judgement(FAILS, found, why)
        return Judgement(OPEN, found, why)
    moved = shift(count, before)
    why = (
        f"{signed(moved.value)} [{signed(moved.low)}, {signed(moved.high)}], p {p_value(moved.p)}; the right "
        f"options are spread over the places ({', '.join(map(str, tested))})."
    )
    if moved.p >= ALPHA:
        return Judgement(OPEN, found, why)
    return Judgement(holds_if(moved.value > 0), found, why)


def _power(evidence: Evidence, probes: Iterable[str], sign: str) -> str:
    """What a study of this size could have found on each probe."""
    parts = []
    for probe in probes:
        found = next(s for (_, name), s in evidence.shifts.items() if name == probe)
        mde, move = (found.fall, "fall") if sign == "-" else (found.rise, "rise")
        if math.isfinite(mde):
            parts.append(f"a {move} of {probe} must reach {number(mde, digits=3)}")
        else:
            rate = number(found.base.rate, digits=3)
            parts.append(f"no {move} of {probe} can, because the base is at {rate}")
    return f"To be found with 80 % power in two samples of this size, {listing(parts)}."


def _who(key: tuple[str, str], configuration: str, evaluation: str) -> str:
    """What tells several shifts of one claim apart."""
    adapter = [key[0]] if configuration == EVERY else []
    probe = [key[1]] if evaluation == "probes" else []
    return " ".join([*adapter, *probe, ""]) if adapter or probe else ""


def _names(keys: Sequence[tuple[str, str]]) -> str:
    return listing([f"{a} on {p}" for a, p in keys])
