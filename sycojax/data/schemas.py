"""The rows of the seven data sets, in the hub's schemas, as typed and validated records."""

from __future__ import annotations

import dataclasses


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
