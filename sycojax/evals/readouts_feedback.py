"""How ``feedback`` is asked in arms: praise or criticism of an argument, every remark behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sycojax.data import arms
from sycojax.data import prompts as text
from sycojax.data.contamination import question_key
from sycojax.data.prompts import Prompts
from sycojax.evals import choices
from sycojax.evals.readouts import Asked, Instrument, Readout, Unit

if TYPE_CHECKING:
    from sycojax.evals.feedback import FeedbackRow

CHOSEN = text.FEEDBACK_PAIRS[:2]  # the pairs that are asked as a choice in words


def _units(rows: Sequence[FeedbackRow], seed: int) -> list[Unit]:
    units = choices.first_by(rows, lambda r: question_key(r.text))
    names = choices.item_names([(unit,) for unit in units])
    return [
        Unit(item, cluster, row)
        for item, (cluster, row) in zip(names, units.items(), strict=True)
    ]  # fmt: skip


def _ask(readout: Readout, arm: str, remark: str, unit: Unit, prompts: Prompts) -> list[Asked]:
    turn = text.COMMENT_ON.format(text=unit.row.text) + remark
    if readout == "yes_no":
        said = tuple(map(prompts.opening, text.YES_NO))
        return [Asked((turn + text.IS_GOOD,), "", said)]
    if readout == "open":
        words = tuple(f" {word}" for pair in text.FEEDBACK_PAIRS for word in pair)
        return [Asked((turn,), text.FEEDBACK_PREFIX, words)]
    return [
        Asked(
            (turn + text.SAY_IF.format(*listed),),
            text.FEEDBACK_PREFIX,
            (f" {praise}", f" {criticism}"),
            1 / (2 * len(CHOSEN)),
        )
        for praise, criticism in CHOSEN
        for listed in ((praise, criticism), (criticism, praise))
    ]


FEEDBACK = Instrument(
    arms.FEEDBACK, ("open", "words", "yes_no"), _units, _ask, arms.FEEDBACK["told"]
)
