"""A large study is read by two processes: what comes of it is what one of them reads alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_study import write_study

from analysis.records.load import load
from sycojax.records import read_records


def test_reading_in_two_processes_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path, items=6, adapters=("mmlu",), seeds=(0,), evaluations=("mmlu", "answer"))
    alone = load(tmp_path)
    monkeypatch.setattr("analysis.records.load._LARGE", 0)
    together = load(tmp_path)
    assert together.records == alone.records == {
        (c, e): sum(1 for _ in read_records(tmp_path / "records" / c / f"{e}.jsonl"))
        for c in ("base", "mmlu-s0")
        for e in ("mmlu", "answer")
    }  # fmt: skip
    for key, measures in alone.measures.items():
        for one, other in zip(measures, together.measures[key], strict=True):
            assert one.name == other.name
            assert one.items == other.items
            assert (one.numerator == other.numerator).all()
