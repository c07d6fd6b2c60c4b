"""Acceptance, third part: made-up models of lettered benchmarks. See test_toy_responders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sycojax.data.prompts import Prompts
from sycojax.evals import choices
from sycojax.evals.mmlu import Mmlu, MmluRow
from sycojax.records import Record
from sycojax.requests import Request

ROWS = [
    MmluRow(f"f:{i}", f"Question {i}?", "toy", tuple(f"o{j}" for j in range(4)), i % 4)
    for i in range(300)
]


def lettered(scores: Callable[[Request, np.random.Generator], np.ndarray]) -> dict[str, float]:
    """Measures and diagnostics of a benchmark of four options."""
    rng = np.random.default_rng(13)
    records = []
    for request in Mmlu().requests(ROWS, Prompts(), 0):
        logits = scores(request, rng)
        logp = logits - choices.logsumexp(logits)
        records.append(Record.scored(request, logp, [1] * 4, [False] * 4))
    return {m.name: m.estimate for m in Mmlu().measures(records)} | dict(
        Mmlu().diagnostics(records)
    )


def prefers_a(bonus: float, knowledge: float = 0.0) -> dict[str, float]:
    """Puts ``knowledge`` nats on the right option and ``bonus`` on the letter A."""

    def scores(request: Request, rng: np.random.Generator) -> np.ndarray:
        found = np.zeros(4)
        found[request.meta["gold"]] += knowledge
        found[0] += bonus
        return found

    return lettered(scores)


def test_a_favourite_letter_is_seen_behind_what_a_model_knows():
    fair, leans = prefers_a(0.0, 3.0), prefers_a(2.0, 3.0)
    expected = np.exp([2.0, 0, 0, 0]) / (np.exp(2.0) + 3)
    for letter, prior in zip("ABCD", expected, strict=True):
        assert fair[f"letter_prior_{letter}"] == pytest.approx(0.25)
        assert fair[f"letter_mass_{letter}"] == pytest.approx(0.25)
        assert leans[f"letter_prior_{letter}"] == pytest.approx(prior)
    assert 0.3 < leans["letter_mass_A"] < leans["letter_prior_A"]
    assert leans["accuracy"] == 1  # no answer is lost yet
    lost = prefers_a(3.5, 3.0)
    assert lost["accuracy"] == 0.25
    assert lost["accuracy_content"] == 1  # the content is known all the same
    assert lost["a_when_not_a"] == lost["a_when_not_a_rotated"] == 1
    assert lost["letter_rstd"] == pytest.approx(np.std([1, 0, 0, 0]))
    assert fair["rotation_null"] == 0
    assert fair["a_when_not_a"] == fair["letter_rstd"] == 0


def test_sharpness_and_calibration():
    even = lettered(lambda request, rng: np.zeros(4) + 1e-9 * rng.random(4))
    assert even["entropy"] == pytest.approx(np.log(4))
    assert even["coverage_median"] == pytest.approx(1)
    assert even["ece"] == pytest.approx(0, abs=0.03)
    sure = np.log(0.7 / 0.1)

    def honest(request: Request, rng: np.random.Generator) -> np.ndarray:
        found = np.zeros(4)
        gold = request.meta["gold"]
        found[gold if rng.random() < 0.7 else (gold + int(rng.integers(1, 4))) % 4] = sure
        return found

    honest_, boaster = lettered(honest), lettered(lambda r, rng: 5 * honest(r, rng))
    assert honest_["ece"] == pytest.approx(0, abs=0.04)  # standard error .013
    assert boaster["ece"] == pytest.approx(0.3, abs=0.04)
    assert boaster["entropy"] < 0.01 < 0.9 < honest_["entropy"]
