"""Rows of SycophancyEval's ``are_you_sure``: which options a question lists, and which of them is right."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from sycojax.data.fields import Fields, is_empty, option_key, quoted
from sycojax.data.prompts import LETTERS
from sycojax.data.questions import same_text

# Options begin lines such as ``(A) Paris`` or ``(A)1 hour``; some files indent them or have small letters.
_OPTION = re.compile(r"^\(([A-Z])\)", re.MULTILINE)
_OTHER_OPTION = re.compile(r"^[^\S\n]*\(([A-Za-z])\)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class AreYouSureRow:
    """A question with lettered options (parsed from the text where they are not stored)."""

    origin: str
    dataset: str
    question: str
    options: tuple[str, ...]
    answer: int  # index of the right option
    prompt: str


def parse_row(record: Fields) -> AreYouSureRow:
    """A row of one record.

    Raises ``SycojaxError`` naming a field that is wrong, ``LeftOut`` where a question cannot be asked.
    """
    base = record.inside("base")
    if base.has("answers_list"):  # truthful_qa_mc
        marks, options = _stored_options(base)
    elif base.has("answers"):  # aqua_mc, mmlu_mc_cot, math_mc_cot
        marks, options = _lettered_options(base)
    else:
        raise base.left_out("answers", "is missing", "its question has no lettered options")
    if len(set(marks)) < len(marks) or len(marks) != len(options):
        raise base.wrong("letters", f"{marks!r} must be one different letter per option")
    answer = _right(base, marks, options)
    if len(set(map(option_key, options))) < len(options):
        # The stored prompt lists them all: none can be taken away.
        raise base.left_out("answers", "holds equal options", "two of its options are equal")
    if base.has("correct_answer"):
        _check_right(base, options, answer, marks)
    return AreYouSureRow(
        record.origin,
        dataset=base.text("dataset"),
        question=base.text("question"),
        options=options,
        answer=answer,
        prompt=record.first_user_turn(),
    )


def _lettered_options(base: Fields) -> tuple[str, tuple[str, ...]]:
    """Letters and texts of the options that lines of ``answers`` begin with; a row where none can be told is left out."""
    if is_empty(base.take("answers")):
        raise base.left_out("answers", "is empty", "its question has no lettered options")
    text = base.text("answers")
    # Small letters and indented ones are options where they go on in order, and else part of an option's text.
    for mark in (_OTHER_OPTION, _OPTION):
        before, *parts = mark.split(text)
        marks, options = "".join(parts[::2]).upper(), tuple(t.strip() for t in parts[1::2])
        if len(options) > 1 and marks == LETTERS[: len(options)] and not before.strip():
            break
    else:
        if len(options) > 1 and not before.strip():
            said = f"has the letters {marks!r}, and must have one different letter per option, from A on"
            raise base.left_out("answers", said, "its options are not lettered in order")
        said = "must hold at least two lines that read '(A) option'"
        raise base.left_out("answers", said, "its question has no lettered options")
    _check_filled(base, "answers", options)
    if marks == LETTERS and re.search(r"^\s*\(AA\)", text, re.MULTILINE):
        raise base.wrong("answers", f"must hold at most {len(LETTERS)} options, one letter each")
    if mark is _OTHER_OPTION and _OPTION.split(text)[1::2] != [*marks]:
        base.mended["letters of options that are small or indented"] += 1
    return marks, options


def _stored_options(base: Fields) -> tuple[str, tuple[str, ...]]:
    """Letters and texts of ``letters`` and ``answers_list``; ``answers`` has to list the same."""
    stored = base.take("answers_list")
    _check_filled(base, "answers_list", stored if isinstance(stored, list | tuple) else ())
    options, letters = base.options("answers_list"), base.take("letters")
    letters = base.texts("letters") if isinstance(letters, list | tuple) else base.text("letters")
    marks = "".join(letter.strip(" ().").upper() or " " for letter in letters)
    listed = base.optional_text("answers") or ""
    if _OPTION.search(listed) and len(marks) == len(options):
        lines = "".join(f"({mark}){text}" for mark, text in zip(marks, options, strict=True))
        if _solid(listed) != _solid(lines):
            raise base.wrong("answers", "lists other options than 'answers_list' and 'letters' do")
    return marks, options


def _solid(text: str) -> str:
    return "".join(same_text(text).split()).casefold()


def _check_filled(base: Fields, field: str, options: Sequence[Any]) -> None:
    if any(map(is_empty, options)):
        raise base.left_out(field, "holds an empty option", "one of its options is empty")


def _check_right(base: Fields, options: Sequence[str], answer: int, marks: str) -> None:
    """``correct_answer`` has to be the right option's text; another case and full stop are counted."""
    said = base.text("correct_answer")
    if option_key(said) == option_key(options[answer]):
        return
    exact = option_key(said) in map(option_key, options)
    if exact or _loose(said) != _loose(options[answer]):
        problem = f"is not the option ({marks[answer]}) {quoted(options[answer])}"
        raise base.wrong("correct_answer", problem)
    base.mended["the right answer differs from its option in case or full stop"] += 1


def _loose(text: str) -> str:
    return same_text(text).casefold().rstrip(". ")


def _right(base: Fields, marks: str, options: Sequence[str]) -> int:
    """The index that ``correct_letter`` names: by its letter, or as the other data sets do."""
    value = base.take("correct_letter")
    letter = value.strip(" ().").upper() if isinstance(value, str) else ""
    if len(letter) == 1 and letter in marks:
        return marks.index(letter)
    if len(letter) == 1 and letter.isalpha():
        raise base.wrong("correct_letter", f"is {quoted(value)}, the options have {marks!r}")
    return base.choice("correct_letter", options)
