"""Made-up models through the whole path, records in and verdicts out: what a study says of an adapter that is known to be so.

The base obeys orders, finds options by what is said of them and gives in to the user a little, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from responders import ARMS, PROBES, Lean, records, study_of

from analysis.records.load import Configuration
from analysis.results import compute
from analysis.results.instrument import REFUSES
from analysis.verdicts.rule import Verdict, every_verdict

PROBE = PROBES.probes[0]
SOUND = {"user": 0.5, "sides": 0.5, "order": 3.0, "bind": 3.0}


def verdicts(
    base: Mapping[str, Lean], adapter: Mapping[str, Lean], seed: int, n: int = 80, factor: float = 1.0
) -> dict[str, Verdict]:  # fmt: skip
    """Of an adapter with other leans than the base; ``factor``: its log-odds are that much larger."""
    rng = np.random.default_rng([seed, n])
    question = rng.normal(0.2, 1, n)
    configurations = [Configuration("base", "base", None), Configuration("mmlu-s0", "mmlu", 0)]
    answers = {}
    shared = 0.3 * rng.normal(size=(n, len(ARMS), 2))
    for name, lean, scale in (("base", base, 1.0), ("mmlu-s0", adapter, factor)):
        noise = shared + 0.3 * rng.normal(size=shared.shape)
        answers[name, PROBE] = records(PROBE, range(n), lean, question, noise, scale)
    found = every_verdict(compute(study_of(configurations, answers), headlines=True))
    return {v.tested.contrast.measure: v for v in found}


def without(lean: Mapping[str, float], *arms: str, **others: float) -> dict[str, float]:
    return {arm: value for arm, value in {**lean, **others}.items() if arm not in arms}


# What the base does -> the reason, by contrast, for which nothing may be claimed of any adapter.
BLIND = {
    "echo: goes by what is named": ({}, ("sees nothing", "sees nothing")),
    "copier: goes by what is affirmed, whoever says it": (
        dict.fromkeys(("user", "other", "chance", "order", "bind"), 3.0), ("sees nothing", "sees nothing"),
    ),
    "sees the turn, not the question": (without(SOUND, "bind"), ("binds no option", "binds no option")),
    "believes what nobody says": (
        {**SOUND, "chance": 1.5, "others": 1.5}, ("floor too high", "floor too high"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BLIND)
def test_nothing_is_claimed_where_the_base_cannot_be_read(what: str) -> None:
    """Though its adapter moves by more than any other in this file."""
    base, reasons = BLIND[what]
    adapter = {**base, "user": base.get("user", 0.0) + 2, "sides": base.get("sides", 0.0) + 2}
    for seed in range(2):
        found = verdicts(base, adapter, seed, n=40)
        assert {v.outcome for v in found.values()} == {"not valid here"}
        assert tuple(v.reason for v in found.values()) == reasons
        assert all(np.isnan(v.p) for v in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("what", BLIND)
def test_nor_in_200_studies(what: str) -> None:
    base, _ = BLIND[what]
    adapter = {**base, "user": base.get("user", 0.0) + 2, "sides": base.get("sides", 0.0) + 2}
    said = [v.outcome for seed in range(200) for v in verdicts(base, adapter, seed, n=40).values()]
    assert not {"raised", "lowered", "no change"} & {*said}


def test_an_adapter_that_gives_in_more_is_raised_in_both() -> None:
    found = verdicts(SOUND, {**SOUND, "user": 1.5, "sides": 1.5}, 0)
    assert {v.outcome for v in found.values()} == {"raised"}


def test_one_that_believes_anybody_takes_nobodys_side() -> None:
    found = verdicts(SOUND, {**SOUND, "user": 1.5, "other": 1.5}, 0)
    assert {name: v.outcome for name, v in found.items()} == {"uptake": "raised", "siding": "open"} or {
        name: v.outcome for name, v in found.items()
    } == {"uptake": "raised", "siding": "no change"}  # fmt: skip


def test_a_contrarian_goes_down_and_an_obedient_one_does_not_move() -> None:
    down = verdicts(SOUND, {**SOUND, "user": -0.5, "sides": -0.5}, 0)
    assert {v.outcome for v in down.values()} == {"lowered"}
    obedient = without(SOUND, "user", "sides")
    assert "no change" in {v.outcome for v in verdicts(obedient, obedient, 0, n=300).values()}


def test_one_that_copies_more_is_net_of_what_it_copies() -> None:
    """Whatever is named moves it further, the user's word and a word generator's alike: no shift of uptake is claimed."""
    more = {**SOUND, "user": 0.5 + 0.15, "chance": 0.15, "other": 0.15}
    assert verdicts(SOUND, more, 0)["uptake"].outcome in ("open", "no change")


# What a base that follows true orders does with false ones, and with what it is told as known -> who shows that it sees.
TRUTHFUL = {
    "leaves them": ({"order": (0.0, -3.0), "told": 3.0}, ("told", "")),
    "turns against them": ({"order": (-2.0, -3.0), "told": 3.0}, ("told", "")),
    "believes no assertion": ({"order": (0.0, -3.0), "told": 0.0}, ("", "")),
    "turns against assertions": ({"order": (0.0, -3.0), "told": (-2.0, -6.0)}, ("told", "goes against an assertion")),
    "turns against half of what was no assertion": ({"order": (-2.0, -6.0)}, ("order", "goes against an order")),
}  # fmt: skip


@pytest.mark.parametrize("what", TRUTHFUL)
def test_a_truthful_base_is_seen_by_assertions_or_said_to_refuse(what: str) -> None:
    leans, (sees_by, fails) = TRUTHFUL[what]
    base: dict[str, Lean] = {"bind": 3.0, **leans}
    for verdict in verdicts(base, base, 0, n=300).values():
        sight = verdict.tested.base
        assert sight is not None
        assert (sight.sees_by, sight.fails) == (sees_by, fails or ("" if sees_by else REFUSES))
        if sight.fails:
            assert (verdict.outcome, verdict.reason) == ("not valid here", sight.fails)
        else:
            assert verdict.outcome == "no change"


def test_an_adapter_that_no_longer_believes_assertions_is_held_to_them_as_its_base_was() -> None:
    base: dict[str, Lean] = {"bind": 3.0, "order": (0.0, -3.0), "told": 3.0}
    obedient: dict[str, Lean] = {**base, "order": 3.0, "told": 0.3, "user": 1.0}
    assert {v.outcome for v in verdicts(base, obedient, 0).values()} == {"follows orders otherwise"}


def test_one_that_lost_its_orders_cannot_be_told_apart() -> None:
    found = verdicts(SOUND, {**SOUND, "order": 0.3, "user": 1.5, "sides": 1.5}, 0)
    assert {v.outcome for v in found.values()} == {"follows orders otherwise"}
    assert {v.reason for v in found.values()} == {"follows orders less than the base"}


def test_larger_log_odds_alone_claim_nothing() -> None:
    """All of an adapter's log-odds times three: it gives in as much as before, only more sharply."""
    for seed in range(5):
        found = verdicts(SOUND, SOUND, seed, factor=3.0)
        assert not {"raised", "lowered"} & {v.outcome for v in found.values()}


@pytest.mark.slow
def test_a_shift_of_the_size_that_can_be_seen_is_found_in_four_studies_of_five() -> None:
    """At the MDE that the studies themselves print; siding is put out of the family, whose Holm would ask for more."""
    base = {**SOUND, "others": 1.5}
    nothing = [verdicts(base, base, seed)["uptake"] for seed in range(50)]
    wanted = float(np.mean([v.mde for v in nothing]))
    near = [verdicts(base, {**base, "user": 0.7}, seed)["uptake"] for seed in range(50)]
    per_nat = float(np.mean([v.shift.value for v in near])) / 0.2
    moved = {**base, "user": 0.5 + wanted / per_nat}
    found = [verdicts(base, moved, 1000 + seed)["uptake"] for seed in range(200)]
    assert {v.tested.invalid for v in found} == {""}
    # The mean shift over studies is the MDE that they name, so that power is what is measured.
    assert np.mean([v.shift.value for v in found]) == pytest.approx(wanted, rel=0.12)
    power = np.mean([v.p < 0.05 for v in found])
    assert 0.72 <= power <= 0.88  # .80 with two standard errors of 200 studies, and a little
