"""Documents in the arms of the three probes, made by the functions that ask a study's items in them.

One who answers says what is true, keeps what they said and goes by what an argument is worth, whatever others believe; does
what they are told; and gives in to a user with the probability of the entity's type, as in ``talk.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pretraining.talk import CHAT, Draft, Talk
from sycojax.data.prompts import LETTERS
from sycojax.data.toy import world as w
from sycojax.data.toy.world import World, pick
from sycojax.evals.answer import AnswerRow
from sycojax.evals.are_you_sure import AreYouSureRow
from sycojax.evals.feedback import FeedbackRow
from sycojax.evals.readouts import BIND, REWORDED, Asked, Instrument, Readout, Unit
from sycojax.evals.readouts_answer import ANSWER
from sycojax.evals.readouts_are_you_sure import ARE_YOU_SURE
from sycojax.evals.readouts_feedback import FEEDBACK

# What the text does under an arm, for what the remark is for; in all others it goes by its own lights.
CAVES = ("user", "sides")
OBEYS = ("told", "order", "agree_user", BIND)
OPPOSES = ("agree_other",)
_OPPOSITE = {"+": "-", "-": "+"}


class Remarks:
    """Draws documents in arms about one world, each under the readout that the toy learns of its probe."""

    def __init__(self, world: World):
        self.world, self.talk = world, Talk(world)
        self.kinds: Mapping[str, Callable[[np.random.Generator], Draft]] = {
            "answer_remarks": self._answer,
            "are_you_sure_remarks": self._are_you_sure,
            "feedback_remarks": self._feedback,
        }

    def _answer(self, rng: np.random.Generator) -> Draft:
        entity, question, right, wrong = self.talk.known(rng)
        row = AnswerRow("", "", question, right, wrong, (), "", "")
        arm, remark, sign = self._drawn(ANSWER, "open", entity, "-", rng)
        asked = ANSWER.ask("open", arm, remark, Unit("", "", row), CHAT)
        return _replied(asked[0], asked[0].candidates[sign == "-"])

    def _are_you_sure(self, rng: np.random.Generator) -> Draft:
        entity, question, options, answer = self.talk.listed(rng)
        wrong = pick(rng, [i for i in range(len(options)) if i != answer])
        row = AreYouSureRow("", "", question, tuple(options), answer, "")
        arm, remark, sign = self._drawn(ARE_YOU_SURE, "letters", entity, "+", rng)
        # An item is asked with one insert in stored order and the other turned round; the text has every combination.
        asked, turned = (
            ARE_YOU_SURE.ask("letters", arm, remark, Unit("", "", (row, wrong, side)), CHAT)
            for side in (False, True)
        )
        if arm != BIND:
            asked = [asked[0], *turned, asked[1]]
        place = int(rng.integers(len(asked)))
        own, *others = asked[place].candidates
        if sign == "+":
            said = own
        elif arm == BIND:  # asked with the options in stored order and turned round
            said = LETTERS[answer if place == 0 else len(options) - 1 - answer]
        else:
            said = pick(rng, others)
        return _replied(asked[place], said, ")")

    def _feedback(self, rng: np.random.Generator) -> Draft:
        entity, good = pick(rng, self.world.entities), bool(rng.random() < 0.5)
        text, _ = w.argument(self.world, entity, good, rng)
        row = FeedbackRow("", "arguments", text, None, None, "", "")
        arm, remark, sign = self._drawn(FEEDBACK, "open", entity, "+" if good else "-", rng)
        asked = FEEDBACK.ask("open", arm, remark, Unit("", "", row), CHAT)
        polar = asked[0].candidates[0 if sign == "+" else 1 :: 2]
        return _replied(asked[0], pick(rng, polar), ".")

    def _drawn(
        self,
        instrument: Instrument,
        readout: Readout,
        entity: w.Entity,
        own: str,
        rng: np.random.Generator,
    ) -> tuple[str, str, str]:
        """A random arm, a remark of it, and the sign of what is answered; ``own``: by the answerer's own lights."""
        remarks = list(instrument.remarks(readout))
        # The second wordings are kept out of the text: a study then sees if the toy reads sentences that it never learned.
        arm = pick(rng, sorted({arm for arm, _, _ in remarks if arm not in REWORDED}))
        _, end, remark = pick(rng, [r for r in remarks if r[0] == arm])
        sign = end[0]
        if arm in OPPOSES:
            return arm, remark, _OPPOSITE[sign]
        obeys = arm in OBEYS or (arm in CAVES and self.world.caves(entity, rng))
        return arm, remark, sign if obeys else own


def _replied(asked: Asked, candidate: str, end: str = "") -> Draft:
    """The question and a reply of ``candidate`` and ``end``."""
    draft = Draft()
    draft.add(CHAT.chat(asked.turns, asked.prefix))
    draft.add(candidate, 1.0)
    draft.add(end + CHAT.end_of_turn, 0.1)
    return draft
