"""JSON that says one thing only: what Python's parser would take with a guess, or choke on, is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

_MOST_DIGITS = 1000  # Python refuses to read some thousands


def parse_json(text: str) -> Any:
    """The value of ``text``.

    Raises ``ValueError`` with one line on what is no JSON, on a key that an object holds twice, on Infinity, on integers of
    more than a thousand digits and on nesting that is too deep to be read. NaN is read as null (``without_gaps``).
    """
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def without_gaps(value: Any) -> Any:
    """``value`` with None for NaN, which tables write into gaps: what ``parse_json`` would have given."""
    if isinstance(value, dict):
        return {key: without_gaps(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_gaps(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _no_number(name: str) -> None:
    if name == "NaN":
        return
    raise ValueError(f"{name} is no number: leave the field out or write null")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)
