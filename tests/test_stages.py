"""A stage is skipped only when its output is there, whole, and made from the same inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sycojax.study.stages import Stamps, fingerprint


@pytest.fixture
def stamped(tmp_path: Path) -> tuple[Stamps, Path]:
    output = tmp_path / "records" / "base" / "mmlu.jsonl"
    output.parent.mkdir(parents=True)
    output.write_text("1\n2\n")
    stamps = Stamps(tmp_path)
    stamps.mark(output, "inputs-1")
    return stamps, output


def test_current(stamped: tuple[Stamps, Path]) -> None:
    stamps, output = stamped
    assert stamps.current(output, "inputs-1")
    assert not stamps.current(output, "inputs-2")


@pytest.mark.parametrize("content", ["1\n", "1\n3\n", ""])
def test_a_changed_or_cut_output_is_made_again(stamped: tuple[Stamps, Path], content: str) -> None:
    stamps, output = stamped
    output.write_text(content)
    assert not stamps.current(output, "inputs-1")


def test_a_missing_output_is_made_again(stamped: tuple[Stamps, Path]) -> None:
    stamps, output = stamped
    output.unlink()
    assert not stamps.current(output, "inputs-1")


def test_directories_are_stamped_file_by_file(tmp_path: Path) -> None:
    output = tmp_path / "adapters" / "mmlu-s0"
    output.mkdir(parents=True)
    (output / "a").write_text("1")
    stamps = Stamps(tmp_path)
    stamps.mark(output, "x")
    assert stamps.current(output, "x")
    (output / "b").write_text("")
    assert not stamps.current(output, "x")


def test_fingerprints_separate_what_differs() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(b"x") != fingerprint("x")
    assert fingerprint(1) != fingerprint(1.5)
