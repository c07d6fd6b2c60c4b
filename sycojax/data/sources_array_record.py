"""Rows from array_record files as TensorFlow Datasets lays them out, read and written without TensorFlow.

A directory holds one data set per name, ``{name}/{version}/`` with ``dataset_info.json`` beside the
records. Fields are those of the hub; lists and objects may be stored as such or as JSON text, which is what
``write_array_record`` does. TFDS stores records in an order of its own, so the writer adds an ``index`` that
the reader sorts by; without that field the stored order stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format

from sycojax.data.data_sets import DataSet, Split, by_column, flatten, parse_record, unflatten
from sycojax.data.json_text import without_gaps
from sycojax.errors import SycojaxError
from sycojax.files import writing

VERSION = "1.0.0"
INDEX = "index"
INFO = "dataset_info.json"


def read_array_record(
    directory: Path, data_set: DataSet, split: Split
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(origin, raw record) pairs in the order of ``index``.

    Raises ``SycojaxError`` when the data set or the split is missing, or its files cannot be read.
    """
    name, place = data_set.name, _prepared(directory / data_set.name)
    try:
        builder = tfds.builder_from_directory(str(place))
        splits = sorted(builder.info.splits)
        if split not in splits:
            raise SycojaxError(f"{place} has no split {split!r} (it has {', '.join(splits)})")
        stored = builder.as_data_source(split)  # pyright: ignore[reportCallIssue] untyped decorator
        records = [_plain(record) for record in stored]
    except (OSError, ValueError, RuntimeError, json_format.Error) as error:
        raise SycojaxError(f"{place} cannot be read as array_record files: {error}") from error
    if records and INDEX in records[0]:
        records.sort(key=lambda record: record[INDEX])
    for position, record in enumerate(records):
        origin = f"{name} {split}[{record.get(INDEX, position)}]"
        yield origin, unflatten(data_set, record, origin)


def write_array_record(
    directory: Path, data_set: DataSet, splits: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Path:
    """Store raw records of one data set, all its splits at once; returns the folder that was made.

    Raises ``SycojaxError`` when a record is bad, when the data set is there already, or when the disk
    refuses.
    """
    name = data_set.name
    for split, raws in splits.items():
        named = {f"{name} {split}[{index}]": raw for index, raw in enumerate(raws)}
        by_column(lambda indices, named=named: [
            parse_record(data_set, raw, origin, indices=indices) for origin, raw in named.items()
        ])  # fmt: skip
    place = directory / name / VERSION
    if place.exists():
        raise SycojaxError(f"{place} exists; remove it to write {name} again")
    tfds.disable_progress_bar()
    with writing(place):
        builder = _Builder(data_set, splits, directory)
        builder.download_and_prepare()
    return place


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        data_set: DataSet,
        splits: Mapping[str, Sequence[Mapping[str, Any]]],
        directory: Path,
    ):
        self._data_set, self.name = data_set, data_set.name  # pyright: ignore[reportAttributeAccessIssue] TFDS's own ad-hoc builder does this
        self._splits = splits
        raws = [raw for of_split in splits.values() for raw in of_split]
        # Stored as such, where all are: an answer 3 is an index, and "3" may be an option.
        self._whole = [f for f in data_set.flat_fields if all(_is_int64(r.get(f)) for r in raws)]
        held = {field for raw in raws for field in raw}
        self._gaps = {field: "" for field in data_set.flat_fields if field in held}
        self._gaps |= {field: "null" for field in data_set.nested_fields if field in held}
        super().__init__(data_dir=str(directory), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        features: dict[str, Any] = {
            field: np.int64 if field in self._whole else tfds.features.Text()
            for field in self._gaps
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({INDEX: np.int64, **features})
        )

    def _split_generators(self, dl_manager: Any) -> Any:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(raws) for split, raws in self._splits.items()}

    def _generate_examples(self, raws: Sequence[Mapping[str, Any]]) -> Any:
        for index, raw in enumerate(raws):
            whole = {field: raw[field] for field in self._whole}
            yield index, {INDEX: index, **self._gaps, **flatten(self._data_set, raw), **whole}


def _is_int64(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _prepared(folder: Path) -> Path:
    """The folder with ``dataset_info.json``: the given one, or the only version inside it."""
    found = [path for path in (folder, *sorted(folder.glob("*"))) if (path / INFO).is_file()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise SycojaxError(f"{folder} must hold one prepared data set with {INFO}; found: {names}")
    return found[0]


def _plain(value: Any) -> Any:
    """NumPy values and bytes, as TFDS gives them, to what JSON would have given."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return without_gaps(value.item() if isinstance(value, np.generic) else value)
