"""When two texts ask the same question: a key that harmless differences of spelling share, and nothing else."""

from __future__ import annotations

import functools
import unicodedata

# Invisible marks that no reader sees: zero-width space, word joiner, byte order mark, soft hyphen.
_INVISIBLE: dict[int, None] = dict.fromkeys((0x200B, 0x2060, 0xFEFF, 0xAD))
_ALIKE: dict[int, str] = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b\u2032"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033"), '"'),
    **dict.fromkeys((0x2044, 0x2215), "/"),
    0x2212: "-",
}
# What Unicode calls punctuation and formulas, code and units use as signs.
_OPERATORS = frozenset("/*#%&@\\\u2030")
_DOTS = frozenset("\u00b7\u2022")
_CLOSERS = frozenset(")]}\"'.,;:?!")


def plain_words(text: str) -> str:
    """The words of a text: NFKC, casefold, all punctuation to space, spaces squeezed.

    Texts of nothing but punctuation keep it, so that they do not all become one.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = "".join(" " if _category(c) == "P" else c for c in folded)
    return " ".join(spaced.split()) or folded.strip()


@functools.lru_cache(maxsize=1 << 16)
def question_key(text: str) -> str:
    """What two spellings of one question share, and what no two questions share.

    Unicode's spellings of a character, case, runs of spaces and the punctuation of prose do not count: quotation marks,
    sentence marks, hyphens and brackets between words. What tells questions apart stays: digits, symbols, raised and
    lowered figures, and punctuation that works as a sign, such as the minus of ``2-3`` and ``-3``, the point of ``1.5``, the
    factorial of ``5!``, the brackets of ``(2+3)*4``. Texts of nothing but punctuation keep it.
    """
    folded = _spelled(text, fold=True)
    marks = [i for i, c in enumerate(folded) if _category(c) == "P"]
    if not marks:
        return " ".join(folded.split())
    line = _Line(folded, marks)
    told = "".join(
        c if _category(c) != "P" or line.tells(i, c) else " " for i, c in enumerate(folded)
    )
    return " ".join(told.split()) or folded.strip()


def same_text(text: str) -> str:
    """What two spellings of one answer or option share: as ``question_key``, but case and all punctuation count."""
    return " ".join(_spelled(text, fold=False).split())


def _spelled(text: str, *, fold: bool) -> str:
    """NFKC, and casefold, but for what NFKC takes for mere style: x\u00b2 is not x2, 3\u00bd not 31/2. Dashes and quotes are alike."""
    spelled = []
    before = ""
    for c in text:
        kind = unicodedata.decomposition(c).partition(" ")[0]
        mark = {"<super>": "^", "<sub>": "_", "<fraction>": " "}.get(kind, "")
        spelled.append((mark if kind != before or mark == " " else "") + c)
        before = kind
    normal = unicodedata.normalize("NFKC", "".join(spelled))
    if fold:
        normal = unicodedata.normalize("NFKC", normal.casefold())
    normal = normal.translate({**_ALIKE, **_INVISIBLE})
    return "".join("-" if unicodedata.category(c) == "Pd" else c for c in normal)


def _category(c: str) -> str:
    return unicodedata.category(c)[0]


class _Line:
    """A folded text, and which of its punctuation works as a sign."""

    def __init__(self, text: str, marks: list[int]):
        self.text = text
        self._brackets: set[int] = set()  # places of brackets that tell
        opened: list[int] = []
        for i in marks:
            kind = unicodedata.category(text[i])
            if kind == "Ps":
                opened.append(i)
            elif kind == "Pe" and opened:
                start = opened.pop()
                if self._encloses(start, i):
                    self._brackets |= {start, i}

    def tells(self, i: int, c: str) -> bool:
        """Whether the punctuation ``c`` at place ``i`` is more than the punctuation of prose."""
        left, right = self._at(i - 1), self._at(i + 1)
        if c in _OPERATORS:
            return True
        if unicodedata.category(c) in ("Ps", "Pe"):
            return i in self._brackets
        if c == "_":  # not the blank of a cloze
            return _is_word(left) and (_is_word(right) or right == "{")
        if c == "-":
            return self._joins(i, either=True)
        if c in _DOTS:
            return self._joins(i, either=False)
        if c == "!":
            return (
                self._operand(i - 1)
                or left in (")", "]", "}", "!")
                or right == "="
                or (_is_word(right) and not _is_word(left))
            )
        if c == "'":
            return self._is_prime(i)
        if c == '"':  # inches, where no quotation is open
            return left.isdigit() and self.text[:i].count('"') % 2 == 0
        if right.isdigit() and not _is_word(left):  # .5
            return c == "."
        if left.isspace() or right.isspace() or not left or not right or right in _CLOSERS:
            return False
        return self._operand(i - 1) or self._operand(i + 1) or right in ("-", "+", "(", "[", "{")

    def _joins(self, i: int, *, either: bool) -> bool:
        """Whether ``i`` stands, spaces aside, by numbers, single letters, symbols or brackets of a formula."""
        text = self.text
        before, after = len(text[:i].rstrip()) - 1, len(text) - len(text[i + 1 :].lstrip())
        sides = [
            self._operand(place) or (at := self._at(place)) in near or (at and _category(at) == "S")
            for place, near in ((before, (")", "]", "}", "|")), (after, ("(", "[", "{", "\\")))
        ]
        return any(sides) if either else all(sides)

    def _is_prime(self, i: int) -> bool:
        """f'(0), 5' 6: after a number or a single letter that no quotation mark opens."""
        left, right = self._at(i - 1), self._at(i + 1)
        if left == "'":
            return self._is_prime(i - 1)
        if left.isalpha() and right.isalpha():
            return False  # I'm
        return left == ")" or (self._operand(i - 1) and not self._quoted(i - 1))

    def _quoted(self, end: int) -> bool:
        start = end
        while _is_word(self._at(start)):
            start -= 1
        return self._at(start) == "'"

    def _encloses(self, start: int, end: int) -> bool:
        """Whether brackets are those of a formula or a call, not of an aside."""
        inner = self.text[start + 1 : end]
        if _is_word(self._at(start - 1)) or len(inner.strip()) == 1:
            return True
        if any(_category(c) in ("N", "S") or c in _OPERATORS for c in inner):
            return True
        behind = self.text[end + 1 :].lstrip()[:1]
        before = self.text[:start].rstrip()[-1:]
        return any(c and (_category(c) == "S" or c in _OPERATORS) for c in (before, behind))

    def _operand(self, i: int) -> bool:
        """A number, or a letter that stands alone."""
        c = self._at(i)
        if not c or not _is_word(c):
            return False
        return _category(c) == "N" or not (_is_word(self._at(i - 1)) or _is_word(self._at(i + 1)))

    def _at(self, i: int) -> str:
        return self.text[i] if 0 <= i < len(self.text) else ""


def _is_word(c: str) -> bool:
    return bool(c) and _category(c) in ("L", "M", "N")
