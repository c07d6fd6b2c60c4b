"""What a source must know of a data set, and how one of its records becomes a row, or a line of a format without nesting."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from sycojax.data.fields import Fields, NotAnIndex, quoted
from sycojax.data.json_text import parse_json
from sycojax.errors import SycojaxError

Split = Literal["train", "test", "probe"]
_Parsed = TypeVar("_Parsed")


class DataSet(Protocol):
    """What a source must know of the rows it reads; every benchmark and probe of ``sycojax.evals`` is one."""

    @property
    def name(self) -> str: ...
    @property
    def splits(self) -> tuple[Split, ...]: ...
    @property
    def flat_fields(self) -> tuple[str, ...]: ...
    @property
    def nested_fields(self) -> tuple[str, ...]: ...
    @property
    def hub(self) -> Any: ...

    def parse(self, record: Fields) -> Any: ...
    def rows_file(self, split: Split) -> Path | None: ...


def parse_record(
    data_set: DataSet,
    raw: Mapping[str, Any],
    origin: str,
    mended: collections.Counter[str] | None = None,
    indices: bool = False,
) -> Any:
    """Check one record of ``data_set`` and make a row of it.

    Fields that are not used are ignored; ``mended`` counts what was set right; ``indices``: see ``by_column``. Raises
    ``SycojaxError`` naming ``origin`` and the field when one is missing, empty, of the wrong type, or contradicts another.
    """
    if not isinstance(raw, Mapping):
        raise SycojaxError(f"{origin}: a record is an object with named fields, got {quoted(raw)}")
    return data_set.parse(Fields(origin, raw, mended=mended, indices=indices))


def by_column(parse: Callable[[bool], _Parsed]) -> _Parsed:
    """What ``parse`` makes of all records of a split, with digits in text as indices where all answers are such.

    CSV has no numbers: of one row alone, "3" among the options 4, 3, 2 and 1 has two meanings, of a column it has one.
    """
    try:
        return parse(True)
    except NotAnIndex:
        return parse(False)


def flatten(data_set: DataSet, raw: Mapping[str, Any]) -> dict[str, str]:
    """The fields that ``data_set`` needs, each as text, null as none, nested ones as JSON: undone by ``unflatten``."""
    nested = {
        field: json.dumps(raw[field], ensure_ascii=False)
        for field in data_set.nested_fields
        if field in raw
    }
    flat = {field: raw[field] for field in data_set.flat_fields if field in raw}
    return {field: "" if value is None else str(value) for field, value in flat.items()} | nested


def unflatten(data_set: DataSet, flat: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """A record of a format without nesting, whose ``nested_fields`` are JSON text in one cell; others stay as they are.

    Raises ``SycojaxError`` naming ``origin`` and the field when a nested one is not JSON.
    """
    raw = dict(flat)
    for field in data_set.nested_fields:
        if isinstance(raw.get(field), str):
            try:
                raw[field] = parse_json(raw[field])
            except ValueError as error:
                raise SycojaxError(
                    f"{origin}: field {field!r} must be JSON text, got {raw[field][:60]!r} ({error})"
                ) from error
    return raw
