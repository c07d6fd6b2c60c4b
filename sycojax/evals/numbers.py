"""Numbers as people and models write them: signs, currencies, separators, fractions, powers, LaTeX.

What cannot be read as one number ("12:30", "1,2,3", "12*6", "2 or 3") is unread, None, and never half of what is there.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

_MINUS = "-\u2212\u2013"
_SUPERSCRIPTS = re.compile(r"[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+")
_FRACTIONS = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
_LATEX = (
    (re.compile(r"\\[dtc]?frac\s*\{\s*(-?)([\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}"), r"\1 \2/\3"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\!|\^\s*\{?\\circ\}?"), ""),
    (re.compile(r"\\[,;: ]|~"), " "),
    (re.compile(r"\\([$%])"), r"\1"),
)
# A sign counts only right before its number and not after a number, letter or bracket: "12-5" holds 12 and 5. With a space
# behind it, as the dash of a list item has, it counts only where a value is announced.
_SIGN = re.compile(
    rf"(?:(?<![\w)\]}}])(?P<sign>[{_MINUS}])|(?<=[#=:({{])(?P<spaced>\s*[{_MINUS}]\s+))?"
    rf"(?:[$\u20ac\u00a3\u00a5\u20b9\u20a9]\s?(?P<inner>[{_MINUS}])?)?"
)
_NUMERAL = (
    r"(?<!\d)\d{1,3}(?:\.\d{3})+,\d{1,2}(?![\d,])|(?<!\d)\d{1,3}(?:\.\d{3}){2,}(?![\d.])"  # 1.000,50 1.000.000
    r"|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"
    r"|(?<!\d)\d{1,2}(?:,\d{2})+,\d{3}(?!\d)(?:\.\d+)?"  # 1,00,000
    r"|(?<!\d)\d{1,3}(?:[ _'\u2019]\d{3})+(?![\d/])(?:\.\d+)?"  # 8 000
    r"|\d+(?:\.\d+)?|\.\d+"
)
_VALUE = re.compile(
    rf"(?P<whole>\d+)\s+(?P<above>\d+)\s?/\s?(?P<below>\d+)(?![\d./])"
    rf"|(?P<numeral>{_NUMERAL})"
    r"(?:\s?/\s?(?P<divisor>\d[\d,]*(?:\.\d+)?)(?![\d/]|\s*=)"
    r"|[eE](?P<exponent>[+-]?\d+)(?!\w)"
    r"|\s*(?:\\times|\\cdot|[x\u00d7*\u00b7\u22c5])\s*10\s*(?:\^|\*\*)\s*\{?(?P<ten>[+\-\u2212]?\d+)\}?"
    r"|\s*(?:\^|\*\*)\s*\{?(?P<power>[+\-\u2212]?\d+)\}?)?"
)
_MULTIPLES = {"k": 10**3, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_MULTIPLE = re.compile(r"(?:(?P<k>[kK])|\s*(?P<word>hundred|thousand|million|billion))\b")
_MOST_DIGITS, _LARGEST_POWER = 400, 100

_CALCULATOR = re.compile(r"<<[^<>]*>>")
_BOXED = re.compile(r"\\boxed\s*(?:\{|(?=[-$.\d]))")
# What goes on as an expression, a list, a time or a multiple of an irrational number is not the number it begins with.
_GOES_ON = re.compile(
    rf"\s*(?:(?:[{_MINUS}+*/^\u00d7x\u00f7]|\\times|\\cdot|\\div|,|\bto\b|\bor\b|\band\b)\s*[^\w\s.(]*\s*\(?[.\d]|[.:'\"]\d|[/^]|"
    r"\\?pi\b|\u03c0|\\?sqrt|\u221a)"
)
_NO_VALUE_BEFORE = re.compile(
    r"(?:[<>\u2264\u2265\u00b1\u221a]|\\(?:sqrt|pm|leq?|geq?)\b\{?|[\^_]\{?)\s*$"
)
_HEADING = re.compile(
    r"\W*(?:step|part|section|case|problem|question|example|method|option|solution|scenario|approach)\b",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"(?:[:=}]|\bis\b)\W*$|^\W*$|^\W*(?:[a-z]|usd?|eur|gbp|inr|rs)?\W*$", re.IGNORECASE
)


class _Found(NamedTuple):
    value: Decimal | None  # None: not to be read, such as 1/0
    start: int
    end: int


def numbers(text: str) -> list[Decimal]:
    """All numbers of ``text`` in order: "-$1,234.50" is -1234.50, "18." and "18.0" equal 18, "3 1/2" is 3.5."""
    return [found.value for found in _found(_plain(text)) if found.value is not None]


def strict_number(text: str) -> Decimal | None:
    """The number that the answer line says: after the first ``####`` that a value follows, else in the last ``\\boxed{...}``.

    None where it says none, or none that can be read.
    """
    marks = [tail.lstrip("#").lstrip() for tail in text.split("####")[1:]]
    lines = [_plain(tail.partition("\n")[0]) for tail in marks]
    lines = [line for line in lines if line]
    for index, line in enumerate(lines):
        numbered = re.match(r"\d+[.)]\s+[A-Za-z]", line) and index + 1 < len(lines)
        if _announces(line) and not numbered:
            return _one(line)
    boxes = list(_BOXED.finditer(text))
    if boxes:
        return _one(_plain(_braced(text[boxes[-1].end() :])))
    said = [line for line in lines if not _HEADING.match(line)]
    return _one(said[-1]) if said else None


def flexible_number(text: str) -> Decimal | None:
    """The last number of the text; None where there is none, or where it cannot be read."""
    plain = _plain(text)
    found = _found(plain)
    if not found:
        return None
    last = found[-1]
    before = found[-2] if len(found) > 1 else None
    clock = before and re.fullmatch(r"[:]|,", plain[before.end : last.start])
    return None if clock else last.value


def gold_number(answer: str) -> Decimal | None:
    """The number behind the last ``####`` of a worked solution; None where more or something else stands there."""
    _, mark, tail = answer.rpartition("####")
    line = _plain(tail.strip())
    if not mark or not _announces(line):
        return None
    if "=" not in line:  # what follows may be a unit, and an aside in brackets
        first = _found(line)[0]
        if any(c.isdigit() for c in re.sub(r"\([^()]*\)|\^\{?\d+", "", line[first.end :])):
            return None
    return _one(line)


def plain_digits(value: Decimal) -> str:
    """``value`` without an exponent."""
    return f"{value:f}"


def _plain(text: str) -> str:
    """``text`` without calculator marks, LaTeX and Unicode written as ASCII."""
    text = _CALCULATOR.sub("", text)
    text = _SUPERSCRIPTS.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), text)
    text = _FRACTIONS.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]), text)
    text = unicodedata.normalize("NFKC", text).replace("\u2044", "/")
    for pattern, by in _LATEX:
        text = pattern.sub(by, text)
    return text.strip()


def _found(text: str) -> list[_Found]:
    found: list[_Found] = []
    for match in _VALUE.finditer(text):
        before = found[-1].end if found else 0
        sign = _sign_before(text, before, match.start())
        value, end = _value(match), match.end()
        near = text[max(0, match.start() - 2) : match.start()]
        if near.rstrip("{").endswith(("^", "_")):
            continue  # cm^2
        if near.endswith("/") and match["divisor"]:
            value = None  # 1/2/2020
        multiple = _MULTIPLE.match(text, end)
        if multiple and value is not None:
            value *= _MULTIPLES[(multiple["word"] or "k").lower()]
            end = multiple.end()
        if value is not None and sign[0]:
            value = value.copy_negate()
        found.append(_Found(value, sign[1], end))
    return found


def _sign_before(text: str, start: int, end: int) -> tuple[bool, int]:
    """Whether the number at ``end`` is negative, and where its sign or currency begins."""
    for at in range(max(start, end - 6), end):
        match = _SIGN.fullmatch(text, at, end)
        if match:
            return bool(match["sign"] or match["spaced"] or match["inner"]), at
    return False, end


def _value(match: re.Match[str]) -> Decimal | None:
    if len(match[0]) > _MOST_DIGITS:
        return None
    if match["whole"]:
        below = Decimal(match["below"])
        return Decimal(match["whole"]) + Decimal(match["above"]) / below if below else None
    value = _numeral(match["numeral"])
    if match["divisor"]:
        divisor = _numeral(match["divisor"].rstrip(","))
        return value / divisor if divisor else None
    for kind, base in (("exponent", None), ("ten", None), ("power", value)):
        if match[kind]:
            exponent = int(match[kind].replace("\u2212", "-"))
            if abs(exponent) > _LARGEST_POWER or (base == 0 and exponent <= 0):
                return None
            if base is None:
                return value.scaleb(exponent)
            return (
                Decimal(int(base) ** exponent)
                if base == int(base) < 10**6 and exponent >= 0
                else None
            )
    return value


def _numeral(text: str) -> Decimal:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}", text):
        text = text.replace(".", "").replace(",", ".")
    return Decimal(re.sub(r"[, _'\u2019]", "", text))


def _announces(line: str) -> bool:
    """Whether a line that follows ``####`` gives a value, and is no heading such as "Step 1"."""
    found = _found(line)
    before = line[: found[0].start] if found else ""
    return bool(found) and not _HEADING.match(line) and bool(_ANNOUNCED.search(before))


def _one(line: str) -> Decimal | None:
    """The one number of a line: of an equation the side that is a number, what it comes to before what it comes from."""
    sides = re.split(r"[=\u2248]", line)
    for side in (sides[-1], sides[0]):
        found = _found("=" + side)
        if not found:
            continue
        first, text = found[0], "=" + side
        goes_on = _GOES_ON.match(text, first.end) or _NO_VALUE_BEFORE.search(text[: first.start])
        goes_on = goes_on or "frac" in text
        if not goes_on and first.value is not None:
            return first.value
        if len(sides) == 1:
            return None
    return None


def _braced(text: str) -> str:
    """``text`` up to the brace that closes an already opened one, or its line where none was opened."""
    depth = 1
    for index, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[:index]
    return text.partition("\n")[0]
