"""Answers by position instead of by content: the always-A gap and letter-locked flips."""

from __future__ import annotations

import math

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import lettered
from analysis.page.text import change, interval, number
from analysis.results import Results

GAP = 0.05  # accuracy in stored order minus over rotations
A_ELSEWHERE = 0.5  # share of answers A where A is wrong: by chance at most 1/2, with two options
LOCKED = 0.1  # above chance
FEWEST_ITEMS = 10  # with two flips each, below which a share of them says nothing

ALWAYS_A = Rule(
    "always_a",
    "Always-A gap",
    f"accuracy in stored order minus over rotations > {GAP} with its interval above zero, "
    f"or A in more than {A_ELSEWHERE:.0%} of the cases where it is wrong",
)
FLIPS = Rule("letter_locked", "Letter-locked flips", f"share of locked flips > chance + {LOCKED}")


def always_a(results: Results) -> list[Audit]:
    """Per group and lettered evaluation. Balanced stored positions hide the gap, not the share of A's."""
    audits = []
    for name in lettered(results.study):
        for group in results.groups:
            gap = results.of(group, name, "position_gap").level
            # In stored order A may always be right; then the rotations tell.
            shares = results.diagnostics(group, name, "a_when_not_a")
            shares = shares or results.diagnostics(group, name, "a_when_not_a_rotated")
            share = max(shares, default=math.nan)
            found = []
            if math.isfinite(gap.value):
                found.append(
                    f"accuracy in stored order less that over rotations is {change(gap.value, 'rate')} "
                    f"{interval(gap, 'rate', True)}"
                )
            if shares:
                found.append(
                    f"A is answered in {number(share, 'rate')} % of the cases where it is wrong"
                )
            if not found:
                sentence = f"{name}: {group} has neither a position gap nor a count of wrong A's."
                audits.append(ALWAYS_A.missing(group, name, sentence))
                continue
            # With no spread at all there is no interval, and nothing that noise could explain.
            clear = gap.low > 0 or not math.isfinite(gap.low)
            failed = (gap.value > GAP and clear) or share > A_ELSEWHERE
            statistic = gap.value if math.isfinite(gap.value) else share
            sentence = f"{name}: {'; '.join(found)}."
            audits.append(
                ALWAYS_A.found(group, name, sentence, statistic, gap.low, gap.high, failed)
            )
    return audits or [ALWAYS_A.missing(STUDY, "", "Nothing that is answered by letter was scored.")]


def letter_locked(results: Results) -> list[Audit]:
    """Per group and probe that declares ``Turns``: flips that land on one letter whatever stands there.

    The worst seed counts.
    """
    audits = []
    for name in [name for name, e in results.study.registry.items() if e.turns]:
        if name not in results.study.evaluations:
            audits.append(FLIPS.missing(STUDY, name, f"{name} was not scored."))
            continue
        audits += [_locked(results, group, name) for group in results.groups]
    return audits


def _locked(results: Results, group: str, name: str) -> Audit:
    locked = results.diagnostics(group, name, "letter_locked")
    chance = results.diagnostics(group, name, "letter_locked_chance")
    items = min(results.diagnostics(group, name, "letter_locked_items"), default=math.inf)
    if not locked or len(locked) != len(chance):
        sentence = f"{group} has no {name} item with two flips, or locked flips were not counted."
        return FLIPS.missing(group, name, sentence)
    if items < FEWEST_ITEMS:
        sentence = (
            f"Only {items:.0f} items flip in two rotations; {FEWEST_ITEMS} are needed to tell."
        )
        return FLIPS.missing(group, name, sentence)
    worst = max(range(len(locked)), key=lambda i: locked[i] - chance[i])
    excess = locked[worst] - chance[worst]
    sentence = (
        f"{number(locked[worst], 'rate')} % of the flips of items that flip more than once go to one "
        f"letter whatever stands there; {number(chance[worst], 'rate')} % would by chance."
    )
    return FLIPS.found(group, name, sentence, excess, failed=excess > LOCKED)
