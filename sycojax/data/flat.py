"""Records in formats without nesting: lists and objects are kept as JSON text in one cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sycojax.errors import SycojaxError

NESTED_FIELDS: Mapping[str, tuple[str, ...]] = {
    "gsm8k": (),
    "mmlu": ("choices",),
    "hellaswag": ("endings",),
    "truthfulqa": ("mc1_targets", "mc2_targets"),
    "answer": ("prompt", "base", "metadata"),
    "are_you_sure": ("prompt", "base", "metadata"),
    "feedback": ("prompt", "base", "metadata"),
}
FLAT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "gsm8k": ("question", "answer"),
    "mmlu": ("question", "subject", "answer"),
    "hellaswag": ("activity_label", "ctx", "label"),
    "truthfulqa": ("question",),
    "answer": (),
    "are_you_sure": (),
    "feedback": (),
}


def flatten(name: str, raw: Mapping[str, Any]) -> dict[str, str]:
    """The fields that data set ``name`` needs, each as text, nested ones as JSON."""
    nested = {
        field: json.dumps(raw[field], ensure_ascii=False)
        for field in NESTED_FIELDS[name]
        if field in raw
    }
    return {field: str(raw[field]) for field in FLAT_FIELDS[name] if field in raw} | nested


def unflatten(name: str, flat: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Undo ``flatten``; nested fields that are no text are left as they are.

    Raises ``SycojaxError`` naming ``origin`` and the field when a nested one is not JSON.
    """
    raw = dict(flat)
    for field in NESTED_FIELDS[name]:
        if isinstance(raw.get(field), str):
            try:
                raw[field] = json.loads(raw[field])
            except json.JSONDecodeError as error:
                raise SycojaxError(
                    f"{origin}: field {field!r} must be JSON text, got {raw[field][:60]!r} ({error})"
                ) from error
    return raw
