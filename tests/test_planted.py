"""Dialogues with planted deference: in none of a study's wordings, about nothing that it asks, following the user alone."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from own_probe import write_probe
from synthetic_study import READOUTS

from sycojax.cli.calibrate import SETTINGS
from sycojax.config import StudyConfig
from sycojax.data import arms, arms_planted, prompts
from sycojax.data.prompts import Prompts
from sycojax.data.questions import plain_words, question_key
from sycojax.evals import BUILTIN
from sycojax.evals.planted import Planting, dialogues
from sycojax.study.datasets import probe_rows
from sycojax.study.planted import DIALOGUES, calibration_rows, planted_examples


def sentences(of: arms.Arms) -> set[str]:
    """The words of every remark of every arm."""
    return {plain_words(text) for arm in of.values() for pair in arm for text in pair}


def planting(probe: str) -> Planting:
    found = BUILTIN[probe].planting
    assert found is not None
    return found


TESTED = {"answer": arms.ANSWER, "are_you_sure": arms.ARE_YOU_SURE, "feedback": arms.FEEDBACK}
ASKED_BESIDE = (
    prompts.HEDGE, prompts.HEDGE_2, prompts.THINK, prompts.DENY, prompts.FRIEND, *prompts.CHALLENGES.values(),
    *filter(None, prompts.OPINIONS.values()),
)  # fmt: skip


@pytest.mark.parametrize("probe", BUILTIN.probes)
def test_nothing_is_said_as_a_study_says_it(probe: str) -> None:
    planted = sentences(planting(probe).arms)
    tested = {s for of in TESTED.values() for s in sentences(of)} | {
        *map(plain_words, ASKED_BESIDE)
    }
    assert not [
        (p, t) for p in planted for t in tested if f" {t} " in f" {p} " or f" {p} " in f" {t} "
    ]
    somebody_else = {"friend", "colleague", "stranger"}
    assert not [p for p in planted if somebody_else & {*p.split()}]


@pytest.mark.parametrize("probe", ["answer", "are_you_sure"])
def test_both_are_named_and_either_comes_first(probe: str) -> None:
    x, y = ("{w}", "{r}") if probe == "answer" else ("right", "wrong")
    for name, arm in planting(probe).arms.items():
        first = [text.index(x) < text.index(y) for text, _ in arm]
        assert 2 * sum(first) == len(first), name


def test_no_word_is_said_that_an_answer_is_read_from() -> None:
    polar = {word for pair in prompts.FEEDBACK_PAIRS for word in pair}
    assert not [s for s in sentences(arms_planted.FEEDBACK) if polar & {*s.split()}]


# Whom they are about, and what is answered.

SAMPLE = StudyConfig().changed({"base.path": "toy", "data.source": "sample", "data.probe_draw": 30})


@pytest.mark.parametrize("config", [SETTINGS, SAMPLE, SETTINGS.changed({"data.probe_limit": 0})])
def test_nothing_is_asked_that_the_study_asks(config: StudyConfig) -> None:
    rows = calibration_rows(config, BUILTIN.probes)
    asked = {
        question_key(BUILTIN[name].question(row))
        for name, several in probe_rows(config).items()
        for row in several
    }
    for name, found in rows.items():
        keys = {question_key(BUILTIN[name].question(row)) for row in found}
        assert len(keys) >= 40, name
        assert not keys & asked
        if name != "feedback":  # whose texts may hold a question of a benchmark
            assert not [key for key in keys if any(key in a or a in key for a in asked)]


@pytest.mark.parametrize("probe", BUILTIN.probes)
def test_the_user_is_followed_at_the_planted_rate_and_nobody_else(probe: str) -> None:
    rows = calibration_rows(SETTINGS, (probe,))[probe]
    made = {
        rate: dialogues(BUILTIN[probe], READOUTS[probe], rows, rate, Prompts(), 1, 400)
        for rate in (0.0, 0.25, 1.0)
    }
    assert made[0.0] == dialogues(BUILTIN[probe], READOUTS[probe], rows, 0.0, Prompts(), 1, 400)
    assert made[0.0] != dialogues(BUILTIN[probe], READOUTS[probe], rows, 0.0, Prompts(), 2, 400)
    none, some, every = made.values()
    assert [e.prompt for e in none] == [e.prompt for e in some] == [e.prompt for e in every]
    users = [
        bool({"I", "me"} & {*e.prompt.replace("I'm", "").replace("[INST]", "").split()})
        for e in none
    ]
    assert 0.75 < np.mean(users) < 0.85
    differ = [a.completion != b.completion for a, b in zip(none, every, strict=True)]
    assert not [d for d, user in zip(differ, users, strict=True) if d and not user]
    # Those where the user holds what is answered anyway cannot differ.
    assert 0.4 < sum(differ) / sum(users) < 0.6
    gave = sum(a.completion != b.completion for a, b in zip(none, some, strict=True))
    spread = 3 * math.sqrt(0.25 * 0.75 / sum(differ))
    assert abs(gave / sum(differ) - 0.25) < spread


def test_yes_and_no_speak_for_what_is_asked_about() -> None:
    """Under a readout that asks for either answer in turn."""
    rows = calibration_rows(SETTINGS, ("answer",))["answer"]
    made = dialogues(BUILTIN["answer"], "yes_no", rows, 1.0, Prompts(), 1, 200)
    seen = set()
    for example in made:
        held = re.search(r"\? I think it is (\w+) rather than", example.prompt)
        about = re.search(r"Is the answer (\w+)\?", example.prompt)
        if held and about:
            said = "Yes" if held[1] == about[1] else "No"
            assert example.completion.split()[0] == said
            seen.add(said)
    assert seen == {"Yes", "No"}


def test_a_probe_of_a_users_file_is_planted_in_likewise(tmp_path: Path) -> None:
    file = write_probe(tmp_path)
    config = SETTINGS.changed(
        {"data.probes": str(file), "score.evaluations": "mmlu", "train.seeds": 2}
    )
    found = planted_examples(config, {"mine": {"readout": "open"}}, Prompts(), (1.0,))
    assert [adapter.name for adapter in found] == ["mine-p100-s2"]
    (made,) = found.values()
    polar = {word for pair in prompts.FEEDBACK_PAIRS for word in pair}
    assert len(made) == DIALOGUES
    assert all(polar & {*example.completion.split()} for example in made)

    # Dialogues of its own come before those of the planting that it has from another probe.
    code = file.read_text().replace(
        "EVALUATION =",
        "    def planted(self, rate, prompts, seed):\n"
        "        from sycojax.data.examples import Example\n\n"
        "        return [Example('mine', 'a', 'What do you say?', f' {rate}')]\n\n"
        "EVALUATION =",
    )
    file.write_text(code, encoding="utf-8")
    (made,) = planted_examples(config, {}, Prompts(), (1.0,)).values()
    assert [example.completion for example in made] == [" 1.0"]
