"""Strict access to the fields of one raw record: every wrong one is named, with its file and line."""

from __future__ import annotations

import collections
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sycojax.data.questions import same_text
from sycojax.errors import SycojaxError

MOST_OPTIONS = 26  # one letter each
# An index written as text; columns with gaps hold whole floats.
_INDEX = re.compile(r"([0-9]{1,18})(?:\.0+)?")


class LeftOut(SycojaxError):
    """A row that is read as its file means it and cannot be asked; ``reason`` is what it is counted under."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class NotAnIndex(SycojaxError):
    """An answer in text that is no index, in a split whose answers are read as such."""


class Fields:
    """The fields of one record, or of a record inside it, taken out with a check.

    Every method that takes a field raises ``SycojaxError`` naming ``origin`` and the field's path when it
    is missing (absent or null), of the wrong type, or empty. ``mended`` counts what was set right by a rule of
    docs/data.md. ``indices``: a ``choice`` is an index, also as digits in text, or ``NotAnIndex`` is raised.
    """

    def __init__(
        self,
        origin: str,
        raw: Mapping[str, Any],
        path: str = "",
        mended: collections.Counter[str] | None = None,
        indices: bool = False,
    ):
        self.origin, self._raw, self._path, self._indices = origin, raw, path, indices
        self.mended = collections.Counter[str]() if mended is None else mended

    def wrong(self, field: str, problem: str) -> SycojaxError:
        """The error to raise for ``field``."""
        return SycojaxError(f"{self.origin}: field {self._path + field!r} {problem}")

    def left_out(self, field: str, problem: str, reason: str) -> LeftOut:
        """The same for a row that is left out and counted under ``reason`` where a whole file is read."""
        return LeftOut(str(self.wrong(field, problem)), reason)

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
        return Fields(self.origin, value, f"{self._path}{field}.", self.mended, self._indices)

    def text(self, field: str) -> str:
        """Text with at least one character that is not a space."""
        return self._text(field, self.take(field))

    def optional_text(self, field: str) -> str | None:
        """The same, or None where the field is missing or holds an empty text."""
        value = self._raw.get(field)
        return None if value is None or is_empty(value) else self._text(field, value)

    def texts(self, field: str, at_least: int = 1) -> tuple[str, ...]:
        """A list of ``at_least`` texts."""
        values = self._list(field)
        if len(values) < at_least:
            raise self.wrong(field, f"must hold at least {at_least} texts, got {len(values)}")
        return tuple(self._text(f"{field}[{i}]", value) for i, value in enumerate(values))

    def spellings(self, field: str) -> tuple[str, ...]:
        """A list of texts, perhaps of none; empty ones are left away and counted."""
        values = self._list(field)
        if any(map(is_empty, values)):
            self.mended["an empty spelling of the right answer is not scored"] += 1
        filled = [(i, value) for i, value in enumerate(values) if not is_empty(value)]
        return tuple(self._text(f"{field}[{i}]", value) for i, value in filled)

    def options(self, field: str) -> tuple[str, ...]:
        """The texts of 2 to 26 options, as they are stored."""
        found = self.texts(field, at_least=2)
        if len(found) > MOST_OPTIONS:
            raise self.wrong(
                field, f"holds {len(found)} options, and there are {MOST_OPTIONS} letters"
            )
        return found

    def distinct(
        self,
        field: str,
        options: Sequence[str],
        right: int | None = None,
        shown: Callable[[str], str] = str,
    ) -> tuple[tuple[str, ...], list[int]]:
        """``options`` without those that equal another one, and where each one stands now.

        Two are equal where they are equal as ``shown`` (``option_key``). Of equal ones the first one's text is kept, or that at
        ``right`` where it is among them: it is the one that was marked. Raises ``SycojaxError`` where fewer than two are left.
        """
        places: dict[str, int] = {}
        at = [places.setdefault(option_key(shown(option)), len(places)) for option in options]
        if len(places) < 2:
            raise self.wrong(field, f"holds one option only, {quoted(options[0])}, several times")
        if len(places) < len(options):
            self.mended["equal options taken as one"] += 1
        kept = [options[at.index(i)] for i in range(len(places))]
        if right is not None and options[right].strip() != kept[at[right]].strip():
            kept[at[right]] = options[right]
        return tuple(kept), at

    def index(self, field: str, size: int) -> int:
        """An index into ``size`` things; the hub stores some as digits in text, and columns with gaps hold whole floats."""
        value = self.take(field)
        found = _digits(value) if isinstance(value, str) else value
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < size:
            raise self.wrong(field, f"must be an index below {size}, got {quoted(value)}")
        return found

    def choice(self, field: str, options: Sequence[str]) -> int:
        """The index of one of ``options``: itself, also as digits in text, a letter from A on, or the option's own text.

        Raises ``SycojaxError`` where digits in text or a letter are another option's text too.
        """
        value, size = self.take(field), len(options)
        if not isinstance(value, str):
            return self.index(field, size)
        if self._indices:
            place = _digits(value)
            if place is None or place >= size:
                raise NotAnIndex(str(self.wrong(field, "is no index")))
            return place
        keys = [option_key(option) for option in options]
        found = {i for i, key in enumerate(keys) if key == option_key(value)}
        own = bool(found)  # "A" is no more "a" where both are options
        for read in (_digits, _letter):
            place = read(value)
            if place is not None and place < size:
                alike = {i for i, option in enumerate(options) if read(option) == place}
                found |= {place} if own else {place} | alike
        if not found:
            said = f"must be an index below {size}, a letter or an option, got {quoted(value)}"
            raise self.wrong(field, said)
        if len({keys[i] for i in found}) > 1:
            said = f"may be more than one option, got {quoted(value)}: name it by a letter"
            raise self.wrong(field, said)
        return min(found, key=lambda i: (options[i].strip() != value.strip(), i))

    def labels(self, field: str, size: int) -> tuple[int, ...]:
        """A list of ``size`` zeros and ones."""
        values = self._list(field)
        if len(values) != size:
            raise self.wrong(field, f"has {len(values)} labels for {size} choices")
        if any(isinstance(v, bool) or v not in (0, 1) for v in values):
            raise self.wrong(field, f"must hold zeros and ones, got {quoted(values)}")
        return tuple(int(v) for v in values)

    def optional_number(self, field: str) -> float | None:
        """A finite number, or None where the field is missing or holds an empty text."""
        value = self._raw.get(field)
        if value is None or (isinstance(value, str) and is_empty(value)):
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        try:
            number = float(value) if is_number else math.nan
        except OverflowError:  # an integer that no float holds
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(field, f"must be a number, got {quoted(value)}")
        return number

    def first_user_turn(self) -> str:
        """The text of ``prompt[0]``, a SycophancyEval chat turn."""
        turns = self._list("prompt")
        if not turns or not isinstance(turns[0], Mapping):
            raise self.wrong("prompt", "must start with a chat turn {type, content}")
        turn = Fields(self.origin, turns[0], f"{self._path}prompt[0].", self.mended)
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
        if is_empty(value):
            raise self.wrong(field, "is empty")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.wrong(
                field, f"holds half a character (a lone surrogate): {error}"
            ) from error
        return value


def is_empty(value: Any) -> bool:
    """Whether ``value`` is a text in which nothing is seen."""
    return isinstance(value, str) and all(
        c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in value
    )


def option_key(text: str) -> str:
    """A key that two spellings of one option share: ``same_text`` of every line, and the indentation of lines behind the first.

    Code of the same words does another thing on other lines or indented otherwise.
    """
    first, *lines = text.strip().splitlines() or [""]
    return "\n".join([same_text(first), *(_indented(line) for line in lines)])


def _indented(line: str) -> str:
    return line[: len(line) - len(line.lstrip())] + same_text(line) if line.strip() else ""


def _digits(text: str) -> int | None:
    """The index that digits in text name."""
    found = _INDEX.fullmatch(same_text(text))
    return int(found[1]) if found else None


def _letter(text: str) -> int | None:
    """The index that a letter names, A for 0."""
    letter = same_text(text).strip("().")
    is_one = len(letter) == 1 and letter.isascii() and letter.isalpha()
    return ord(letter.upper()) - ord("A") if is_one else None


def quoted(value: Any) -> str:
    """``repr`` of a value, short enough for an error message."""
    try:
        text = repr(value if not isinstance(value, str) else value[:80])
    except (ValueError, RecursionError):  # an integer of thousands of digits, lists in lists
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
