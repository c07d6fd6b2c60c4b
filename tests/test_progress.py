"""Where no terminal is, a line says now and then how far a stage is, and when it will end."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sycojax import progress
from sycojax.cli.commands import calibrate
from sycojax.config import StudyConfig
from sycojax.progress import Progress
from sycojax.study import calibration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds since the epoch, 2026-03-01 12:00 here, and on the clock that never goes back."""
    now = [time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    local = time.localtime
    monkeypatch.setattr(progress.time, "localtime", lambda at=None: local(now[0] if at is None else at))  # fmt: skip
    return now


def test_share_rate_and_end(clock: list[float]) -> None:
    stage = Progress("scored", 1104, "row", shown=False)
    clock[0] += 30
    assert (
        stage.line() == "scored 0 % (0 of 1,104 rows), nothing new for 30 s: compiling or waiting"
    )
    clock[0] += 30
    stage.update(412, "1,000 tokens/s")
    assert stage.line() == (
        "scored 37 % (412 of 1,104 rows, 6.9 rows/s, 1,000 tokens/s), about 2 min left, ends 12:02"
    )
    stage = Progress("trained", 100, "step", done=90, shown=False)
    clock[0] += 3600
    stage.update()
    assert stage.line() == (
        "trained 91 % (91 of 100 steps, 1.0 steps/h), about 9 h 0 min left, ends 22:01"
    )
    stage.update()
    clock[0] += 86400
    assert stage.line().endswith("ends 2026-03-06 17:01"), "the day is said where it is another"


def test_a_stage_that_counts_nothing_tells_the_time(clock: list[float]) -> None:
    stage = Progress("reading", shown=False)
    clock[0] += 100
    assert stage.line() == "reading: 2 min so far"


def test_lines_come_while_nothing_moves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program is compiled in one call, for minutes; who reads the log must see that the study lives."""
    monkeypatch.setattr(progress, "EVERY", 0.02)
    with Progress("trained", 10, "step") as stage:
        stage.say("said at once")
        time.sleep(0.3)
        stage.update(5)
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "said at once"
    assert lines[1].startswith("trained 0 % (0 of 10 steps), nothing new")
    assert any(re.fullmatch(r"trained 50 % .*, about .* left, ends \d\d:\d\d", x) for x in lines)
    assert lines[-1].startswith("trained done in ")
    time.sleep(0.1)
    assert not capsys.readouterr().err, "its thread has ended"


def test_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    with Progress("trained", 10, "step", shown=False) as stage:
        stage.update()
        stage.say("a result")
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_short_stages_leave_no_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them ends before a line of its own would be due; a command is one stage around them."""
    monkeypatch.setattr(progress, "EVERY", 0.1)
    with Progress("study"):
        time.sleep(0.4)  # a busy machine wakes late
        for _ in range(12):
            with Progress("trained", 10, "step"):
                time.sleep(0.06)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("study: ")
    assert sum(line.startswith("trained 0 %") for line in lines) >= 3


def test_a_command_says_that_it_lives_where_no_stage_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.05)
    monkeypatch.setattr(calibration, "calibrate", lambda *_, **__: time.sleep(0.3) or tmp_path)
    settings: Any = SimpleNamespace(study_config=lambda _: StudyConfig())
    for quiet in (False, True):
        calibrate(settings=settings, workdir=tmp_path, start=lambda: None, quiet=quiet)
        assert ("calibrate: 0 s so far" in capsys.readouterr().err) is not quiet
