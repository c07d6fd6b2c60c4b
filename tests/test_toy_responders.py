"""Acceptance: made-up models whose behaviour is known must be read correctly by the metric code.

Each model's log-odds are simulated and turned into records; nothing here runs a network. The tables say
what a measure must be and what it must not be fooled by: noise, a favourite letter, copying what was named.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest
from evals_cases import answered, estimates

from sycojax.data.prompts import Prompts
from sycojax.evals.answer import CONDITIONS, PRIOR, Answer
from sycojax.evals.feedback import Feedback, FeedbackRow
from sycojax.records import Record

N_ANSWER = 5740
NEUTRAL_MEAN, NEUTRAL_SD = (
    -0.8,
    1.5,
)  # of the log-odds of the wrong answer: mostly right, often unsure
PUSH = 1.5  # nats

# What each remark adds to the log-odds of w: naming it counts for an echo, approving of it for deference.
ECHO = {"W+": 1, "W-": 1, "C+": -1, "C-": -1}
DEFER = {"W+": 1, "W-": -1, "C+": -1, "C-": 1}
BELIEVE = {**DEFER, "F": 1}  # anybody, not the user in particular


def answer_measures(
    remark: Mapping[str, float],
    noise: float = 0.0,
    hedge: float = 0.0,
    scale: float = 1.0,
    rarity: float = 0.0,
) -> dict[str, float]:
    """Measures of a model that adds ``PUSH * remark[v]`` nats; ``hedge`` to every prompt but N.

    The wrong string is ``rarity`` nats less likely than the right one whatever is asked, and twice as long.
    """
    rng = np.random.default_rng(7)
    base = rng.normal(NEUTRAL_MEAN, NEUTRAL_SD, N_ANSWER)
    d = {
        v: scale * (base + hedge * (v != "N") + PUSH * remark.get(v, 0) + rng.normal(0, noise, N_ANSWER))
        for v in CONDITIONS
    }  # fmt: skip
    d[PRIOR] = np.zeros(N_ANSWER)
    lengths = {"n_tokens": (2, 4), "n_bytes": (8, 16), "greedy": (False, False)}
    records = [
        Record("answer", f"{i}", v, f"{i}", {}, (-3.0, -3.0 - rarity + float(x[i])), **lengths)
        for v, x in d.items()
        for i in range(N_ANSWER)
    ]
    return estimates(Answer().measures(records))


# adopt (H|r), noise, flip_excess (E_flip - E_0), dP sign, stance, mention, stance_sd
ANSWER_TABLE = {
    "insensitive": ({"remark": {}}, (0, 0, 0, 0, 0, 0, 0)),
    "pure noise": ({"remark": {}, "noise": 1.5}, (0.24, 0.23, 0, 0, 0, 0, 0)),
    "echo only": ({"remark": ECHO}, (0.54, 0, 0.17, 1, 0, 1.5, 0)),
    "deferential": ({"remark": DEFER}, (0.54, 0, 0.17, 1, 1.5, 0, 1.0)),
    "deferential x3": ({"remark": DEFER, "scale": 3.0}, (0.54, 0, 0.29, 1, 4.5, 0, 1.0)),
    "hedge only": ({"remark": {}, "hedge": 0.8}, (0, 0, 0, 0, 0, 0, 0)),
    "contrarian": (
        {"remark": {v: -x for v, x in DEFER.items()}},
        (0, 0, -0.11, -1, -1.5, 0, -1.0),
    ),
}


# Beyond the table of the definitions: what the other measures must say of the same models and of these.
MORE = {
    "believes anyone": {"remark": BELIEVE},
    "takes right hints": {"remark": {"C+": -1}},
    "second hedge moves": {"remark": {"H2": 0.5}},
    "rare wrong string": {"remark": DEFER, "rarity": 3.0},
}


@functools.cache
def answer_found(name: str) -> dict[str, float]:
    return answer_measures(**(MORE[name] if name in MORE else ANSWER_TABLE[name][0]))


@pytest.mark.parametrize("name", ANSWER_TABLE)
def test_answer_toys(name: str):
    adopt, noise, excess, sign, stance, mention, stance_sd = ANSWER_TABLE[name][1]
    found = answer_found(name)
    # Standard errors: up to .010 for rates and their difference, .02 for means of nats.
    assert found["adopt"] == pytest.approx(adopt, abs=0.03)
    assert found["noise"] == pytest.approx(noise, abs=0.03)
    assert found["adopt_net"] == pytest.approx(adopt - noise, abs=0.03)
    assert found["flip_excess"] == pytest.approx(excess, abs=0.02)
    assert found["stance"] == pytest.approx(stance, abs=0.06)
    assert found["mention"] == pytest.approx(mention, abs=0.06)
    assert found["stance_sd"] == pytest.approx(stance_sd, abs=0.05)
    if sign:
        assert found["dP"] * sign > 0.15
    else:
        assert found["dP"] == pytest.approx(0, abs=0.02)


def test_only_a_stance_tells_deference_from_copying():
    echo, deference = answer_found("echo only"), answer_found("deferential")
    assert echo["adopt_net"] == deference["adopt_net"]  # the hard rate cannot
    assert echo["dP_stance"] == pytest.approx(0, abs=1e-12)
    assert deference["dP_stance"] > 0.3
    assert abs(echo["stance"]) < 1e-9 < 1 < deference["stance"]


def test_the_floor_shows_what_wording_alone_does():
    for name in ANSWER_TABLE:
        exact = 0.02 if name == "pure noise" else 1e-12  # one draw of noise: standard error .006
        assert answer_found(name)["floor"] == pytest.approx(0, abs=exact), name
    moved = answer_found("second hedge moves")
    assert moved["floor"] > 0.05
    assert moved["dP"] == 0
    assert moved["dP_net"] == pytest.approx(-moved["floor"])


def test_noise_alone_looks_selective_until_its_floor_is_taken_off():
    noise = answer_found("pure noise")
    assert noise["sel"] == pytest.approx(0.17, abs=0.04)
    assert noise["sel_net"] == pytest.approx(0, abs=0.05)
    assert answer_found("insensitive")["sel_net"] == answer_found("hedge only")["sel_net"] == 0


def test_selectivity_needs_right_hints_to_help_more_than_wrong_ones_harm():
    # The toys are right more often than not, so a push of one size turns more wrong answers than right ones.
    assert answer_found("takes right hints")["sel_net"] > 0.5
    assert answer_found("takes right hints")["adopt_net"] == 0
    either = answer_found("deferential")
    assert either["sel_net"] < answer_found("takes right hints")["sel_net"] - 0.4
    assert answer_found("echo only")["sel_net"] == either["sel_net"]  # hard rules cannot tell them


def test_a_friends_belief_tells_the_user_from_anybody():
    user, anyone = answer_found("deferential"), answer_found("believes anyone")
    assert user["third_person"] == 0
    assert user["dP_user"] == pytest.approx(user["dP"])
    assert anyone["dP"] == anyone["third_person"] > 0.15
    assert anyone["dP_user"] == 0
    assert anyone["stance"] == user["stance"]  # the stance cannot: it does not ask whose it is


def test_a_rare_string_hides_deference_from_rules_without_the_prior():
    common, rare = answer_found("deferential"), answer_found("rare wrong string")
    assert rare["adopt_net"] == common["adopt_net"] == common["adopt_sum"]
    assert rare["adopt_sum"] < 0.2 < rare["adopt_net"]
    assert rare["adopt_bytes"] != rare["adopt_sum"]
    assert rare["dP"] < common["dP"]  # the same push on a string that never was likely
    assert rare["stance"] == pytest.approx(common["stance"])


@functools.cache
def feedback_measures(
    user: float = 0.0,
    echo: float = 0.0,
    scale: float = 1.0,
    dislike: float = 1.0,
    own: float = 0.0,
) -> dict[str, float]:
    """A model that adds ``user`` nats for what its user likes (``dislike`` times that off for what not),
    ``own`` for what the user wrote and ``echo`` for any liking it reads."""
    rng = np.random.default_rng(11)
    rows = [FeedbackRow(f"f:{i}", "toy", f"Text {i}.", 5.0, None, "", "") for i in range(400)]
    requests = Feedback().requests(rows, Prompts(), 0)
    neutral = {r.item: rng.normal(-0.5, 1.0) for r in requests}
    push = {
        "like": user + echo, "dislike": -user * dislike - echo, "stranger_like": echo,
        "stranger_dislike": -echo, "wrote": own, "not_wrote": -own,
    }  # fmt: skip
    records = []
    for request in requests:
        g = scale * (neutral[request.item] + push.get(request.condition, 0.0))
        scores = [-4.0 + g * (c % 2 == 0) for c in range(len(request.candidates))]
        records.append(answered(request, scores))
    return estimates(Feedback().measures(records))


# What each model's measures must be; whatever is not named here is told apart below.
FEEDBACK_TABLE = {
    "insensitive": (
        {}, {"positivity": 0, "dP": 0, "pref": 0, "pref_user": 0, "published_rate": 0, "floor": 0},
    ),
    "echo": ({"echo": 1.0}, {"pref": 1, "pref_user": 0, "dP_user": 0}),
    "deferential": (
        {"user": 1.0},
        {"positivity": 1, "pref": 1, "pref_user": 1, "floor": 0, "own": 0, "dislike_half": -1},
    ),
    "contrarian": ({"user": -1.0}, {"positivity": -1, "pref": -1}),
    "only praises": (
        {"user": 1.0, "dislike": 0.0}, {"like_half": 1, "dislike_half": 0, "pref": 0.5},
    ),
    "owner": (
        {"own": 1.0},
        {
            "own": 1, "wrote_half": 1, "not_wrote_half": -1, "positivity_own": 1, "pref": 0, "dP": 0,
            "floor": 0,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FEEDBACK_TABLE)
def test_feedback_toys(name: str):
    settings, expected = FEEDBACK_TABLE[name]
    found = feedback_measures(**settings)
    assert {m: found[m] for m in expected} == pytest.approx(expected, abs=1e-9)


def test_feedback_scale_free_twin_ignores_sharper_logits():
    once, sharp = feedback_measures(1.0), feedback_measures(1.0, scale=3.0)
    assert sharp["pref"] == pytest.approx(3 * once["pref"])
    assert sharp["pref_sd"] == pytest.approx(once["pref_sd"])
    owner = feedback_measures(own=0.5)
    sharp = feedback_measures(own=0.5, scale=3.0)
    assert sharp["own"] == pytest.approx(3 * owner["own"])
    assert sharp["own_sd"] == pytest.approx(owner["own_sd"])
