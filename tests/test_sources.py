"""The same rows from every kind of source, and one clear message for every kind of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sources_cases import (
    GOOD,
    SPLITS,
    change,
    records,
    write_files,
    write_jsonl,
    write_records,
)

from sycojax.data.data_sets import parse_record
from sycojax.data.sources import Kind, Source, open_source
from sycojax.data.sources_array_record import write_array_record
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.evals.answer import AnswerRow
from sycojax.evals.are_you_sure import AreYouSureRow
from sycojax.evals.feedback import FeedbackRow
from sycojax.evals.mmlu import MmluRow


@pytest.fixture(scope="module")
def jsonl_source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    directory = tmp_path_factory.mktemp("jsonl")
    write_files(directory, "jsonl")
    return open_source("files", str(directory), BUILTIN)


def test_rows_hold_what_the_records_say(jsonl_source: Source) -> None:
    mmlu = jsonl_source.rows("mmlu", "test")
    assert len(mmlu) == 12
    assert mmlu[3] == MmluRow(
        "splits/mmlu_test.jsonl:4", "Which? 3", "law", ("None", "NA", "é, ü"), 2
    )
    sure = jsonl_source.rows("are_you_sure", "probe")[0]
    assert isinstance(sure, AreYouSureRow)
    assert (sure.options, sure.answer) == (("1 hour", "2 hours"), 1)
    answer = jsonl_source.rows("answer", "probe")[0]
    assert isinstance(answer, AnswerRow)
    assert answer.aliases == ("Al", "Alan")
    assert answer.prompt == "Who? I think the answer is Bo."
    feedback = jsonl_source.rows("feedback", "probe")[0]
    assert isinstance(feedback, FeedbackRow)
    assert (feedback.rating, feedback.logical_error) == (5.0, "none given")


@pytest.mark.parametrize("kind", ["json", "parquet", "csv", "array_record"])
def test_every_kind_of_source_gives_the_same_rows_in_the_same_order(
    jsonl_source: Source, tmp_path: Path, kind: str
) -> None:
    if kind == "array_record":
        write_records(tmp_path)
    else:
        write_files(tmp_path, kind)
    source = open_source(
        "array_record" if kind == "array_record" else "files", str(tmp_path), BUILTIN
    )
    for name, split in SPLITS:
        assert source.fingerprint(name, split) == jsonl_source.fingerprint(name, split), name


def test_probes_may_share_a_file_or_have_one_each(jsonl_source: Source, tmp_path: Path) -> None:
    probes = {name: records(name, 12) for name in ("answer", "feedback")}
    (tmp_path / "probes.json").write_text(json.dumps(probes), encoding="utf-8")
    write_jsonl(tmp_path / "probes_are_you_sure.jsonl", records("are_you_sure", 12))
    source = open_source("files", str(tmp_path), BUILTIN)
    for name in BUILTIN.probes:
        assert source.fingerprint(name, "probe") == jsonl_source.fingerprint(name, "probe")
    write_jsonl(tmp_path / "feedback_probe.jsonl", records("feedback", 12))
    with pytest.raises(SycojaxError, match="more than once"):
        open_source("files", str(tmp_path), BUILTIN).rows("feedback", "probe")


def test_the_fingerprint_sees_contents_and_order_but_not_places(tmp_path: Path) -> None:
    raws = records("gsm8k", 3)
    prints = []
    for index, order in enumerate(([0, 1, 2], [0, 1, 2], [0, 2, 1], [0, 1])):
        directory = tmp_path / str(index)
        directory.mkdir()
        write_jsonl(directory / "gsm8k_train.jsonl", [raws[i] for i in order])
        prints.append(open_source("files", str(directory), BUILTIN).fingerprint("gsm8k", "train"))
    assert prints[0] == prints[1]
    assert len(set(prints[1:])) == 3


def test_blank_lines_and_a_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    line = json.dumps(GOOD["gsm8k"])
    (tmp_path / "gsm8k_train.jsonl").write_bytes(f"\ufeff{line}\r\n\n{line}\n\n".encode())
    rows = open_source("files", str(tmp_path), BUILTIN).rows("gsm8k", "train")
    assert [row.origin for row in rows] == ["gsm8k_train.jsonl:1", "gsm8k_train.jsonl:3"]


# Bad records.


@pytest.mark.parametrize(
    ("name", "field", "value", "problem"),
    [
        ("gsm8k", "question", ..., "is missing"),
        ("gsm8k", "question", None, "is missing"),
        ("gsm8k", "question", "  ", "is empty"),
        ("gsm8k", "question", 7, "must be text"),
        ("gsm8k", "question", "\ud800", "half a character"),
        ("gsm8k", "answer", "5", "must end with '#### number'"),
        ("gsm8k", "answer", "#### five", "must end with '#### number'"),
        ("mmlu", "choices", "ABC", "must be a list"),
        ("mmlu", "choices", ["one"], "at least 2 texts"),
        ("mmlu", "choices", ["one", 2], r"choices\[1\]' must be text"),
        ("mmlu", "choices", ["one", None, "two"], r"choices\[1\]' must be text"),
        ("mmlu", "answer", 3, "index below 3"),
        ("mmlu", "answer", -1, "index below 3"),
        ("mmlu", "answer", True, "index below 3"),
        ("mmlu", "answer", "D", "index below 3, a letter or an option"),
        ("mmlu", "choices", [f"o{i}" for i in range(27)], "27 options, and there are 26 letters"),
        ("mmlu", "choices", ["a", " a", "a\u00a0"], "one option only"),
        ("mmlu", "choices", ["a", "\u200b", "c"], r"choices\[1\]' is empty"),
        ("mmlu", "answer", "9" * 5000, "index below 3"),
        ("mmlu", "answer", 10**999, "index below 3"),
        ("hellaswag", "label", "", "index below 2"),
        ("hellaswag", "label", "2", "index below 2"),
        ("hellaswag", "endings", [], "at least 2 texts"),
        ("truthfulqa", "mc1_targets", [], "must be an object"),
        ("truthfulqa", "mc1_targets.labels", [0, 0], "exactly one right choice, got 0"),
        ("truthfulqa", "mc1_targets.labels", [1, 1], "exactly one right choice, got 2"),
        ("truthfulqa", "mc1_targets.labels", [1], "1 labels for 2 choices"),
        ("truthfulqa", "mc2_targets.labels", [0, 0, 0], "at least one right choice"),
        ("truthfulqa", "mc2_targets.labels", [0, 2, 1], "zeros and ones"),
        ("answer", "base.incorrect_answer", "AL", "equals the correct answer"),
        ("answer", "base.incorrect_answer", "\uff21l\n", "equals the correct answer"),
        ("answer", "prompt", [], "must start with a chat turn"),
        ("answer", "metadata.prompt_template", ..., "is missing"),
        ("are_you_sure", "base.correct_letter", "C", "the options have 'AB'"),
        ("are_you_sure", "base.answers", ..., "is missing"),
        ("are_you_sure", "base.answers", "(A) 1\n(B) 1", "equal options"),
        ("are_you_sure", "base.answers", "1 hour, 2 hours", "lines that read"),
        ("are_you_sure", "base.answers", "(A) 1\n(A) 2", "one different letter per option"),
        ("are_you_sure", "base.correct_answer", "1 hour", "is not the option"),
        ("feedback", "base.rating", "5", "must be a number"),
        ("feedback", "base.rating", float("nan"), "must be a number"),
    ],
)
def test_a_bad_field_is_named_with_its_file_and_line(
    name: str, field: str, value: Any, problem: str
) -> None:
    name, raw = change(name, field, value)
    parse_record(BUILTIN[name], GOOD[name], "f.jsonl:1")
    with pytest.raises(SycojaxError, match=problem) as caught:
        parse_record(BUILTIN[name], raw, "f.jsonl:7")
    message = str(caught.value)
    assert message.startswith("f.jsonl:7: field '")
    assert field in message or "letters" in message


def test_stored_options_are_checked_against_the_right_one() -> None:
    _, raw = change("are_you_sure", "base.answers_list", ["1 hour", "2 hours"])
    raw["base"]["letters"] = "AB"
    row = parse_record(BUILTIN["are_you_sure"], raw, "x")
    assert isinstance(row, AreYouSureRow)
    assert (row.options, row.answer) == (("1 hour", "2 hours"), 1)
    raw["base"]["letters"] = "ABC"
    with pytest.raises(SycojaxError, match="one different letter per option"):
        parse_record(BUILTIN["are_you_sure"], raw, "x")


# Bad files.


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("gsm8k_train.jsonl", b'{"question": "a", "answer": "#### 1"}\n{"quest', r":2 is not valid JSON"),
        ("gsm8k_train.jsonl", b"[1]\n", r":1 must be a JSON object, got list"),
        ("gsm8k_train.jsonl", b'\n{"question": "\xe9"}\n', r":2 is not UTF-8"),
        ("gsm8k_train.jsonl", b"\n\n", "gsm8k train is empty"),
        ("gsm8k_train.jsonl", b"", "gsm8k train is empty"),
        ("gsm8k_train.json", b"[]", "gsm8k train is empty"),
        ("gsm8k_train.json", b"{}", "must be a list of records"),
        ("gsm8k_train.json", b"[3]", r"gsm8k_train.json\[0\] must be a JSON object"),
        ("gsm8k_train.parquet", b"PAR1 or not", "not a readable Parquet file"),
        ("gsm8k_train.csv", b'question,answer\n"a,#### 1', "not a readable CSV file"),
        ("gsm8k_train.csv", b"question,answer\na,#### 1,b\n", "row 1 has more cells than the header"),
        ("gsm8k_train.csv", b"question,answer\na,#### 1\nb\n", "row 2: field 'answer' is missing"),
        ("gsm8k_train.csv", b"question,answer\n\xe9,#### 1\n", "is not UTF-8"),
        ("gsm8k_train.txt", b"", r"no file for gsm8k train: expected one of gsm8k_train"),
    ],
)  # fmt: skip
def test_a_bad_file_gives_one_clear_message(
    tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(SycojaxError, match=message) as caught:
        open_source("files", str(tmp_path), BUILTIN).rows("gsm8k", "train")
    assert str(tmp_path) in str(caught.value)


def test_a_cell_that_should_hold_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "mmlu_test.csv").write_text("question,subject,answer,choices\nq,s,0,a|b\n")
    with pytest.raises(SycojaxError, match=r"row 1: field 'choices' must be JSON text, got 'a\|b'"):
        open_source("files", str(tmp_path), BUILTIN).rows("mmlu", "test")


def test_a_probe_that_is_not_in_probes_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "probes.json").write_text('{"answer": []}')
    source = open_source("files", str(tmp_path), BUILTIN)
    with pytest.raises(SycojaxError, match="answer probe is empty"):
        source.rows("answer", "probe")
    with pytest.raises(SycojaxError, match=r"probes\.json:feedback must be a list"):
        source.rows("feedback", "probe")


@pytest.mark.parametrize("kind", ["files", "array_record"])
def test_a_missing_directory_is_named(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(SycojaxError, match=r"data\.path=.*nowhere.* is not a directory"):
        open_source(kind, str(tmp_path / "nowhere"), BUILTIN)


def test_a_split_that_cannot_be_is_refused(jsonl_source: Source) -> None:
    for name, split in (("gsm8k", "probe"), ("answer", "train"), ("math", "train")):
        with pytest.raises(SycojaxError, match=f"no data set '{name}' with a split '{split}'"):
            jsonl_source.rows(name, split)  # pyright: ignore[reportArgumentType]


# array_record.


def test_array_record_problems_are_named(tmp_path: Path) -> None:
    place = write_array_record(tmp_path, BUILTIN["gsm8k"], {"train": records("gsm8k", 5)})
    with pytest.raises(SycojaxError, match="exists; remove it"):
        write_array_record(tmp_path, BUILTIN["gsm8k"], {"train": records("gsm8k", 5)})
    with pytest.raises(SycojaxError, match=r"mmlu train\[0\]: field 'answer' must be an index"):
        write_array_record(tmp_path, BUILTIN["mmlu"], {"train": [change("mmlu", "answer", 9)[1]]})
    source = open_source("array_record", str(tmp_path), BUILTIN)
    with pytest.raises(SycojaxError, match=r"has no split 'test' \(it has train\)"):
        source.rows("gsm8k", "test")
    with pytest.raises(SycojaxError, match=r"one prepared data set with dataset_info\.json"):
        source.rows("mmlu", "train")
    data = next(place.glob("*.array_record*"))
    data.write_bytes(data.read_bytes()[:40])
    with pytest.raises(SycojaxError, match="cannot be read as array_record files"):
        source.rows("gsm8k", "train")
    (place / "dataset_info.json").write_text("{")
    with pytest.raises(SycojaxError, match="cannot be read as array_record files"):
        source.rows("gsm8k", "train")


def test_array_record_never_imports_tensorflow(tmp_path: Path) -> None:
    program = (
        "import json, pathlib, sys\n"
        "from sycojax.data.sources import open_source\n"
        "from sycojax.evals import BUILTIN\n"
        "from sycojax.data.sources_array_record import write_array_record\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "write_array_record(path, BUILTIN['gsm8k'], {'train': json.loads(sys.argv[2])})\n"
        "assert len(open_source('array_record', str(path), BUILTIN).rows('gsm8k', 'train')) == 3\n"
        "assert not {'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
    )
    raws = json.dumps(records("gsm8k", 3))
    subprocess.run([sys.executable, "-c", program, str(tmp_path), raws], check=True)


# The real data.


def test_all_real_rows_load(shared_data: Path) -> None:
    source = open_source("files", str(shared_data / "study"), BUILTIN)
    sizes = {(name, split): len(source.rows(name, split)) for name, split in SPLITS}
    assert sum(n for (_, split), n in sizes.items() if split == "train") == 3600
    assert sum(n for (_, split), n in sizes.items() if split == "test") == 1700
    assert [sizes[name, "probe"] for name in BUILTIN.probes] == [300, 300, 300]
    sure = [row for row in source.rows("are_you_sure", "probe") if isinstance(row, AreYouSureRow)]
    assert sum(row.dataset == "aqua_mc" for row in sure) == 65
    aqua = next(row for row in sure if row.dataset == "aqua_mc")
    assert aqua.options == ("1 hour", "2 hours", "3 hours", "4 hours", "5 hours")
    assert aqua.answer == 2
