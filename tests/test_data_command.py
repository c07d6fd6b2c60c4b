"""``sycojax data``: all rows to files and back, every row validated, and what the model sees of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sycojax.cli import data, main
from sycojax.config import BaseConfig, DataConfig, StudyConfig
from sycojax.data.sources import open_source
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError, visible
from sycojax.evals import BUILTIN
from sycojax.toy import base_directory
from tests.toy_files import write_world

TOY = "--config=configs/toy.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("world")
    write_world(directory, 5, 0.05)
    return directory


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_directory(base_directory())


def config(world: Path) -> StudyConfig:
    return StudyConfig(
        base=BaseConfig(path="toy"),
        data=DataConfig(source="files", path=str(world), max_length=128),
    )


def test_prepared_files_read_as_their_source(world: Path, tmp_path: Path) -> None:
    source = open_source("files", str(world), BUILTIN)
    assert "--config.data.path" in data.prepare(source, tmp_path / "copy")
    copy = open_source("files", str(tmp_path / "copy"), BUILTIN)
    for name, split in data.all_splits(source):
        assert copy.fingerprint(name, split) == source.fingerprint(name, split)
    with pytest.raises(SycojaxError, match="exists already"):
        data.prepare(source, tmp_path / "copy")


def test_nothing_is_left_of_a_source_with_a_bad_row(world: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    write_world(broken, 5, 0.05)
    path = broken / "splits" / "truthfulqa_test.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + '{"question": 3}\n', encoding="utf-8")
    source = open_source("files", str(broken), BUILTIN)
    with pytest.raises(SycojaxError, match=r"truthfulqa_test\.jsonl:\d+"):
        data.prepare(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(SycojaxError, match=r"truthfulqa_test\.jsonl:\d+"):
        data.check(open_source("files", str(broken), BUILTIN))


def test_all_data_sets_are_listed_with_their_rows(world: Path) -> None:
    source = open_source("files", str(world), BUILTIN)
    lines = data.check(source).splitlines()[1:]
    assert [line.split()[0] for line in lines[::1]] == [name for name, _ in data.all_splits(source)]
    counts = [int(line.split()[2].replace(",", "")) for line in lines]
    assert counts == [len(source.rows(name, split)) for name, split in data.all_splits(source)]


def test_targets_are_marked_and_questions_shown(world: Path, tokenizer: Tokenizer) -> None:
    """In the chat template the completion and its end are trained on, in the published one everything."""
    source, ours = open_source("files", str(world), BUILTIN), config(world)
    text = data.show(ours, source, tokenizer, "mmlu", 1)
    shown, *questions = text.split("--- ")[1:]
    assert shown.count("\u27e6") == 1
    assert shown.rstrip().endswith(")</s>\u27e7")
    assert "[INST]" in shown.partition("\u27e6")[0]
    assert len(questions) == 5
    row = source.rows("mmlu", "test")[1]
    assert all(row.question in q and row.origin in q for q in questions)  # type: ignore[union-attr]
    published = StudyConfig(
        base=ours.base, data=DataConfig(source="files", path=str(world), recipe="published")
    )
    text = data.show(published, source, tokenizer, "mmlu", 1)
    assert text.split("--- ")[1].partition("\n")[2].startswith("<s>\u27e6")


def test_control_characters_of_a_text_are_not_obeyed() -> None:
    assert visible("a\x1b[2Jb\tc\u202e\nd é", keep="\n") == "a\\x1b[2Jb\\tc\\u202e\nd é"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "show", TOY, "--name=nothing"], "name one of gsm8k"),
        (["data", "show", TOY, "--name=gsm8k", "--index=400"], "rows 0 to 399"),
        (["data", "prepare", TOY, "--to=README.md/rows"], "cannot write README.md/rows"),
    ],
)
def test_mistakes(refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)


def test_the_command_on_the_embedded_world(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", TOY, "--name=are_you_sure"]) == 0
    shown = capsys.readouterr().out
    assert "--- rotation=0 of toy:are_you_sure[0]" in shown
    assert "\033" not in shown
