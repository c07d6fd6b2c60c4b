"""Records survive the disk, and nothing unusable gets into them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from sycojax.errors import SycojaxError
from sycojax.files import atomic_directory, atomic_write, read_json
from sycojax.records import Record, read_records, write_records
from sycojax.requests import Request


def request(**changes: object) -> Request:
    fields = {
        "evaluation": "mmlu", "item": "7", "condition": "rotation=0", "cluster": "what is it",
        "prompt": "Q", "candidates": ("A", "é"), "meta": {"gold": 1},
    }  # fmt: skip
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def test_round_trip(tmp_path: Path) -> None:
    scored = Record.scored(request(), [-1.5, -0.25], [1, 1], [False, True], dropped_tokens=3)
    generated = Record.generated(request(candidates=(), max_new_tokens=4), "#### 4\n", False)
    write_records(tmp_path / "r.jsonl", [scored, generated])
    assert list(read_records(tmp_path / "r.jsonl")) == [scored, generated]
    assert scored.n_bytes == (1, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_scores_are_refused(bad: float) -> None:
    with pytest.raises(SycojaxError, match="not finite"):
        Record.scored(request(), [bad, 0.0], [1, 1], [True, False])


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(SycojaxError, match="2 candidates"):
        Record.scored(request(), [-1.0], [1], [True])


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_records(path, [Record.scored(request(), [-1.0, -2.0], [1, 1], [True, False])])
    path.write_text(path.read_text() + '{"evaluation": "mm', encoding="utf-8")
    with pytest.raises(SycojaxError, match=r"r\.jsonl:2"):
        list(read_records(path))


@pytest.mark.parametrize(
    "changes", [{"candidates": ()}, {"max_new_tokens": 5}, {"candidates": ("",)}]
)
def test_a_request_asks_exactly_one_thing(changes: dict) -> None:
    with pytest.raises(SycojaxError, match="mmlu/7/rotation=0"):
        request(**changes)


def test_a_refused_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    atomic_write(path, "old")

    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SycojaxError, match="No space left on device"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_directory_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "d"
    with atomic_directory(target) as temporary:
        (temporary / "x").write_text("1")
    with pytest.raises(ValueError, match="half way"), atomic_directory(target) as temporary:  # noqa: PT012
        (temporary / "x").write_text("2")
        raise ValueError("half way")
    assert (target / "x").read_text() == "1"
    with atomic_directory(target) as temporary:
        (temporary / "y").write_text("3")
    assert sorted(p.name for p in target.iterdir()) == ["y"]
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_bad_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SycojaxError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").mkdir()
    with pytest.raises(SycojaxError, match=r"cannot read .*b\.json: Is a directory"):
        read_json(tmp_path / "b.json")


def test_a_directory_that_cannot_be_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace = tmp_path / "d", os.replace
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("old")

    def refused(source: Path, to: Path) -> None:
        if Path(to) == target and (Path(source) / "a").read_text() == "new":
            raise OSError(28, "No space left on device")
        replace(source, to)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(SycojaxError, match="No space left"), atomic_directory(target) as temporary:
        (temporary / "a").write_text("new")
    assert (target / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
