"""Numbers as people and models write them: signs, currencies, separators, fractions, powers, multiples, LaTeX.

There are two ways to read an answer, as in lm-eval. The strict one takes an answer line only where all of it is one number:
"12:30", "2 hours 30 minutes", "2x" and "2 or 3" give None, never a part of what is there. The flexible one takes the last
number of the text, whatever else stands in it.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

# Dashes that stand for a minus, marks that show nothing, and signs of other scripts.
_CHARACTERS = str.maketrans(
    dict.fromkeys("\u00ad\u02d7\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2796", "-")
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u2060\u2066\u2069\ufeff", "")
    | dict.fromkeys("\u00d7\u00b7\u22c5", "*") | dict.fromkeys("\u00f7\u2044\u2215", "/")
    | {"\u2236": ":", "\u066a": "%", "\u066b": ".", "\u066c": ","}
)  # fmt: skip
_SUPERSCRIPTS = re.compile(r"[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+")
_BEFORE_FRACTION = re.compile(r"(?<=\w)\s*(?=[\u00bc-\u00be\u2150-\u215e]|\\[dtc]?frac)")
_CURRENCY = r"(?:[$\u20ac\u00a3\u00a5\u20b9\u20a9]|(?<![A-Za-z])(?i:USD|EUR|GBP|INR|Rs\.?))"
_BRACED = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_REWRITTEN = (
    (re.compile(r"<<[^<>]*>{1,2}"), ""),  # calculator marks, also broken ones
    (re.compile(r">>"), " "),
    (
        re.compile(r"(?m)^ *\|(?:[^|\n]*\|){2,} *$"),
        lambda m: m[0].replace("|", " | "),
    ),  # rows of tables
    (re.compile(r"\\[dtc]?frac\s*\{\s*(-?[\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r"\1/\2"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\!|\^\s*\{?\\circ\}?|\\(?:left|right)(?![A-Za-z])"), ""),
    (re.compile(r"\\[,;: ]|~|</?[A-Za-z][\w-]*(?: [^<>\n]*)?/?>|<\|[^|<>\n]*\|>"), " "),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "*"),
    (re.compile(rf"\\boxed\s*{_BRACED}"), r" \1"),
    (re.compile(r"\\(?:text|math|mbox)(?:rm|bf|it|sf|tt)?\s*\{([^{}]*)\}"), r"\1 "),
    (re.compile(r"<\s*(-?[\d.,]+)\s*>"), r"\1"),
    (re.compile(r"(?<![\w)])(\*\*|__|\*|_)(?=\S)([^\n]{1,200}?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"[-=]>|\u2192|\\(?:rightarrow|implies)\b"), "="),
    (re.compile(rf"\b(?:neg(?:ative)?|minus)\s+(?={_CURRENCY}?[\d.])", re.IGNORECASE), "-"),
    (re.compile(r"(?<=\d)\s*x\s*(?=[$\d])"), " * "),
    (re.compile(r"(?<![A-Za-z])([kcdm]?m|in|ft|yd|mi)[23]\b"), r"\1"),  # m2
    (re.compile(r"[^\S\n]+"), " "),
)
# A sign counts only right before its number and not after a number, letter or bracket: "12-5" holds 12 and 5. With a space
# behind it, as the dash of a list item has, it counts only where a value is announced.
_SIGN = re.compile(
    r"(?:(?<![\w)\]}])(?P<sign>-)|(?<=[#=:({])(?P<spaced> ?- ))?"
    rf"(?:(?P<money>{_CURRENCY}) ?(?P<inner>-)?)?"
)
_NUMERAL = (
    r"(?<!\d)\d{1,3}(?:\.\d{3})+,\d{1,2}(?![\d,])|(?<!\d)\d{1,3}(?:\.\d{3}){2,}(?![\d.])"  # 1.000,50 1.000.000
    r"|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"
    r"|(?<!\d)\d{1,2}(?:,\d{2})+,\d{3}(?!\d)(?:\.\d+)?"  # 1,00,000
    r"|(?<!\d)\d{1,3}(?:[ _'\u2019]\d{3})+(?![\d/])(?:\.\d+)?"  # 8 000
    r"|\d+(?:\.\d+)?|(?<![A-Za-z.])\.\d+"
)
_VALUE = re.compile(
    rf"(?P<whole>\d+) (?P<above>\d+) ?/ ?(?P<below>\d+)(?![\d./])"
    rf"|(?P<numeral>{_NUMERAL})(?P<version>\.\d[\d.]*)?"
    r"(?: ?/ ?(?P<divisor>\d[\d,]*(?:\.\d+)?)(?![\d/]| ?=)"
    r"|[eE](?P<exponent>[+-]?\d+)(?!\w)"
    r"| ?[x*] ?10 ?(?:\^|\*\*) ?\{?(?P<ten>[+-]?\d+)\}?"
    r"| ?(?:\^|\*\*) ?\{?(?P<power>[+-]?\d+)\}?)?"
)
_MULTIPLES = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "lakh": 10**5, "crore": 10**7, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12,
}  # fmt: skip
_MULTIPLE = re.compile(r"(?i)[ -]*(hundred|thousand|million|billion|trillion|lakh|crore)s?\b")
_LETTER = re.compile(
    r"(?i) ?([kmbt])n?(?![\w/^&-])(?= ?(?P<formula>\$)?(?P<currency>[\u20ac\u00a3]|dollars|euros|pounds)?)"
)
_MOST_DIGITS, _LARGEST_POWER = 400, 100

# A figure in a word or exponent (m^2, H2O, v1.2, 1st) is no number.
_IN_WORD = re.compile(r"(?:[\^_]\{?-?|(?<![\\A-Za-z])[A-Za-z]+)\Z")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
# What makes a number no value: a root, a logarithm, a bound, an unread fraction, a variable before it ...
_OPEN = re.compile(
    rf"(?:(?:[<>\u2260\u2264\u2265\u00b1\u221a]=?|\\(?:pm|leq?|geq?|neq?)\b)[ ({{]*|\||-(?:(?=-)|[({{|+]+)|(?<![A-Za-z\\])[a-z] ?[-+*/] ?"
    r"|(?<=[A-Za-z])\(+|\\?\b(?:sqrt|log|ln|sin|cos|tan|exp|abs|root of|half of|twice)(?:_\{?\w+\}?|\[\w+\])?[ ({]*"
    rf"|frac ?\{{(?:[^{{}}\n]|\{{[^{{}}]*\}})*(?:\}} ?\{{[^{{}}]*)?)-?(?:{_CURRENCY} ?)?-?\Z"
)
# ... or a variable, a base, an irrational or an operation behind it. One or two letters at a number are a variable unless a unit.
_GOES_ON = re.compile(
    r"_\{?\w|[A-Za-z]+\{?\d|\) ?(?:\^|\*\*)|(?!(?:[mghsldcptLCFK]|(?i:[kcdmn][mgl]|yr|wk|mo|yo|[wv]|[kmgt]?b|hr|lb|oz|ft|in|yd|mi|kw|hz|[ap]m|ms|qt|pt|cc|ha))\b)"
    r"[A-Za-z]{1,2}\b| ?(?:pi\b|sqrt|[\u221a\u221e\u0370-\u03bb\u03bd-\u03ff]|\\(?!text|math|mbox|q?quad|cents|space|checkmark|square|right|degree|circ|approx|end|implies|Right)[A-Za-z]|[xyz]{1,3}\b(?!-)|/ ?[nxyz]\b)"
    r"| ?[*+^] ?[A-Za-z\\({]| ?- ?(?![aI]\b)[A-Za-z]\b| ?(?:squared|cubed|factorial|plus|minus|mod|grand|mil|mln|score|thirds|(?:four|fif|six|eigh|ten)ths)\b"
)
# The number before which this stands is the second half of an expression, a range, a time.
_JOINED = re.compile(
    r"(?:\d(?:[:,]| : | )|[\d)%] ?(?:[-+*/\u00b1&^;]|\.\.+|\\div|\b(?:or|plus|times|minus)\b) ?"
    rf"|[\w)] ?\+ ){_CURRENCY}?-?\Z"
)
_WORDS = (
    r"(?:half|third|quarter|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b"
)
_ENDS = re.compile(
    rf"(?i) ?!|\(| ?[-+/]\W*\Z| (?:[a-z]+ )?{_WORDS}|[^\n]*\b(?:and|or|to) (?:an? )?{_WORDS}"
)
_ASIDE = re.compile(r"(?<![-+*/^])(?<![-+*/^] )\((?! ?(?:or|and|to)\b| ?[-+\u00b1])[^()]*\)")
# What the value is of or for, with numbers of its own: "$104 after 3 years".
_CLAUSE = re.compile(r"(?i) (?:in|for|after|per|every|over|within|when|until|to (?=[a-z])).*")
_COMES_FROM = re.compile(r"[-+*/(\\]|^\W*[A-Za-z]\W*$")
_NEXT_SENTENCE = re.compile(r"\.\s+\W*(?=[A-Z])(?!.*:\W*\d)|[,;]?\s+(?:because|since)\b")

_QUOTED = re.compile(r"(?m)^\s*(?:> ?)+")
_BOXED = re.compile(rf"\\boxed\s*(?:{_BRACED}|(?:\{{|(?=[-$.\d]))([^\n]*))")
_BOTH = re.compile(r"[^\w\n.]*|[^\n.]*\b(?:and|or)\b[^\w\n]*")  # between two boxes
_HEADING = re.compile(
    r"(?i)\W*(?:step|part|section|case|problem|question|example|method|option|solution|scenario|approach)\b"
)
_NUMBERED = re.compile(r"(\d{1,3})[.)]\s+\W*[A-Za-z]")
_ANNOUNCED = re.compile(r"(?:[:=}]|\bis\b)\W*$|^\W*(?:[a-z]|us)?\W*$", re.IGNORECASE)
_ANSWER = r"(?:the\s+)?(?:final\s+)?(?:answer|result)\b[^\w\n]{0,9}(?:is\b)?"
_ANSWER_BELOW = re.compile(rf"[^\w\n]{{0,9}}{_ANSWER}[^\w\n]{{0,9}}\n\s*", re.IGNORECASE)
_BARE = re.compile(
    rf"(?i)\W*(?:{_ANSWER}|us(?=\$)|{_CURRENCY})?\W*\d[\d\W]*(?:[^\W\d_]+\W*){{0,2}}"
)


class _Found(NamedTuple):
    value: Decimal | None  # None: not to be read, such as 1/0
    start: int  # of its sign or currency
    digits: int
    end: int


def numbers(text: str) -> list[Decimal]:
    """All numbers of ``text`` in order: "-$1,234.50" is -1234.50, "18." and "18.0" equal 18, "3 1/2" is 3.5."""
    return [found.value for found in _found(_plain(text)) if found.value is not None]


def strict_number(text: str) -> Decimal | None:
    """The number that the answer line says: after the first ``####`` that a value follows, else in the last ``\\boxed{...}``.

    Where lines or boxes differ, the first ``####`` counts if it says no more than a value ("72 clips"); of a list
    ("Monday: 5", "Tuesday: 6") only a box tells the answer. None where there is no number, or none that can be read.
    """
    boxed = _last_box(text)
    lines = [_answer_line(tail) for tail in text.split("####")[1:]]
    said = []
    for line in lines:
        step = _NUMBERED.match(line) if boxed or len(lines) > 1 else None
        if not _HEADING.match(line) and not (step and int(step[1]) <= len(lines)) and _found(line):
            said.append(_first_sentence(line))
    told = [line for line in said if _announces(line)] or ([] if boxed else said)
    values = [_one(line) for line in (*told, *([boxed] if boxed else []))]
    if told and (_BARE.fullmatch(told[0]) or len(set(values)) == 1):
        return values[0]
    return values[-1] if boxed else None


def flexible_number(text: str) -> Decimal | None:
    """The last number of the text; None where there is none, or where it cannot be read."""
    plain = _plain(_QUOTED.sub("", text))
    found = _found(plain)
    if not found or _JOINED.search(plain[: found[-1].digits]):
        return None
    return found[-1].value


def gold_number(answer: str) -> Decimal | None:
    """The number behind the last ``####`` of a worked solution; None where more or something else stands there."""
    _, mark, tail = answer.rpartition("####")
    line = _plain(tail)
    alone = mark and _announces(line) and _first_sentence(line) == line
    return _one(line) if alone else None


def plain_digits(value: Decimal) -> str:
    """``value`` without an exponent."""
    return f"{value:f}"


def _plain(text: str) -> str:
    """``text`` without calculator marks and emphasis, LaTeX and Unicode written as ASCII."""
    text = _SUPERSCRIPTS.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), text)
    text = _BEFORE_FRACTION.sub(" ", text)
    text = text.replace("\u00ba", "\u00b0")  # an ordinal mark that stands for degrees
    text = unicodedata.normalize("NFKC", text).translate(_CHARACTERS)
    for pattern, by in _REWRITTEN:
        text = pattern.sub(by, text)
    return text.strip()


def _found(text: str) -> list[_Found]:
    found: list[_Found] = []
    for match in _VALUE.finditer(text):
        at, end = match.span()
        first = max(found[-1].end if found else 0, at - 6)
        sign = next(m for i in range(first, at + 1) if (m := _SIGN.fullmatch(text, i, at)))
        near = text[max(0, at - 100) : at]
        if _IN_WORD.search(near) and not sign["money"]:
            continue
        value = None if _ORDINAL.match(text, end) else _value(match)
        if near.endswith("/") and match["divisor"]:
            value = None  # 1/2/2020
        multiple, end = _multiple(text, end, bool(sign["money"]))
        if value is None or multiple is None or _OPEN.search(near) or _GOES_ON.match(text, end):
            value = None
        else:
            negative = sign["sign"] or sign["spaced"] or sign["inner"]
            value = value * multiple if multiple > 1 else value  # a product is rounded
            value = value.copy_negate() if negative else value
        found.append(_Found(value, sign.start(), at, end))
    return found


def _multiple(text: str, end: int, money: bool) -> tuple[int | None, int]:
    """What the words behind a number multiply it by, and where they end: "5 hundred thousand", "$1.5M"; None: unclear."""
    multiple = 1
    while word := _MULTIPLE.match(text, end):
        multiple = min(multiple * _MULTIPLES[word[1].lower()], 10**_LARGEST_POWER)
        end = word.end()
    letter = _LETTER.match(text, end)
    if multiple == 10**_LARGEST_POWER:
        return None, end
    if not letter:
        return multiple, end
    money = (money and not letter["formula"]) or bool(letter["currency"])
    closed = letter[1].isupper() or letter[0][0] != " "
    if letter[0] in ("k", "K", "bn", " bn") or (money and closed):
        return multiple * _MULTIPLES[letter[1].lower()], letter.end()
    unit = letter[0] in ("m", "t", " m", " t", " T") and not money  # metres, tons
    return (multiple if unit else None), end


def _value(match: re.Match[str]) -> Decimal | None:
    if len(match[0]) > _MOST_DIGITS or match["version"]:
        return None
    if match["whole"]:
        below = Decimal(match["below"])
        return Decimal(match["whole"]) + Decimal(match["above"]) / below if below else None
    value = _numeral(match["numeral"])
    if match["divisor"]:
        divisor = _numeral(match["divisor"].rstrip(","))
        return value / divisor if divisor else None
    written = match["exponent"] or match["ten"] or match["power"]
    if not written:
        return value
    exponent = int(written)
    if abs(exponent) > _LARGEST_POWER:
        return None
    if not match["power"]:
        return value.scaleb(exponent)
    plain = value == int(value) < 10**6 and exponent >= 0 and (value or exponent)
    return Decimal(int(value) ** exponent) if plain else None


def _numeral(text: str) -> Decimal:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}", text):
        text = text.replace(".", "").replace(",", ".")
    return Decimal(re.sub(r"[, _'\u2019]", "", text))


def _answer_line(tail: str) -> str:
    """What stands behind a ``####``; below a "Final answer" the line that says no more than a value."""
    tail = tail.lstrip("#").lstrip()
    below = _ANSWER_BELOW.match(tail)
    if below:
        line = _plain(tail[below.end() :].partition("\n")[0])
        if _BARE.fullmatch(line):
            return line
    return _plain(tail.partition("\n")[0])


def _first_sentence(line: str) -> str:
    """``line`` up to where, after a number, another sentence or a reason begins."""
    cut = _NEXT_SENTENCE.search(line, _found(line)[0].end) if _announces(line) else None
    return line[: cut.start()] if cut else line


def _last_box(text: str) -> str | None:
    """What the last ``\\boxed{...}`` holds; of boxes side by side or joined ("5 dollars and 30 cents") all of them."""
    boxes = list(_BOXED.finditer(text))[-2:]
    inside = [_plain(box[1] if box[2] is None else box[2]) for box in boxes]
    if len(boxes) == 2 and _BOTH.fullmatch(text, boxes[0].end(), boxes[1].start()):
        return " and ".join(inside)
    return inside[-1] if boxes else None


def _announces(line: str) -> bool:
    """Whether a line that follows ``####`` gives a value, and is no heading such as "Step 1"."""
    found = _found(line)
    before = line[: found[0].start] if found else ""
    return bool(found) and not _HEADING.match(line) and bool(_ANNOUNCED.search(before))


def _one(line: str) -> Decimal | None:
    """The one number of a line. Of an equation, a side that is a number: the result on the right before what stands left of it.

    Where several sides are numbers, they must be equal to as many places as the last one has ("2/3 = 0.67").
    """
    texts = re.split(r"(?<![<>!])=|\u2248|\\approx", line)
    sides = [_side(side) for side in texts]
    value = sides[-1]
    if value is None and _COMES_FROM.search(texts[-1]):
        value = sides[0]
    if value is None or any(other is not None and not _agree(other, value) for other in sides):
        return None
    return value


def _agree(exact: Decimal, written: Decimal) -> bool:
    if exact == written:
        return True
    return 2 * abs(exact - written) <= Decimal(1).scaleb(min(0, int(written.as_tuple().exponent)))


def _side(text: str) -> Decimal | None:
    """The number that ``text`` says with its unit and an aside in brackets; None where any further figure stands."""
    text = "#" + text
    found = _found(text)
    if not found:
        return None
    before, rest = text[: found[0].digits], text[found[0].end :]
    if found[0].start < found[0].digits and before[-1:] not in "-. ":
        rest = rest.lstrip("!")  # an amount of money has no factorial
    further = _found(_CLAUSE.sub("", _ASIDE.sub("", rest)))
    return None if further or _ENDS.match(rest) or _JOINED.search(before) else found[0].value
