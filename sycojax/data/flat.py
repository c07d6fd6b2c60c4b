"""Records in formats without nesting: lists and objects are stored as JSON text in one cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sycojax.data.sources import DataSet
from sycojax.errors import SycojaxError


def flatten(data_set: DataSet, raw: Mapping[str, Any]) -> dict[str, str]:
    """The fields that ``data_set`` needs, each as text, nested ones as JSON."""
    nested = {
        field: json.dumps(raw[field], ensure_ascii=False)
        for field in data_set.nested_fields
        if field in raw
    }
    return {field: str(raw[field]) for field in data_set.flat_fields if field in raw} | nested


def unflatten(data_set: DataSet, flat: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Undo ``flatten``; nested fields that are no text are left as they are.

    Raises ``SycojaxError`` naming ``origin`` and the field when a nested one is not JSON.
    """
    raw = dict(flat)
    for field in data_set.nested_fields:
        if isinstance(raw.get(field), str):
            try:
                raw[field] = json.loads(raw[field])
            except json.JSONDecodeError as error:
                raise SycojaxError(
                    f"{origin}: field {field!r} must be JSON text, got {raw[field][:60]!r} ({error})"
                ) from error
    return raw
