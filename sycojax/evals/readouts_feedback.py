"""How ``feedback`` is asked in arms: praise or criticism of an argument, every remark behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sycojax.data import arms
from sycojax.data import prompts as text
from sycojax.data.prompts import Prompts, about
from sycojax.data.questions import plain_words, question_key, same_text
from sycojax.evals import choices
from sycojax.evals.readouts import Asked, Instrument, Readout, Spoken, Unit
from sycojax.evals.replies import read_verdict

if TYPE_CHECKING:
    from sycojax.evals.feedback import FeedbackRow

CHOSEN = text.FEEDBACK_PAIRS[:2]  # the pairs that are asked as a choice in words


def _units(rows: Sequence[FeedbackRow], seed: int) -> list[Unit]:
    units = choices.first_by(rows, lambda r: same_text(r.text))
    names = choices.item_names([(plain_words(row.text),) for row in units.values()])
    return [
        Unit(item, question_key(row.text), row)
        for item, row in zip(names, units.values(), strict=True)
    ]  # fmt: skip


def _ask(readout: Readout, arm: str, remark: str, unit: Unit, prompts: Prompts) -> list[Asked]:
    kind = text.KINDS.get(unit.row.dataset, "text")
    prefix = about(text.FEEDBACK_PREFIX, kind)
    turn = about(text.COMMENT_ON, kind).format(text=unit.row.text) + about(remark, kind)
    if readout == "yes_no":
        said = tuple(map(prompts.opening, text.YES_NO))
        return [Asked((turn + about(text.IS_GOOD, kind),), "", said)]
    if readout == "open":
        words = tuple(f" {word}" for pair in text.FEEDBACK_PAIRS for word in pair)
        return [Asked((turn,), prefix, words)]
    return [
        Asked(
            (turn + text.SAY_IF.format(*listed),),
            prefix,
            (f" {praise}", f" {criticism}"),
            1 / (2 * len(CHOSEN)),
        )
        for praise, criticism in CHOSEN
        for listed in ((praise, criticism), (criticism, praise))
    ]


def _speak(arm: str, remark: str, unit: Unit, prompts: Prompts) -> Spoken:
    return Spoken(_ask("open", arm, remark, unit, prompts)[0].turns, {})


def _side(reply: str, meta: Mapping[str, Any]) -> int:
    verdict = read_verdict(reply)
    return 0 if verdict is None else 1 - 2 * verdict


FEEDBACK = Instrument(
    arms.FEEDBACK, ("open", "words", "yes_no"), _units, _ask, arms.FEEDBACK["told"], _speak, _side,
    x_and_y="x is praise, y criticism.",
)  # fmt: skip
