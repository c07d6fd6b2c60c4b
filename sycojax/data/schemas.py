"""The rows of the seven data sets, in the hub's schemas, as typed and validated records."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from sycojax.data.fields import Fields, shown
from sycojax.errors import SycojaxError


@dataclasses.dataclass(frozen=True)
class Gsm8kRow:
    origin: str  # "file:line" (or "dataset[index]"), for error messages and provenance
    question: str
    answer: str  # worked steps, then "#### N"


@dataclasses.dataclass(frozen=True)
class MmluRow:
    origin: str
    question: str
    subject: str
    choices: tuple[str, ...]
    answer: int  # index of the right choice


@dataclasses.dataclass(frozen=True)
class HellaswagRow:
    origin: str
    activity_label: str
    ctx: str
    endings: tuple[str, ...]
    label: int


@dataclasses.dataclass(frozen=True)
class TruthfulqaRow:
    origin: str
    question: str
    mc1_choices: tuple[str, ...]
    mc1_labels: tuple[int, ...]  # exactly one 1
    mc2_choices: tuple[str, ...]
    mc2_labels: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class AnswerRow:
    """SycophancyEval ``answer``: a factual question with one right and one wrong answer named."""

    origin: str
    dataset: str  # base.dataset: "trivia_qa", "truthful_qa", ...
    question: str
    correct_answer: str
    incorrect_answer: str
    aliases: tuple[str, ...]
    prompt: str  # the stored first user turn, used by the published protocol only
    prompt_template: str


@dataclasses.dataclass(frozen=True)
class AreYouSureRow:
    """SycophancyEval ``are_you_sure`` with lettered options (parsed from the text where not stored)."""

    origin: str
    dataset: str
    question: str
    options: tuple[str, ...]
    answer: int  # index of the right option
    prompt: str


@dataclasses.dataclass(frozen=True)
class FeedbackRow:
    """SycophancyEval ``feedback`` on arguments."""

    origin: str
    dataset: str
    text: str
    rating: float | None
    logical_error: str | None
    prompt: str
    prompt_template: str


Row = (
    Gsm8kRow | MmluRow | HellaswagRow | TruthfulqaRow | AnswerRow | AreYouSureRow | FeedbackRow
)  # fmt: skip


def parse_row(name: str, raw: Mapping[str, Any], origin: str) -> Row:
    """Check one record of the data set ``name`` and make a row of it.

    Fields that are not used are ignored. Raises ``SycojaxError`` naming ``origin`` and the field when
    one is missing, empty, of the wrong type, or contradicts another.
    """
    if name not in PARSERS:
        raise SycojaxError(f"unknown data set {name!r} (known: {', '.join(PARSERS)})")
    if not isinstance(raw, Mapping):
        raise SycojaxError(f"{origin}: a record is an object with named fields, got {shown(raw)}")
    return PARSERS[name](Fields(origin, raw))


def _gsm8k(record: Fields) -> Gsm8kRow:
    answer = record.text("answer")
    _, mark, number = answer.rpartition("####")
    if not mark or not any(c.isdigit() for c in number):
        raise record.wrong("answer", f"must end with '#### number', got {shown(answer[-40:])}")
    return Gsm8kRow(record.origin, record.text("question"), answer)


def _mmlu(record: Fields) -> MmluRow:
    choices = record.texts("choices", at_least=2)
    return MmluRow(
        record.origin,
        question=record.text("question"),
        subject=record.text("subject"),
        choices=choices,
        answer=record.index("answer", len(choices)),
    )


def _hellaswag(record: Fields) -> HellaswagRow:
    endings = record.texts("endings", at_least=2)
    return HellaswagRow(
        record.origin,
        activity_label=record.text("activity_label"),
        ctx=record.text("ctx"),
        endings=endings,
        label=record.index("label", len(endings)),
    )


def _truthfulqa(record: Fields) -> TruthfulqaRow:
    question = record.text("question")
    mc1, mc2 = record.inside("mc1_targets"), record.inside("mc2_targets")
    mc1_choices, mc2_choices = mc1.texts("choices", at_least=2), mc2.texts("choices", at_least=2)
    mc1_labels = mc1.labels("labels", len(mc1_choices))
    mc2_labels = mc2.labels("labels", len(mc2_choices))
    if sum(mc1_labels) != 1:
        raise mc1.wrong("labels", f"must mark exactly one right choice, got {sum(mc1_labels)}")
    if sum(mc2_labels) < 1:
        raise mc2.wrong("labels", "must mark at least one right choice")
    return TruthfulqaRow(
        record.origin, question, mc1_choices, mc1_labels, mc2_choices, mc2_labels
    )  # fmt: skip


def _answer(record: Fields) -> AnswerRow:
    base = record.inside("base")
    right, wrong = base.text("correct_answer"), base.text("incorrect_answer")
    if right.casefold() == wrong.casefold():
        raise base.wrong("incorrect_answer", f"equals the correct answer {shown(right)}")
    if base.has("answer"):  # trivia_qa: all spellings that count as right
        aliases = base.texts("answer")
    elif base.has(
        "long_correct_answer"
    ):  # truthful_qa: the sentence the short answer was made from
        aliases = (base.text("long_correct_answer"),)
    else:
        aliases = ()
    return AnswerRow(
        record.origin,
        dataset=base.text("dataset"),
        question=base.text("question"),
        correct_answer=right,
        incorrect_answer=wrong,
        aliases=aliases,
        prompt=record.first_user_turn(),
        prompt_template=record.inside("metadata").text("prompt_template"),
    )


def _are_you_sure(record: Fields) -> AreYouSureRow:
    base = record.inside("base")
    if base.has("answers_list"):  # truthful_qa_mc
        options, letters = base.texts("answers_list", at_least=2), base.text("letters")
    else:  # aqua_mc
        letters, options = _lettered_options(base)
    if len(set(letters)) < len(letters) or len(letters) != len(options):
        raise base.wrong("letters", f"{letters!r} must be one different letter per option")
    right = base.text("correct_letter")
    if len(right) != 1 or right not in letters:
        raise base.wrong("correct_letter", f"is {shown(right)}, the options have {letters!r}")
    answer = letters.index(right)
    if base.has("correct_answer") and base.text("correct_answer") != options[answer]:
        raise base.wrong("correct_answer", f"is not the option ({right}) {shown(options[answer])}")
    return AreYouSureRow(
        record.origin,
        dataset=base.text("dataset"),
        question=base.text("question"),
        options=options,
        answer=answer,
        prompt=record.first_user_turn(),
    )


def _lettered_options(base: Fields) -> tuple[str, tuple[str, ...]]:
    """Letters and texts of lines such as ``(A) Paris`` or ``(A)1 hour``."""
    before, *parts = re.split(r"^\(([A-Z])\)", base.text("answers"), flags=re.MULTILINE)
    letters, options = parts[::2], tuple(text.strip() for text in parts[1::2])
    if before.strip() or len(options) < 2 or not all(options):
        raise base.wrong("answers", "must hold at least two lines that read '(A) option'")
    return "".join(letters), options


def _feedback(record: Fields) -> FeedbackRow:
    base = record.inside("base")
    return FeedbackRow(
        record.origin,
        dataset=base.text("dataset"),
        text=base.text("text"),
        rating=base.optional_number("rating"),
        logical_error=base.optional_text("logical_error"),
        prompt=record.first_user_turn(),
        prompt_template=record.inside("metadata").text("prompt_template"),
    )


PARSERS: Mapping[str, Callable[[Fields], Row]] = {
    "gsm8k": _gsm8k,
    "mmlu": _mmlu,
    "hellaswag": _hellaswag,
    "truthfulqa": _truthfulqa,
    "answer": _answer,
    "are_you_sure": _are_you_sure,
    "feedback": _feedback,
}
