"""The compiler is asked a sum whose value is known, and nothing runs where it answers wrongly."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

import sycojax
from sycojax.cli import main
from sycojax.errors import SycojaxError
from sycojax.parallel import known_answer

# What jaxlib 0.10.2 gives: the last row takes the value of the one 32 before it.
WRONG = known_answer.Answer(1071645696.0, 1073741824.0)
SAID = "sums squares to 1.071646e+09, in place of 1.073742e+09"


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_answer, "answer", lambda: WRONG)


def test_the_answer_is_right_here() -> None:
    """And the case is the public one: where the flag is missing, jaxlib 0.10.2 fails it."""
    assert known_answer.answer().agrees
    assert known_answer.answer().right == float((known_answer.ROWS - 1) ** 2)


@pytest.mark.parametrize("row", [0, 1, 70, known_answer.ROWS - 1])
@pytest.mark.parametrize("value", [7.0e8, float("nan"), float("inf")])
def test_one_wrong_row_is_found(monkeypatch: pytest.MonkeyPatch, row: int, value: float) -> None:
    def squares(vectors: jax.Array) -> np.ndarray:
        found = np.square(np.asarray(vectors)).sum(axis=1)
        found[row] = value
        return found

    monkeypatch.setattr(known_answer, "_squares", squares)
    found = known_answer.answer.__wrapped__()
    assert not found.agrees
    assert found.right == row**2


@pytest.mark.parametrize(
    "command",
    [
        ["study", "--config=configs/toy.py"], ["train", "--config=configs/toy.py"],
        ["evaluate", "--config=configs/toy.py"], ["sweep", "--config=configs/sweeps/toy.py"], ["calibrate"],
    ],
)  # fmt: skip
def test_commands_that_compute_refuse(
    wrong: None, refused: Callable[..., str], tmp_path: Path, command: list[str]
) -> None:
    said = refused(*command, f"--workdir={tmp_path / 'w'}")
    assert SAID in said
    assert f"pip install 'jax!={known_answer._version()}'" in said
    assert not (tmp_path / "w").exists()


def test_a_model_is_not_loaded(wrong: None) -> None:
    with pytest.raises(SycojaxError, match="JAX computes wrong numbers here"):
        sycojax.load("toy")


def test_the_flag_is_named_for_its_version_alone(
    wrong: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others end at a flag that they do not know."""
    for version, named in (("0.10.2", True), ("0.10.3", False)):
        monkeypatch.setattr(known_answer, "_version", lambda version=version: version)
        assert (known_answer.CURE in known_answer.advice()) == named


@pytest.mark.parametrize("own", ["", "--xla_cpu_enable_fast_math=false", f"{sycojax.CURE}off"])
def test_the_flag_is_added_for_its_version_alone_and_to_the_user_s_own(
    monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    for version, added in (("0.10.2", not own.startswith(sycojax.CURE)), ("0.10.1", False)):
        monkeypatch.setattr("importlib.metadata.version", lambda _, version=version: version)
        monkeypatch.setenv("XLA_FLAGS", own)
        sycojax._cure()
        assert os.environ["XLA_FLAGS"] == (f"{own} {sycojax.CURE}".strip() if added else own)


def test_an_accelerator_is_not_asked(wrong: None) -> None:
    known_answer.check([type("Device", (), {"platform": "gpu"})])


def test_the_doctor_says_what_it_saw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", f"--workdir={tmp_path}"]) == 0
    assert "sums squares to 1.073742e+09, as in float64" in capsys.readouterr().out
    monkeypatch.setattr(known_answer, "answer", lambda: WRONG)
    assert main(["doctor", f"--workdir={tmp_path}"]) == 2
    said = capsys.readouterr().out
    assert SAID in said
    assert "-> Install another version" in said
