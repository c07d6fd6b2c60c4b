"""Strict access to the fields of one raw record: every wrong one is named, with its file and line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sycojax.errors import SycojaxError


class Fields:
    """The fields of one record, or of a record inside it, taken out with a check.

    Every method that takes a field raises ``SycojaxError`` naming ``origin`` and the field's path when it
    is missing (absent or null), of the wrong type, or empty.
    """

    def __init__(self, origin: str, raw: Mapping[str, Any], path: str = ""):
        self.origin, self._raw, self._path = origin, raw, path

    def wrong(self, field: str, problem: str) -> SycojaxError:
        """The error to raise for ``field``."""
        return SycojaxError(f"{self.origin}: field {self._path + field!r} {problem}")

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self._raw.get(field) is not None

    def take(self, field: str) -> Any:
        """The value as it is."""
        if not self.has(field):
            raise self.wrong(field, "is missing")
        return self._raw[field]

    def inside(self, field: str) -> Fields:
        """A record inside this one."""
        value = self.take(field)
        if not isinstance(value, Mapping):
            raise self.wrong(field, f"must be an object, got {quoted(value)}")
        return Fields(self.origin, value, f"{self._path}{field}.")

    def text(self, field: str) -> str:
        """Text with at least one character that is not a space."""
        return self._text(field, self.take(field))

    def optional_text(self, field: str) -> str | None:
        """The same, or None where the field is missing."""
        return self.text(field) if self.has(field) else None

    def texts(self, field: str, at_least: int = 1) -> tuple[str, ...]:
        """A list of ``at_least`` texts."""
        values = self._list(field)
        if len(values) < at_least:
            raise self.wrong(field, f"must hold at least {at_least} texts, got {len(values)}")
        return tuple(self._text(f"{field}[{i}]", value) for i, value in enumerate(values))

    def index(self, field: str, size: int) -> int:
        """An index into ``size`` things; the hub stores some of them as digits in text."""
        value = self.take(field)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < size:
            raise self.wrong(field, f"must be an index below {size}, got {quoted(value)}")
        return value

    def labels(self, field: str, size: int) -> tuple[int, ...]:
        """A list of ``size`` zeros and ones."""
        values = self._list(field)
        if len(values) != size:
            raise self.wrong(field, f"has {len(values)} labels for {size} choices")
        if any(isinstance(v, bool) or v not in (0, 1) for v in values):
            raise self.wrong(field, f"must hold zeros and ones, got {quoted(values)}")
        return tuple(int(v) for v in values)

    def optional_number(self, field: str) -> float | None:
        """A finite number, or None where the field is missing."""
        value = self._raw.get(field)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self.wrong(field, f"must be a number, got {quoted(value)}")
        return float(value)

    def first_user_turn(self) -> str:
        """The text of ``prompt[0]``, a SycophancyEval chat turn."""
        turns = self._list("prompt")
        if not turns or not isinstance(turns[0], Mapping):
            raise self.wrong("prompt", "must start with a chat turn {type, content}")
        turn = Fields(self.origin, turns[0], f"{self._path}prompt[0].")
        if turn.take("type") != "human":
            raise turn.wrong("type", f"must be 'human', got {quoted(turn.take('type'))}")
        return turn.text("content")

    def _list(self, field: str) -> list[Any]:
        value = self.take(field)
        if not isinstance(value, list | tuple):
            raise self.wrong(field, f"must be a list, got {quoted(value)}")
        return list(value)

    def _text(self, field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong(field, f"must be text, got {quoted(value)}")
        if not value.strip():
            raise self.wrong(field, "is empty")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.wrong(
                field, f"holds half a character (a lone surrogate): {error}"
            ) from error
        return value


def quoted(value: Any) -> str:
    """``repr`` of a value, short enough for an error message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
