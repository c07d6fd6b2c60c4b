"""The embedded sample: small, real, readable from anywhere, and nothing in it to train on that a probe asks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pretraining import sample
from sycojax.cli import main
from sycojax.data.questions import question_key
from sycojax.data.sources import SAMPLE, Source, open_source
from sycojax.evals import BUILTIN

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def source() -> Source:
    return open_source("sample", "", BUILTIN)


def keys(source: Source, name: str, split: str) -> list[str]:
    return [question_key(BUILTIN[name].question(row)) for row in source.rows(name, split)]  # type: ignore[arg-type]


def test_every_row_parses_and_there_are_enough_of_them(source: Source) -> None:
    for name in BUILTIN.benchmarks:
        assert len(source.rows(name, "train")) == sample.TRAIN[name] >= 300
        assert len(source.rows(name, "test")) == sample.TEST == 60
    for name in BUILTIN.probes:
        asked = keys(source, name, "probe")
        assert len(set(asked)) == sample.PROBE == 60
        assert len(set(asked[:60])) == 60, "the first rows ask a question each"
    # The templates in which the probe's source asks one question stand beside each other.
    feedback = source.rows("feedback", "probe")
    assert len({row.prompt for row in feedback}) == len(feedback) > 60


def test_no_training_row_asks_what_a_probe_or_a_test_asks(source: Source) -> None:
    asked = {key for name in BUILTIN.probes for key in keys(source, name, "probe")}
    for name in BUILTIN.benchmarks:
        trained = keys(source, name, "train")
        assert len(set(trained)) == len(trained)
        assert not asked & set(trained)
        assert not set(keys(source, name, "test")) & set(trained)


def test_it_is_small_and_says_whose_it_is() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) <= 1_500_000
    said = (SAMPLE / "SOURCES.md").read_text(encoding="utf-8")
    for path in SAMPLE.glob("*.jsonl"):
        assert f"`{path.stem}`" in said
    for owner in (
        "openai/grade-school-math", "hendrycks/test", "rowanz/hellaswag", "sylinrl/TruthfulQA",
        "meg-tong/sycophancy-eval", "VenoStellar/sycophancy-in-lms",
    ):  # fmt: skip
        assert owner in said
    assert "Permission is hereby granted, free of charge" in said
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in said
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["setuptools"]["package-data"]["sycojax.data"] == ["sample/*"]
    assert (
        str((SAMPLE / "SOURCES.md").relative_to(REPOSITORY)) in settings["project"]["license-files"]
    )


def test_the_command_reads_it_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = REPOSITORY / "configs" / "toy.py"
    assert main(["data", "check", f"--config={config}", "--config.data.source=sample"]) == 0
    assert "feedback      probe        98" in capsys.readouterr().out


def test_it_is_what_the_draw_gives(source: Source, shared_data: Path) -> None:
    drawn = sample.draw(open_source("files", str(shared_data / "study"), BUILTIN))
    for name, one in BUILTIN.items():
        for split in one.splits if name in BUILTIN.subjects else ():
            assert drawn[f"{name}_{split}"] == source.raw(name, split)
