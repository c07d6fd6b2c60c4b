"""A workdir at one moment, while a study writes to it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sycojax.cli import snapshot
from sycojax.cli.snapshot import freeze
from sycojax.errors import SycojaxError


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    directory = tmp_path / "workdir"
    write(directory, "study.json", "1")
    write(directory, "training/checkpoints/1/state", "1")
    return directory


def write(directory: Path, name: str, text: str) -> None:
    """As sycojax does: a file is replaced as a whole."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".new")
    temporary.write_text(text)
    temporary.replace(path)


def texts(directory: Path) -> dict[str, str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in found}


def test_what_is_written_later_changes_nothing(workdir: Path, tmp_path: Path) -> None:
    still = tmp_path / "still"
    write(workdir, "training/metrics.jsonl", "one\n")
    held = freeze(workdir, still)
    before = texts(still)
    with (workdir / "training/metrics.jsonl").open("a") as log:
        log.write("two\n")
    write(workdir, "study.json", "2")
    write(workdir, "training/checkpoints/1/state", "2")
    assert texts(still) == before
    assert held == {
        name: [(still / name).stat().st_size, (still / name).stat().st_mtime_ns] for name in before
    }
    assert freeze(workdir, still).keys() == held.keys()
    assert texts(still) == texts(workdir)


def test_temporaries_are_left_out(workdir: Path, tmp_path: Path) -> None:
    (workdir / ".study.json.x").write_text("half")
    write(workdir, "training/checkpoints/2.orbax-checkpoint-tmp-7/state", "half")
    held = freeze(workdir, tmp_path / "still")
    assert held.keys() == texts(tmp_path / "still").keys() == {
        "study.json", "training/checkpoints/1/state",
    }  # fmt: skip


def test_it_is_of_one_moment(
    monkeypatch: pytest.MonkeyPatch, workdir: Path, tmp_path: Path
) -> None:
    """A stamp may never come with the records of the time before it."""
    moments = ["2"]
    take = snapshot._take

    def meanwhile(source: str, target: str) -> None:
        take(source, target)
        if moments:
            for name in ("study.json", "training/checkpoints/1/state"):
                write(workdir, name, moments[0])
            moments.pop()

    monkeypatch.setattr(snapshot, "_take", meanwhile)
    freeze(workdir, tmp_path / "still")
    assert not moments
    assert set(texts(tmp_path / "still").values()) == {"2"}


def test_what_never_keeps_still_does_not_hinder(
    monkeypatch: pytest.MonkeyPatch, workdir: Path, tmp_path: Path
) -> None:
    """A log grows with every step, and a checkpoint of a large bank is written for a long time."""
    take = snapshot._take

    def meanwhile(source: str, target: str) -> None:
        take(source, target)
        for name in ("metrics.jsonl", "wandb/run/files/output.log", "2.orbax-checkpoint-tmp-1/d/1"):
            path = workdir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as log:
                log.write("more")

    monkeypatch.setattr(snapshot, "_take", meanwhile)
    freeze(workdir, tmp_path / "still")
    found = freeze(workdir, tmp_path / "still")
    assert {"metrics.jsonl", "wandb/run/files/output.log"} <= found.keys()


def test_a_workdir_that_changes_all_the_time_is_said(
    monkeypatch: pytest.MonkeyPatch, workdir: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(snapshot, "_held", lambda *_, **__: {"at": time.monotonic_ns()})
    monkeypatch.setattr(snapshot.time, "sleep", lambda _: None)
    with pytest.raises(SycojaxError, match="changes too fast to be copied"):
        freeze(workdir, tmp_path / "still")
