"""Rows from local files: JSON lines, JSON, Parquet or CSV, all UTF-8.

A directory holds, itself or in ``splits/``, one file ``{name}_{split}.{jsonl,json,parquet,csv}`` per data
set and split: ``splits/gsm8k_train.jsonl``, ``splits/answer_probe.csv``. Probes may also be in
``probes_{name}.*`` or ``{name}.*`` (as SycophancyEval publishes them), or together in ``probes.json``, an object with one
list per probe; one that it lacks may have a file of its own beside it. Two files of one split are refused.

Records have the hub's fields. CSV has no nesting, so lists and objects (the ``nested_fields`` of a data set)
are JSON text in their cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.data.data_sets import DataSet, Split, unflatten
from sycojax.data.json_text import parse_json, without_gaps
from sycojax.errors import SycojaxError
from sycojax.files import reading

Pairs = Iterator[tuple[str, Mapping[str, Any]]]
ALL_PROBES = "probes.json"
_MARK = b"\xef\xbb\xbf"  # some editors put it first; files that were joined hold it inside


def read_files(directory: Path, data_set: DataSet, split: Split) -> Pairs:
    """(origin, raw record) pairs in file order; an origin is ``path in the directory:line``.

    Raises ``SycojaxError`` when there is no file, more than one, or one that cannot be read.
    """
    name = data_set.name
    path = _find(directory, data_set, split)
    origin = str(path.relative_to(directory))
    if path.name == ALL_PROBES:
        yield from _listed(_probes(path, directory).get(name), f"{origin}:{name}")
    else:
        yield from read_file(path, origin, data_set)


def read_file(path: Path, origin: str, data_set: DataSet) -> Pairs:
    """(origin, raw record) pairs of one file. Raises ``SycojaxError`` when it cannot be read."""
    if path.suffix not in READERS:
        raise SycojaxError(f"{origin} is none of {', '.join(READERS)}")
    needed = (*data_set.flat_fields, *data_set.nested_fields)
    for place, raw in READERS[path.suffix](path, origin, needed):
        yield place, unflatten(data_set, raw, place) if path.suffix == ".csv" else raw


def read_jsonl(path: Path, origin: str, needed: Sequence[str] = ()) -> Pairs:
    """One JSON object per line; blank lines are skipped. Raises ``SycojaxError`` naming a bad line."""
    # Split on line feeds only: Unicode's other line separators may stand inside a text.
    for number, line in enumerate(_bytes(path).split(b"\n"), 1):
        if line.strip():
            place = f"{origin}:{number}"
            yield place, _object(_json(line.removeprefix(_MARK), place), place)


def _find(directory: Path, data_set: DataSet, split: str) -> Path:
    name, is_probe = data_set.name, split == "probe"

    def there(*stems: str) -> list[Path]:
        files = [stem + suffix for stem in stems for suffix in READERS]
        places = [directory / folder / file for folder in ("splits", "") for file in files]
        return [place for place in places if place.is_file()]

    stems = [f"{name}_{split}", *([f"probes_{name}"] if is_probe else [])]
    common = [directory / folder / ALL_PROBES for folder in ("splits", "") if is_probe]
    common = [place for place in common if place.is_file()]
    # A list of probes does not speak for one that it lacks.
    found = there(*stems) + [place for place in common if name in _probes(place, directory)]
    # SycophancyEval names its files so; by the name of another probe a file may be anything, as what its code reads.
    if is_probe and (data_set.hub is not None or not found):
        found += there(name)
    found = found or common[:1]
    found = [place for place in found if place.stat().st_size] or found  # with rows
    if not found:
        wanted = ", ".join(sorted([*stems, *([name, "probes"] if is_probe else [])]))
        raise SycojaxError(
            f"no file for {name} {split}: expected one of {wanted} with ending "
            f"{', '.join(READERS)}, in the directory or in its splits/"
        )
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(directory)) for path in found)
        inside = (
            f" (the list {name!r} can be taken out of {ALL_PROBES})" if ALL_PROBES in names else ""
        )
        raise SycojaxError(f"{name} {split} is there more than once: {names}; keep one{inside}")
    return found[0]


def _probes(path: Path, directory: Path) -> Mapping[str, Any]:
    """The lists of one file of several probes; null stands for one that it lacks."""
    origin = str(path.relative_to(directory))
    lists = _object(_json(_bytes(path), origin), origin)
    return {name: records for name, records in lists.items() if records is not None}


def _json_list(path: Path, origin: str, needed: Sequence[str]) -> Pairs:
    return _listed(_json(_bytes(path), origin), origin)


def _listed(records: Any, origin: str) -> Pairs:
    if not isinstance(records, list):
        raise SycojaxError(f"{origin} must be a list of records")
    for index, record in enumerate(records):
        yield f"{origin}[{index}]", _object(record, f"{origin}[{index}]")


def _parquet(path: Path, origin: str, needed: Sequence[str]) -> Pairs:
    """Column by column: one that is not ``needed`` and that Python has no values for is as if it were not there."""
    import pyarrow
    import pyarrow.parquet

    # Values of time raise the errors of pytz, zoneinfo and datetime, which pyarrow passes on.
    unreadable = (pyarrow.ArrowException, OSError, ValueError, LookupError, OverflowError)
    columns: dict[str, list[Any]] = {}
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_names(names, origin)
            for name in names:
                try:
                    values = file.read(columns=[name]).column(name).to_pylist()
                    columns[name] = without_gaps(values)
                except unreadable:
                    if name in needed:
                        raise
        if len({*map(len, columns.values())}) > 1:
            raise ValueError("its columns differ in length")
    except unreadable as error:
        said = " ".join(str(error).split())
        raise SycojaxError(f"{origin} is not a readable Parquet file: {said}") from error
    for index, record in enumerate(zip(*columns.values(), strict=True)):
        yield f"{origin}[{index}]", dict(zip(columns, record, strict=True))


def _csv(path: Path, origin: str, needed: Sequence[str]) -> Pairs:
    """Rows counted from 1 after the header. No cell is taken for "not available": "None" is an answer."""
    text = _decoded(_bytes(path), origin)
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    number = 0
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = list(reader.fieldnames or ())
        # Spreadsheets write empty columns behind the last one, and empty rows.
        while header and not header[-1].strip():
            header.pop()
        _check_names(header, origin)
        reader.fieldnames = header
        for number, record in enumerate(reader, 1):
            behind = record.pop(None, ())  # pyright: ignore[reportArgumentType, reportCallIssue]
            if any(cell.strip() for cell in behind):
                raise SycojaxError(f"{origin} row {number} has more cells than the header")
            if any(cell and cell.strip() for cell in record.values()):
                yield f"{origin} row {number}", record
    except csv.Error as error:
        raise SycojaxError(
            f"{origin} is not a readable CSV file: {error} (row {number + 1})"
        ) from error


def _check_names(columns: Sequence[str], origin: str) -> None:
    twice = next((name for name in columns if list(columns).count(name) > 1), None)
    if twice is not None:
        raise SycojaxError(f"{origin} has two columns {twice!r}: keep one")


# Of a path, what to call it, and the fields without which a column cannot be left out.
READERS: Mapping[str, Callable[[Path, str, Sequence[str]], Pairs]] = {
    ".jsonl": read_jsonl,
    ".json": _json_list,
    ".parquet": _parquet,
    ".csv": _csv,
}


def _bytes(path: Path) -> bytes:
    with reading(path):
        return path.read_bytes().removeprefix(_MARK)


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SycojaxError(
            f"{place} is not UTF-8 (byte {error.start}): convert the file"
        ) from error


def _json(data: bytes, place: str) -> Any:
    try:
        return parse_json(_decoded(data, place))
    except ValueError as error:
        raise SycojaxError(f"{place} is not valid JSON: {error}") from error


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SycojaxError(f"{place} must be a JSON object, got {type(value).__name__}")
    return value
