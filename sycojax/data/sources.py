"""Where rows come from: the embedded world, local files, the hub, or array_record; one interface for all of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from sycojax.data.schemas import PARSERS, Row, parse_row
from sycojax.errors import SycojaxError

Kind = Literal["toy", "files", "hub", "array_record"]
Split = Literal["train", "test", "probe"]
# A reader gives (origin, raw record) pairs of one data set and split, always in the same order.
Reader = Callable[[str, Split], Iterable[tuple[str, Mapping[str, Any]]]]

PROBES = ("answer", "are_you_sure", "feedback")


class Source:
    """Validated rows of the seven data sets. Reads every split once."""

    def __init__(self, place: str, read: Reader):
        self.place = place  # for error messages
        self._read = read
        self._rows: dict[tuple[str, str], list[Row]] = {}

    def rows(self, name: str, split: Split) -> list[Row]:
        """All rows of one split, in a fixed order: "train" and "test" of tasks, "probe" of probes.

        Raises ``SycojaxError`` when the split is missing or empty, or when a record is bad.
        """
        if name not in PARSERS or (split == "probe") != (name in PROBES):
            raise SycojaxError(f"there is no data set {name!r} with a split {split!r}")
        if (name, split) not in self._rows:
            try:
                rows = [parse_row(name, raw, origin) for origin, raw in self._read(name, split)]
            except SycojaxError as error:
                raise SycojaxError(f"data in {self.place}: {error}") from error
            if not rows:
                raise SycojaxError(f"data in {self.place}: {name} {split} is empty")
            self._rows[name, split] = rows
        return list(self._rows[name, split])

    def raw(self, name: str, split: Split) -> list[Mapping[str, Any]]:
        """The records as the source gives them, in the hub's schema, after all of them were validated."""
        self.rows(name, split)
        return [raw for _, raw in self._read(name, split)]

    def fingerprint(self, name: str, split: Split) -> str:
        """SHA-256 (hex) of the rows' contents in order; where they are stored does not matter."""
        digest = hashlib.sha256()
        for row in self.rows(name, split):
            content = dataclasses.asdict(row)
            del content["origin"]
            digest.update(json.dumps(content, sort_keys=True).encode() + b"\n")
        return digest.hexdigest()


def open_source(kind: Kind, path: str = "", world_seed: int = 0) -> Source:
    """The rows of the directory ``path`` (``files``, ``array_record``), of the hub, or of an embedded world (``toy``).

    ``world_seed`` says which world: 0 is that of the shipped base. Nothing is read yet. Raises ``SycojaxError`` when
    the directory does not exist.
    """
    if kind == "toy":
        from sycojax.data.sources_toy import read_toy

        return Source("the embedded world", lambda name, split: read_toy(world_seed, name, split))
    if kind == "hub":
        from sycojax.data.sources_hub import read_hub

        return Source("the hub", read_hub)
    directory = Path(path)
    if not directory.is_dir():
        raise SycojaxError(f"data.path={path!r} is not a directory")
    if kind == "files":
        from sycojax.data.sources_files import read_files

        return Source(path, lambda name, split: read_files(directory, name, split))
    if kind == "array_record":
        from sycojax.data.sources_array_record import read_array_record

        return Source(path, lambda name, split: read_array_record(directory, name, split))
    raise SycojaxError(f"unknown data source {kind!r} (known: toy, files, hub, array_record)")
