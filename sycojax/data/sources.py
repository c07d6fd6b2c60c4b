"""Where rows come from: the embedded world or sample, local files, the hub, or array_record; one interface for all."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from sycojax.data.data_sets import DataSet, Split, by_column, parse_record
from sycojax.data.fields import LeftOut
from sycojax.errors import SycojaxError

Kind = Literal["toy", "sample", "files", "hub", "array_record"]
SAMPLE = (
    Path(__file__).parent / "sample"
)  # drawn by pretraining/sample.py, in the layout of `files`


# A reader gives (origin, raw record) pairs of one data set and split, always in the same order.
Reader = Callable[[DataSet, Split], Iterable[tuple[str, Mapping[str, Any]]]]


class Source:
    """Validated rows of ``data_sets``. Reads every split once."""

    def __init__(self, place: str, read: Reader, data_sets: Mapping[str, DataSet]):
        self.place = place  # for error messages
        self._read_source = read
        self.data_sets = data_sets
        self._rows: dict[tuple[str, str], list[Any]] = {}
        self._used: dict[tuple[str, str], set[int]] = {}
        # By data set and split: rows that were left out and rows in which something was set right, by what it was.
        self.irregular: dict[tuple[str, Split], collections.Counter[str]] = {}

    def rows(self, name: str, split: Split) -> list[Any]:
        """All rows of one split, in a fixed order: "train" and "test" of tasks, "probe" of probes.

        Rows that cannot be asked are left out and counted in ``irregular``. Raises ``SycojaxError`` when the split is
        missing or empty, or when a record is bad.
        """
        if name not in self.data_sets or split not in self.data_sets[name].splits:
            raise SycojaxError(f"there is no data set {name!r} with a split {split!r}")
        if (name, split) not in self._rows:
            place = self.data_sets[name].rows_file(split) or self.place
            try:
                records = list(self._read(self.data_sets[name], split))
                by_column(lambda indices: self._parse(name, split, records, indices))
            except SycojaxError as error:
                raise SycojaxError(f"data in {place}: {error}") from error
        return list(self._rows[name, split])

    def raw(self, name: str, split: Split) -> list[Mapping[str, Any]]:
        """The records as the source gives them, in the hub's schema, after all of them were validated."""
        self.rows(name, split)
        pairs = enumerate(self._read(self.data_sets[name], split))
        return [raw for index, (_, raw) in pairs if index in self._used[name, split]]

    def _parse(
        self, name: str, split: Split, records: list[tuple[str, Mapping[str, Any]]], indices: bool
    ) -> None:
        data_set, rows, used = self.data_sets[name], [], set[int]()
        counts = collections.Counter[str]()
        unasked: LeftOut | None = None
        for index, (origin, raw) in enumerate(records):
            try:
                rows.append(parse_record(data_set, raw, origin, counts, indices))
                used.add(index)
            except LeftOut as error:
                unasked = error
                counts[f"left out: {error.reason}"] += 1
        if unasked and not rows:
            raise SycojaxError(f"no row of {name} {split} can be asked; the last: {unasked}")
        if not rows:
            raise SycojaxError(f"{name} {split} is empty")
        self._rows[name, split], self._used[name, split] = rows, used
        if counts:
            self.irregular[name, split] = counts

    def fingerprint(self, name: str, split: Split) -> str:
        """SHA-256 (hex) of the rows' contents in order; where they are stored does not matter."""
        digest = hashlib.sha256()
        for row in self.rows(name, split):
            content = dataclasses.asdict(row)
            for field in dataclasses.fields(row):
                # What a row need not have does not change the digest of rows without it.
                if field.name == "origin" or content[field.name] == field.default:
                    del content[field.name]
            digest.update(json.dumps(content, sort_keys=True).encode() + b"\n")
        return digest.hexdigest()

    def _read(self, data_set: DataSet, split: Split) -> Iterable[tuple[str, Mapping[str, Any]]]:
        own = data_set.rows_file(split)
        if own is None:
            return self._read_source(data_set, split)
        from sycojax.data.sources_files import read_file

        return read_file(own, own.name, data_set)


def open_source(
    kind: Kind, path: str, data_sets: Mapping[str, DataSet], world_seed: int = 0
) -> Source:
    """The rows of the directory ``path`` (``files``, ``array_record``), of the hub, of an embedded world (``toy``), or of
    the embedded draw from real data sets (``sample``).

    ``data_sets`` by name; one whose rows lie in a file of its own is read from there. ``world_seed`` says which world:
    0 is that of the shipped base. Nothing is read yet. Raises ``SycojaxError`` when the directory does not exist.
    """
    if kind == "sample":
        kind, path = "files", str(SAMPLE)
    if kind == "toy":
        from sycojax.data.sources_toy import read_toy

        return Source(
            "the embedded world", lambda one, split: read_toy(world_seed, one, split), data_sets
        )
    if kind == "hub":
        from sycojax.data.sources_hub import read_hub

        return Source("the hub", read_hub, data_sets)
    directory = Path(path)
    if not directory.is_dir():
        raise SycojaxError(f"data.path={path!r} is not a directory")
    if kind == "files":
        from sycojax.data.sources_files import read_files

        return Source(path, lambda one, split: read_files(directory, one, split), data_sets)
    if kind == "array_record":
        from sycojax.data.sources_array_record import read_array_record

        return Source(path, lambda one, split: read_array_record(directory, one, split), data_sets)
    raise SycojaxError(
        f"unknown data source {kind!r} (known: toy, sample, files, hub, array_record)"
    )
