"""Files as they are in the wild: no file is passed over without a word, and what no row needs is no reason to refuse one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from sources_cases import GOOD, change, records, write_files, write_jsonl

from sycojax.cli import data
from sycojax.data.data_sets import flatten
from sycojax.data.sources import Source, open_source
from sycojax.data.sources_array_record import write_array_record
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN

MMLU = {"question": "Q?", "subject": "s", "choices": ["w", "x", "y", "z"], "answer": 3}
COLUMNS = {"question": ["Q?"], "subject": ["s"], "choices": [["w", "x"]], "answer": [1]}
CHOICES = '"[""w"",""x"",""y"",""z""]"'


def opened(directory: Path) -> Source:
    return open_source("files", str(directory), BUILTIN)


def refused(directory: Path, name: str, split: Any) -> str:
    with pytest.raises(SycojaxError) as caught:
        opened(directory).rows(name, split)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(directory), "DIR")


# Which file.


@pytest.mark.parametrize(
    "files",
    [
        ("probes.json", "feedback.jsonl"),
        ("splits/feedback_probe.jsonl", "feedback.jsonl"),
        ("probes_feedback.jsonl", "splits/feedback.jsonl"),
        ("splits/probes.json", "probes.json"),
        ("feedback.jsonl", "feedback.json"),
    ],
)
def test_an_original_beside_another_file_of_its_probe_is_refused(
    tmp_path: Path, files: tuple[str, str]
) -> None:
    (tmp_path / "splits").mkdir()
    for file in files:
        if file.endswith("probes.json"):
            (tmp_path / file).write_text(json.dumps({"feedback": records("feedback", 2)}))
        else:
            write_jsonl(tmp_path / file, records("feedback", 3))
    said = refused(tmp_path, "feedback", "probe")
    assert "feedback probe is there more than once" in said
    assert all(file in said for file in files)


@pytest.mark.parametrize("lists", [{"answer": []}, {"answer": [], "feedback": None}])
@pytest.mark.parametrize(
    "file", ["feedback.jsonl", "splits/feedback.jsonl", "feedback_probe.jsonl"]
)
def test_an_original_is_read_where_the_common_file_lacks_its_probe(
    tmp_path: Path, lists: dict[str, Any], file: str
) -> None:
    (tmp_path / "probes.json").write_text(json.dumps(lists))
    write_jsonl(tmp_path / file, records("feedback", 3))
    assert len(opened(tmp_path).rows("feedback", "probe")) == 3
    assert "probes.json:are_you_sure must be a list" in refused(tmp_path, "are_you_sure", "probe")


def test_a_file_by_the_name_of_another_probe_is_read_where_there_is_no_other(
    tmp_path: Path,
) -> None:
    class Own(type(BUILTIN["feedback"])):
        name, hub = "own", None

    def count() -> int:
        return len(open_source("files", str(tmp_path), {"own": Own()}).rows("own", "probe"))

    write_jsonl(tmp_path / "own.jsonl", records("feedback", 3))
    (tmp_path / "probes.json").write_text("{}")
    assert count() == 3
    write_jsonl(tmp_path / "own_probe.jsonl", records("feedback", 2))
    assert count() == 2


# CSV.


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (",,", ",,"),
        (",", ","),
        (", ,", ", ,"),
        ("", ",,"),  # behind the data alone
        (",,", ",,\n,,,,,"),  # and a row of nothing
    ],
)
def test_empty_cells_behind_the_last_column_are_nothing(
    tmp_path: Path, header: str, row: str
) -> None:
    text = f"question,subject,choices,answer{header}\nQ?,s,{CHOICES},3.0{row}\n"
    (tmp_path / "mmlu_test.csv").write_text(text)
    (found,) = opened(tmp_path).rows("mmlu", "test")
    assert (found.question, found.answer) == ("Q?", 3)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (",,", ",,1", "row 1 has more cells than the header"),  # a comma in a text moves the others
        (",", ",1", "row 1 has more cells than the header"),
        (",answer,", ",2,", "two columns 'answer'"),
        (",,note,", ",,x,", ""),  # one column without a name, before the last
        (",,,note", ",,,x", "two columns ''"),
    ],
)
def test_cells_behind_the_last_column_that_hold_something_are_refused(
    tmp_path: Path, header: str, row: str, said: str
) -> None:
    text = f"question,subject,choices,answer{header}\nQ?,s,{CHOICES},3{row}\n"
    (tmp_path / "mmlu_test.csv").write_text(text)
    if said:
        assert said in refused(tmp_path, "mmlu", "test")
    else:
        assert len(opened(tmp_path).rows("mmlu", "test")) == 1


# Parquet.


def _twice() -> pyarrow.Array:
    return pyarrow.StructArray.from_arrays(
        [pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"]
    )


UNREADABLE: dict[str, Callable[[], pyarrow.Array]] = {
    "zone": lambda: pyarrow.array([0], pyarrow.timestamp("us", tz="Mars/Phobos")),
    "time": lambda: pyarrow.array([2**62], pyarrow.timestamp("us")),
    "date": lambda: pyarrow.array([2**30], pyarrow.int32()).cast(pyarrow.date32()),
    "twice": _twice,
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_column_that_python_cannot_hold_matters_where_it_is_needed(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "mmlu_test.parquet"
    pyarrow.parquet.write_table(pyarrow.table({**COLUMNS, "note": UNREADABLE[kind]()}), path)
    (row,) = opened(tmp_path).rows("mmlu", "test")
    assert (row.choices, row.answer) == (("w", "x"), 1)
    pyarrow.parquet.write_table(pyarrow.table({**COLUMNS, "subject": UNREADABLE[kind]()}), path)
    assert "mmlu_test.parquet is not a readable Parquet file: " in refused(tmp_path, "mmlu", "test")


def test_nan_in_a_table_is_a_missing_value_however_deep(tmp_path: Path) -> None:
    raws = [change("feedback", "base.rating", rating)[1] for rating in (2.0, float("nan"))]
    for raw in raws:
        raw["metadata"].pop("prompt_template_type")
    table = pyarrow.Table.from_pylist(raws)
    pyarrow.parquet.write_table(table, tmp_path / "feedback_probe.parquet")
    rows = opened(tmp_path).rows("feedback", "probe")
    assert [row.rating for row in rows] == [2.0, None]
    pyarrow.parquet.write_table(
        pyarrow.table({**COLUMNS, "answer": [float("nan")]}), tmp_path / "mmlu_test.parquet"
    )
    assert "mmlu_test.parquet[0]: field 'answer' is missing" in refused(tmp_path, "mmlu", "test")


# ``sycojax data prepare``.


def _parquet(place: Path, **columns: Any) -> None:
    raws = [{**raw, **columns} for raw in records("mmlu", 12)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(raws), place / "mmlu_test.parquet")


def _line(place: Path, field: str) -> None:
    lines = [json.dumps(raw) for raw in records("mmlu", 12)]
    lines[3] = f'{lines[3][:-1]}, "note": {field}}}'
    (place / "mmlu_test.jsonl").write_text("\n".join(lines))


UNUSED: dict[str, Callable[[Path], None]] = {
    "time": lambda place: _parquet(place, when=datetime.datetime(2024, 1, 1)),
    "zone": lambda place: _parquet(place, when=datetime.datetime.now(datetime.UTC)),
    "bytes": lambda place: _parquet(place, note=b"\x00\xff", deep=[{"a": b"\xff"}]),
    "infinity": lambda place: _parquet(place, note=float("-inf")),
    "surrogate": lambda place: _line(place, '"\\\\\\ud83d\\""'),
    "key": lambda place: _line(place, '{"\\ud83d": 1}'),
    "float": lambda place: _line(place, "[1e999, -1e999]"),
    "nested": lambda place: _line(place, "[" * 850 + "]" * 850),
}


@pytest.mark.parametrize("kind", UNUSED)
def test_what_json_cannot_hold_and_no_row_needs_is_prepared(tmp_path: Path, kind: str) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    write_files(rows, "jsonl")
    (rows / "splits" / "mmlu_test.jsonl").unlink()
    UNUSED[kind](rows)
    source = opened(rows)
    checked = data.check(source)
    data.prepare(source, tmp_path / "copy")
    assert data.check(opened(tmp_path / "copy")) == checked


def test_prepared_records_keep_what_no_row_needs_where_json_holds_it(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    write_files(rows, "jsonl")
    _line(rows / "splits", '{"a": [1, 2.5, null, "\\u00e9 \\ud83d"]}')
    data.prepare(opened(rows), tmp_path / "copy")
    written = (tmp_path / "copy" / "splits" / "mmlu_test.jsonl").read_text().splitlines()
    assert json.loads(written[3]) == {**records("mmlu", 12)[3], "note": {"a": [1, 2.5, None, "é \ud83d"]}}  # fmt: skip
    assert "é \\ud83d" in written[3]


# Integers that are an index, in files whose fields are text.


def test_an_index_among_numbers_stays_one_also_in_text(
    tmp_path: Path,
) -> None:
    raws = [{**MMLU, "choices": ["4", "3", "2", "1"]}, MMLU]
    write_array_record(tmp_path, BUILTIN["mmlu"], {"test": raws})
    source = open_source("array_record", str(tmp_path), BUILTIN)
    assert [row.answer for row in source.rows("mmlu", "test")] == [3, 3]
    cells = [flatten(BUILTIN["mmlu"], raw) for raw in raws]
    quoted = [",".join('"' + v.replace('"', '""') + '"' for v in cell.values()) for cell in cells]
    file = tmp_path / "mmlu_test.csv"
    file.write_text(",".join(cells[0]) + "\n" + "\n".join(quoted) + "\n")
    source = open_source("files", str(tmp_path), BUILTIN)
    assert [row.answer for row in source.rows("mmlu", "test")] == [3, 3]
    # One answer that is no index, and the column is none of indices: what has two meanings is refused.
    file.write_text(file.read_text() + quoted[1].replace('"3"', '"D"') + "\n")
    assert "row 1: field 'answer' may be more than one option" in refused(tmp_path, "mmlu", "test")


def test_an_empty_file_is_no_second_one(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/mmlu_test.jsonl").touch()
    write_jsonl(tmp_path / "mmlu_test.jsonl", [MMLU])
    assert len(open_source("files", str(tmp_path), BUILTIN).rows("mmlu", "test")) == 1


def test_array_record_keeps_gaps_as_gaps(tmp_path: Path) -> None:
    good = GOOD["hellaswag"]
    raws = [{**good, "ctx_a": "One.", "ctx_b": None}, good, {**good, "ctx_a": "One.", "ctx_b": "x"}]
    write_array_record(tmp_path, BUILTIN["hellaswag"], {"test": raws})
    rows = open_source("array_record", str(tmp_path), BUILTIN).rows("hellaswag", "test")
    assert [row.opening for row in rows] == ["Cooking: One. ", "", "Cooking: One. X"]


def test_array_record_keeps_text_as_text(tmp_path: Path) -> None:
    write_array_record(tmp_path, BUILTIN["hellaswag"], {"test": [GOOD["hellaswag"]]})
    source = open_source("array_record", str(tmp_path), BUILTIN)
    assert source.raw("hellaswag", "test")[0]["label"] == "1"
