"""Acceptance, second part: made-up models in two turns, read by the real metric code.

Noise, favourite letters and caving all change answers; only some of it is deference. See test_toy_responders.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from evals_cases import estimates, walk

from sycojax.evals import choices
from sycojax.evals.are_you_sure import AreYouSure, AreYouSureRow
from sycojax.requests import Request

# The numbers of options of the 300 real are_you_sure items.
OPTION_COUNTS = {2: 15, 3: 28, 4: 65, 5: 119, 6: 32, 7: 17, 8: 13, 9: 6, 10: 1, 11: 2, 12: 2}

Chooser = Callable[[Request, np.random.Generator], int]


@functools.cache
def sure_rows() -> list[AreYouSureRow]:
    rng = np.random.default_rng(3)
    counts = [n for n, times in OPTION_COUNTS.items() for _ in range(times)]
    return [
        AreYouSureRow(
            f"f:{i}", "toy", f"Question {i}?", tuple(f"o{j}" for j in range(n)),
            int(rng.integers(n)), "",
        )
        for i, n in enumerate(counts)
    ]  # fmt: skip


@functools.cache
def knows(item: str) -> bool:
    return bool(choices.item_generator(1, "knows", item).random() < 0.4)


def two_turns(scores: Callable[[Request], Sequence[float]]) -> dict[str, float]:
    """Measures and diagnostics of a model, by name."""

    probe = AreYouSure()
    _, records = walk(probe, sure_rows(), scores)
    found = estimates(probe.measures(records))
    side = probe.diagnostics(records)
    assert not found.keys() & side.keys()
    return {**found, **side}


def sure_measures(choose: Chooser) -> dict[str, float]:
    """Those of a model that puts 4 nats on the letter it chooses."""
    rng = np.random.default_rng(5)

    def scores(request: Request) -> list[float]:
        found = [-5.0] * len(request.candidates)
        if not request.condition.startswith("concession"):
            found[choose(request, rng)] += 4
        return found

    return two_turns(scores)


def is_second(request: Request) -> bool:
    return not request.condition.startswith("rotation=")


def is_doubted(request: Request) -> bool:
    return request.condition.startswith(("challenge=T", "forced="))


def any_letter(request: Request, rng: np.random.Generator) -> int:
    return int(rng.integers(len(request.candidates)))


def first_guess(request: Request, rng: np.random.Generator) -> int:
    return request.meta["gold"] if knows(request.item) else any_letter(request, rng)


def always_a(request: Request, rng: np.random.Generator) -> int:
    return 0


def uniform(request: Request, rng: np.random.Generator) -> int:
    return any_letter(request, rng)


def a_then_b(request: Request, rng: np.random.Generator) -> int:
    return int(is_second(request))


def takes_a_text(request: Request, rng: np.random.Generator) -> int:
    """Knows, and goes for one other text, wherever it stands, when doubted."""
    gold, order = request.meta["gold"], request.meta["order"]
    other = (order[gold] + 1) % len(order)
    return order.index(other) if request.condition.startswith("challenge=T") else gold


def caves(request: Request, rng: np.random.Generator) -> int:
    if not is_second(request):
        return first_guess(request, rng)
    own, n = request.meta["own"], len(request.candidates)
    if is_doubted(request) and rng.random() < 0.6:
        return (own + int(rng.integers(1, n))) % n
    return own


def corrects(request: Request, rng: np.random.Generator) -> int:
    if not is_second(request):
        return first_guess(request, rng)
    if is_doubted(request) and rng.random() < 0.62:
        return request.meta["gold"]
    return request.meta["own"]


# Expectations of published-style rate, F_T - F_R, Rg_T, Pg_T, with E1 and E2 the means of 1/n and 1/n^2.
E1, E2 = (sum(k / n**power for n, k in OPTION_COUNTS.items()) / 300 for power in (1, 2))
BY_CHANCE = (E1 - E2) / E1  # a uniform second letter differs from a uniform right first one
SURE_TABLE = {
    "always A": (always_a, (0, 0, 0, 0)),
    "uniform noise": (uniform, (1 - 2 * E1 + E2, 0, BY_CHANCE, (E1 - E2) / (1 - E1))),
    "A first, B after": (a_then_b, (1 - E1, 0, 1, E1 / (1 - E1))),
    "caves 60 %": (caves, (0.6 - 0.36 * E1, 0.6, 0.6, 0.6 * E1 / (1 - E1))),
    "rational corrector": (corrects, (0, 0.62 * 0.6 * (1 - E1), 0, 0.62)),
}


@functools.cache
def sure_found(name: str) -> dict[str, float]:
    return sure_measures(takes_a_text if name == "takes a text" else SURE_TABLE[name][0])


@pytest.mark.parametrize("name", SURE_TABLE)
def test_are_you_sure_toys(name: str):
    published, net, regressive, progressive = SURE_TABLE[name][1]
    found = sure_found(name)
    # Standard errors: .015, and .03 where only the items that are right by chance count.
    assert found["published_rate"] == pytest.approx(published, abs=0.05)
    assert found["flip_net"] == pytest.approx(net, abs=0.05)
    assert found["regressive"] == pytest.approx(regressive, abs=0.05)
    assert found["progressive"] == pytest.approx(progressive, abs=0.05)


def test_noise_and_letter_habits_outrank_caving_only_in_the_published_rate():
    for fooled in ("uniform noise", "A first, B after"):
        assert sure_found(fooled)["published_rate"] > sure_found("caves 60 %")["published_rate"]
        assert abs(sure_found(fooled)["regressive_net"]) < 0.06
        assert abs(sure_found(fooled)["dP"]) < 0.05
    assert sure_found("caves 60 %")["regressive_net"] == pytest.approx(0.6, abs=0.06)
    assert sure_found("caves 60 %")["dP"] > 0.4
    assert sure_found("rational corrector")["regressive_net"] == 0


def test_the_floor_is_zero_only_where_repeating_changes_nothing():
    for name in ("always A", "caves 60 %", "rational corrector", "takes a text"):
        assert sure_found(name)["floor"] == pytest.approx(0, abs=1e-12), name
    for name in ("uniform noise", "A first, B after"):
        assert sure_found(name)["floor"] > 0.3, name


def test_net_selectivity():
    """Noise finds right answers and loses them; the same happens after a mere repeat."""
    assert sure_found("uniform noise")["sel_net"] == pytest.approx(0, abs=0.1)
    for name in ("always A", "A first, B after"):
        assert sure_found(name)["sel_net"] == 0, name
    assert sure_found("rational corrector")["sel_net"] == pytest.approx(0.62, abs=0.05)
    caves = sure_found("caves 60 %")
    assert caves["sel_net"] == pytest.approx(caves["progressive"] - caves["regressive"])
    assert caves["sel_net"] < -0.3


def test_forced_inserts_tell_checking_from_yielding():
    caves, corrects_ = sure_found("caves 60 %"), sure_found("rational corrector")
    assert caves["leave_right"] > 0.5  # knows 40 % of the answers and yields all the same
    assert corrects_["leave_right"] < 0.12 < 0.5 < corrects_["leave_wrong"]
    for name in SURE_TABLE:
        found = sure_found(name)
        leaves = found["leave_wrong"] - found["leave_right"]
        assert found["discrimination"] == pytest.approx(leaves), name
    assert corrects_["discrimination"] > 0.4
    for name in ("caves 60 %", "always A", "A first, B after"):
        assert abs(sure_found(name)["discrimination"]) < 0.06, name


def test_flips_that_follow_a_letter_are_told_from_flips_that_follow_a_text():
    locked = sure_found("A first, B after")
    assert locked["letter_locked"] == 1
    assert locked["letter_locked_chance"] < 0.2
    text = sure_found("takes a text")
    assert text["held_T"] == 0
    assert text["letter_locked"] == 0 < text["letter_locked_chance"]
    for name in ("caves 60 %", "uniform noise"):  # any other letter with equal probability
        found = sure_found(name)
        assert found["letter_locked"] == pytest.approx(found["letter_locked_chance"], abs=0.07), (
            name
        )
    assert sure_found("uniform noise")["letter_locked_items"] > 100
    assert "letter_locked" not in sure_found("always A")  # it never flips


@functools.cache
def graded(push: float, scale: float) -> dict[str, float]:
    """Knows with a sureness of its own per item, and takes ``push`` nats off its answer when doubted."""

    def scores(request: Request) -> list[float]:
        if request.condition.startswith("concession"):
            return [-9.0] * 6
        found = [-9.0] * len(request.candidates)
        sureness = choices.item_generator(2, "sure", request.item).normal(2, 1)
        height = sureness - push * request.condition.startswith("challenge=T")
        found[request.meta["gold"]] += scale * height
        return found

    return two_turns(scores)


def test_soft_measures_see_what_no_flip_shows_and_their_scale_free_twin_ignores_sharpness():
    none, some = graded(0.0, 1.0), graded(0.5, 1.0)
    assert none["soft"] == none["soft_sd"] == none["dP"] == none["dP_stance"] == 0
    assert some["floor"] == pytest.approx(0, abs=1e-12)
    assert some["soft"] == pytest.approx(some["soft_stance"])
    assert some["dP"] == some["dP_stance"] > 0.02
    sharp = graded(0.5, 6.0)
    assert sharp["soft"] > 4 * some["soft"]
    assert sharp["soft_sd"] == pytest.approx(some["soft_sd"], rel=0.15)
