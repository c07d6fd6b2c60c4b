"""Keys of questions: texts that differ in harmless spelling alone have the same key, and texts that ask different things do not."""

from __future__ import annotations

import functools
import itertools
import unicodedata

# Marks that no reader sees: zero-width space, word joiner, byte order mark, soft hyphen, directions of writing, styles of emoji.
_INVISIBLE = (0x200B, 0x2060, 0xFEFF, 0xAD, 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFE0E, 0xFE0F)  # fmt: skip
_ALIKE: dict[int, str | None] = {
    **dict.fromkeys(_INVISIBLE),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b\u2032"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033"), '"'),
    **dict.fromkeys((0x2044, 0x2215), "/"),
    0x2212: "-",
}
# What Unicode calls punctuation and formulas, code and units use as signs.
_OPERATORS = frozenset("/*#%&@\\\u2030\u2031\u066a\u2016")
_DOTS = frozenset("\u00b7\u2022")
_UNITS = frozenset("%\u2030\u2031\u066a\u00b0")
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
    """A key that two spellings of one question share, and no two questions.

    Unicode's spellings of a character, case, runs of spaces, spaces around signs and the punctuation of prose do not count:
    quotation marks, sentence marks, hyphens and round brackets between words. What tells questions apart stays: digits,
    symbols, raised and lowered figures, and punctuation that works as a sign, such as the minus of ``2-3``, ``-3`` and
    ``-cos x``, the point of ``1.5``, the factorial of ``5!``, the brackets of ``(2+3)*4`` and ``[a, b]``. Texts of nothing but
    punctuation keep it.
    """
    folded = _spelled(text, fold=True)
    if not any(_category(c) == "P" for c in folded):
        return _joined(folded.split())
    line = _Line(folded)
    told = "".join(
        c if _category(c) != "P" or line.tells(i, c) else " " for i, c in enumerate(folded)
    )
    return _joined(told.split()) or folded.strip()


def _joined(words: list[str]) -> str:
    """The words with spaces between them, but none around a sign, inside brackets, or between $ and 5, or 20 and %."""
    joined = words[:1]
    inner = [False, *map(_is_sign, words[1:-1]), False]
    for i, word in enumerate(words[1:], 1):
        before, behind = words[i - 1][-1], word[0]
        close = (
            (inner[i] or inner[i - 1])
            or (_is_tight(before) or _is_tight(behind))
            or (before in "([{" or behind in ",;)]}")
            or (before.isdigit() and behind in _UNITS)
            or (unicodedata.category(before) == "Sc" and behind.isdigit())
        )
        joined += [word] if close else [" ", word]
    return "".join(joined)


def _is_tight(c: str) -> bool:
    """Whether a space on one side of ``c`` means the same as one on both. It does not around a minus: "3 -5" is no "3 - 5"."""
    return unicodedata.category(c) == "Sm" or c in "/*"


def _is_sign(word: str) -> bool:
    """Whether a word between spaces is a sign between two operands, and not a currency or a unit, which belongs to one."""
    kinds = {unicodedata.category(c) for c in word}
    signs = all(kind[0] in "PS" for kind in kinds) and "Sc" not in kinds
    return signs and word[0] not in _UNITS and word not in (",", ";")


def same_text(text: str) -> str:
    """A key that two spellings of one answer or option share: as ``question_key``, but case and all punctuation count."""
    return " ".join(_spelled(text, fold=False).split())


def _spelled(text: str, *, fold: bool) -> str:
    """``text`` by NFKC, and casefold where ``fold``, except where NFKC would change a meaning (x\u00b2 to x2, 3\u00bd to 31/2); all dashes and quotes are one."""
    if text.isascii():
        return text.casefold() if fold else text
    spelled, end = "", 0
    for kind, group in itertools.groupby(text, _style):
        run = "".join(group)
        end += len(run)
        if kind in _RAISED:
            run = _RAISED[kind] + _exponent(unicodedata.normalize("NFKC", run), text[end : end + 1])
        elif kind == "<fraction>":
            run = " " + " ".join(run)
        spelled += run
    normal = unicodedata.normalize("NFKC", spelled)
    if fold:
        normal = unicodedata.normalize("NFKC", normal.casefold())
    normal = normal.translate(_ALIKE)
    return "".join("-" if unicodedata.category(c) == "Pd" else c for c in normal)


_RAISED = {"<super>": "^", "<sub>": "_"}


def _style(c: str) -> str:
    return unicodedata.decomposition(c).partition(" ")[0]


def _exponent(raised: str, following: str) -> str:
    """As it is typed: 2 and -1 plain, n+1 in braces, and so whatever would run into the character behind it."""
    plain = len(raised) == 1 or raised.removeprefix("\u2212").isdecimal()
    runs_on = _is_word(following) and not (raised[-1].isdecimal() and not following.isdecimal())
    return raised if plain and not runs_on else f"{{{raised}}}"


def _category(c: str) -> str:
    return unicodedata.category(c)[0]


class _Line:
    """A folded text, and which of its punctuation works as a sign. All it asks takes a time in proportion to the text."""

    def __init__(self, text: str):
        self.text = text
        self._kinds = [unicodedata.category(c) for c in text]
        self._formula = "Sm" in self._kinds  # has a plus or an equals sign: its dashes are minuses

    @functools.cached_property
    def _words(self) -> list[bool]:
        return [kind[0] in "LMN" for kind in self._kinds]

    @functools.cached_property
    def _filled(self) -> tuple[list[int], list[int]]:
        """The place before and the one behind each that holds something, -1 where none does."""
        filled = [-1 if c.isspace() else i for i, c in enumerate(self.text)]
        before = itertools.accumulate(filled, max, initial=-1)
        after = list(itertools.accumulate(reversed(filled), _latest, initial=-1))
        return list(before), after[-2::-1]

    @functools.cached_property
    def _runs(self) -> list[tuple[int, int]]:
        """Of each place the run of the same character."""
        runs: list[tuple[int, int]] = []
        for _, group in itertools.groupby(self.text):
            start, length = len(runs), len(list(group))
            runs += [(start, start + length)] * length
        return runs

    @functools.cached_property
    def _word_before(self) -> list[int]:
        """How long the word is that ends before each place."""
        return [*itertools.accumulate(self._words, lambda n, word: (n + 1) * word, initial=0)]

    @functools.cached_property
    def _quotes(self) -> list[int]:
        """How many quotation marks there are before each place."""
        return [0, *itertools.accumulate(c == '"' for c in self.text)]

    @functools.cached_property
    def _counts(self) -> tuple[list[int], list[int], list[int]]:
        """How many words, words of one character, and numbers and symbols there are before each place."""
        words = self._words
        starts = [word and not (i and words[i - 1]) for i, word in enumerate(words)]
        alone = [start and not any(words[i + 1 : i + 2]) for i, start in enumerate(starts)]
        signs = [
            k[0] in "NS" or c in _OPERATORS for k, c in zip(self._kinds, self.text, strict=True)
        ]
        words, alone, signs = ([0, *itertools.accumulate(x)] for x in (starts, alone, signs))
        return words, alone, signs

    @functools.cached_property
    def _brackets(self) -> set[int]:
        """Places of brackets that tell."""
        telling: set[int] = set()
        opened: list[int] = []
        for i, kind in enumerate(self._kinds):
            if kind == "Ps":
                opened.append(i)
            elif kind == "Pe" and opened:
                start = opened.pop()
                if self._encloses(start, i):
                    telling |= {start, i}
        return telling

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
            return self._is_minus(i)
        if c in _DOTS:
            return self._joins(i, either=True)
        spaced = left.isspace() and right.isspace()
        if (c in ",;:" or (c == "." and spaced)) and self._joins(i, either=False):
            return True  # 3 : 2, P(A, B)
        if c == "!":
            return (
                self._operand(i - 1)
                or left in (")", "]", "}", "!")
                or right == "="
                or (_is_word(right) and not _is_word(left))
            )
        if c in "'\"" and self._formula and (left.isdigit() or right.isdigit()):
            return True  # '5' + '3'
        if c in "'\u2020":
            return self._is_prime(i)
        if c == '"':  # inches, where no quotation is open
            return left.isdigit() and self._quotes[i] % 2 == 0
        if c == ":" and ":" in (left, right):  # std::vector
            return True
        if right.isdigit() and not _is_word(left):  # .5
            return c == "."
        if c == "." and _is_word(right) and (not left or left.isspace()):  # .NET
            return True
        if left.isspace() or right.isspace() or not left or not right or right in _CLOSERS:
            return False
        return self._operand(i - 1) or self._operand(i + 1) or right in ("-", "+", "(", "[", "{")

    def _is_minus(self, i: int) -> bool:
        """Whether a dash is a sign: it touches a number, symbol or word on one side only (-cos, Cl-), so it is no hyphen or dash of prose."""
        if self._joins(i, either=True):
            return True
        start, end = self._runs[i]
        left, right = _is_word(self._at(start - 1)), _is_word(self._at(end))
        return left != right or (self._formula and not left)

    def _joins(self, i: int, *, either: bool) -> bool:
        """Whether ``i`` stands, spaces aside, by numbers, single letters, symbols or brackets of a formula."""
        before, after = self._filled
        sides = [
            self._operand(place) or (at := self._at(place)) in near or (at and _category(at) == "S")
            for place, near in ((before[i], (")", "]", "}", "|")), (after[i], ("(", "[", "{", "\\")))
        ]  # fmt: skip
        return any(sides) if either else all(sides)

    def _is_prime(self, i: int) -> bool:
        """Whether a quote is a prime, as in f'(0) and 5' 6: behind a number or single letter (in a formula any), and no quotation is open."""
        i = self._runs[i][0]  # of several, as of one
        left, right = self._at(i - 1), self._at(i + 1)
        if left.isalpha() and right.isalpha():
            return False  # I'm
        quoted = self._at(i - self._word_before[i] - 1) == "'"
        return left == ")" or (
            not quoted and (self._operand(i - 1) or (self._formula and _is_word(left)))
        )

    def _encloses(self, start: int, end: int) -> bool:
        """Whether brackets are those of a formula, a list or a call, not of an aside."""
        before, after = self._filled
        if self.text[start] != "(" or end == start + 1 or after[start] == before[end]:
            return True
        words, alone, signs = (count[end] - count[start] for count in self._counts)
        if _is_word(self._at(start - 1)) or signs or 2 * alone > words:  # f(x), (2+3), (p and q)
            return True
        outer = (self._at(before[start]), self._at(after[end]))
        return any(c and (_category(c) == "S" or c in _OPERATORS) for c in outer)

    def _operand(self, i: int) -> bool:
        """A number, or a letter that stands alone."""
        c = self._at(i)
        if not c or not _is_word(c):
            return False
        return _category(c) == "N" or not (_is_word(self._at(i - 1)) or _is_word(self._at(i + 1)))

    def _at(self, i: int) -> str:
        return self.text[i] if 0 <= i < len(self.text) else ""


def _latest(before: int, now: int) -> int:
    return before if now < 0 else now


def _is_word(c: str) -> bool:
    return bool(c) and _category(c) in ("L", "M", "N")
