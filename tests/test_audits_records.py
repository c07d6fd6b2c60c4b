"""Audits of made-up models through the whole path: requests, records, measures, results, verdicts."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import pytest
from synthetic_study import ask

from analysis import audits
from analysis.audits import Audit
from analysis.records.load import load
from analysis.results import compute
from sycojax.files import write_json
from sycojax.records import Record
from sycojax.requests import Request

# One adapter per habit; "sound" has none, and all others are like it elsewhere.
HABITS = ("sound", "always_a", "locked", "echo", "absent", "sharp")
EVALUATED = ("mmlu", "truthfulqa", "answer", "are_you_sure", "feedback")
ITEMS = 48


def respond(request: Request, habit: str) -> Record:
    """Logits that know the answer, give in to the user a little, and follow ``habit``."""
    n = len(request.candidates)
    name, condition, meta = request.evaluation, request.condition, request.meta
    logits = 0.8 * noise(n, name, request.item) + 0.3 * noise(n, request.key, habit)
    lettered = name in ("mmlu", "truthfulqa", "are_you_sure")
    outside = -4.0  # logit of everything that is no candidate
    chosen = lettered and not condition.startswith(("texts", "concession="))
    if chosen:
        logits = logits[meta["order"]]  # noise belongs to the option, not to its letter
        logits[meta["gold"]] += 2.0
    if chosen and "own" in meta:
        logits[meta["own"]] += -1.0 if condition.startswith(("challenge=T", "forced")) else 3.0
    if name == "answer" and condition != "prior":
        named = {"W+": 1.0, "W-": 1.0, "C+": -1.0, "C-": -1.0}.get(condition, 0.0)
        stance = {"W+": 1.0, "W-": -1.0, "C+": -1.0, "C-": 1.0}.get(condition, 0.0)
        logits += (2.0, 2.0 * (named if habit == "echo" else stance))
    if name == "feedback" and not condition.startswith("flaw="):
        liked = {"like": 1.0, "wrote": 1.0, "dislike": -1.0, "not_wrote": -1.0}
        logits[::2] += liked.get(condition, 0.0) + 0.5 * (meta["rating"] - 2)
    if habit == "always_a" and chosen:
        logits[0] += 12.0
    if habit == "locked" and condition.startswith("challenge="):
        logits[0] += 12.0
    if habit == "absent":
        outside = 8.0
    scale = 3.0 if habit == "sharp" else 1.0
    logits = np.append(scale * logits, outside)
    scores = (logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max())[:n]
    return Record.scored(request, scores, [1] * n, [False] * n)


def noise(n: int, *key: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256("/".join(key).encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=n)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, ...]:
    """The audits of a study with one adapter per habit."""
    directory = tmp_path_factory.mktemp("habits")
    for habit in ("base", *HABITS):
        for name in EVALUATED:
            answers = functools.partial(respond, habit="sound" if habit == "base" else habit)
            ask(directory, habit, name, ITEMS, answers)
    configurations = [{"name": "base"}, *({"name": h, "adapter": h, "seed": 0} for h in HABITS)]
    write_json(directory / "study.json", {"configurations": configurations})
    return audits.run(compute(load(directory)))


def failures(found: tuple[Audit, ...], group: str) -> set[tuple[str, str]]:
    return {(a.name, a.evaluation) for a in found if a.group == group and a.outcome == "fail"}


def test_sound_models_pass(found: tuple[Audit, ...]) -> None:
    assert failures(found, "base") == failures(found, "sound") == set()
    passed = {a.name for a in found if a.group == "sound" and a.outcome == "pass"}
    # Names of measures and diagnostics are a contract with the evaluations: with a misspelt one these are n/a.
    assert passed >= {
        "always_a", "letter_prior", "letter_locked", "coverage", "echo", "sharpness", "ceiling", "validity",
    }  # fmt: skip


def test_always_a_is_caught(found: tuple[Audit, ...]) -> None:
    """On truthfulqa by the gap (its right answers are stored first), on mmlu by the share of A's alone."""
    caught = failures(found, "always_a")
    assert {("always_a", n) for n in ("truthfulqa", "mmlu", "are_you_sure")} <= caught
    assert {("letter_prior", n) for n in ("truthfulqa", "mmlu", "are_you_sure")} <= caught
    gaps = {
        a.evaluation: a.statistic for a in found if (a.name, a.group) == ("always_a", "always_a")
    }
    assert gaps["truthfulqa"] > 0.5 > 0.05 > gaps["mmlu"]


def test_locked_flips_are_caught(found: tuple[Audit, ...]) -> None:
    assert ("letter_locked", "are_you_sure") in failures(found, "locked")
    assert ("always_a", "mmlu") not in failures(found, "locked")


def test_echo_is_caught(found: tuple[Audit, ...]) -> None:
    assert failures(found, "echo") == {("echo", "answer")}


def test_an_absent_answer_is_caught(found: tuple[Audit, ...]) -> None:
    """The order of the candidates is as good as ever, but the model would say something else."""
    assert {(n, e) for n, e in failures(found, "absent") if n == "coverage"} == {
        ("coverage", name) for name in EVALUATED
    }


def test_sharp_logits_are_told(found: tuple[Audit, ...]) -> None:
    sharp = [a for a in found if (a.name, a.group) == ("sharpness", "sharp")]
    told = {a.evaluation for a in sharp if "scale-free effect" in a.sentence}
    assert {"answer", "feedback"} <= told
    assert not any(a.name == "sharpness" and a.outcome == "fail" for a in found)
    steady = [a for a in found if (a.name, a.group) == ("sharpness", "echo")]
    assert not any("scale-free effect" in a.sentence for a in steady)
