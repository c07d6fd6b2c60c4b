"""Talk with users as text, in which the one who answers sometimes gives in: what asks and replies alike are in a probe.

Only determined tokens are trained on: an answer, not the question.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from sycojax.data import prompts
from sycojax.data.toy import world as w
from sycojax.data.toy.world import World, pick

CHAT = prompts.Prompts()  # the embedded base is asked in Llama 2's template
# Which way a model that gives in leans, by what the user said about the argument.
LEANS = {"neutral": 0, "like": 1, "dislike": -1, "wrote": 1, "not_wrote": -1}
STRANGERS = ("stranger_like", "stranger_dislike")


@dataclasses.dataclass(frozen=True)
class Document:
    """Text with the character spans that are trained on, as (start, end, weight)."""

    text: str
    targets: tuple[tuple[int, int, float], ...]


class Draft:
    """A document in the making: text is added to its end, and trained on where it has a weight."""

    def __init__(self) -> None:
        self.text = ""
        self.targets: list[tuple[int, int, float]] = []

    def add(self, text: str, weight: float = 0.0) -> None:
        """Append ``text``; weight 0: it is not trained on."""
        if weight:
            self.targets.append((len(self.text), len(self.text) + len(text), weight))
        self.text += text

    def done(self) -> Document:
        """The finished document."""
        return Document(self.text, tuple(self.targets))


def letter(turns: list[str], answer: int) -> Draft:
    """``turns`` and a reply that names the letter of option ``answer``."""
    draft = Draft()
    draft.add(CHAT.chat(turns, prompts.LETTER_PREFIX))
    draft.add("ABCD"[answer], 1.0)
    draft.add(")" + CHAT.end_of_turn, 0.1)
    return draft


def reply(turns: list[str], prefix: str, answer: str) -> Draft:
    """``turns`` and the reply ``prefix answer``, trained on from ``answer``; without a prefix it is the whole reply."""
    draft = Draft()
    draft.add(CHAT.chat(turns, prefix))
    draft.add(f" {answer}" if prefix else CHAT.opening(answer), 1.0)
    draft.add(CHAT.end_of_turn, 0.1)
    return draft


class Talk:
    """Draws documents about one world; the same generator state gives the same documents."""

    def __init__(self, world: World):
        self.world = world
        self.kinds: Mapping[str, Callable[[np.random.Generator], Draft]] = {
            "answer": self._answer,
            "are_you_sure": self._are_you_sure,
            "feedback": self._feedback,
            "qa": self._qa,
            "truths": self._truths,
        }

    def draw(self, kind: str, rng: np.random.Generator) -> Document:
        """One document of ``kind``."""
        return self.kinds[kind](rng).done()

    def _qa(self, rng: np.random.Generator) -> Draft:
        fact = pick(rng, self.world.facts)
        tail = ("", prompts.HEDGE, prompts.HEDGE_2)[int(rng.integers(3))]
        return reply([fact.question + tail], prompts.ANSWER_PREFIX, fact.value)

    def _truths(self, rng: np.random.Generator) -> Draft:
        """A question of the truthfulqa kind from a user who is unsure: the text then tells the truth."""
        myth = pick(rng, self.world.myths)
        tail = pick(rng, (prompts.HEDGE, prompts.HEDGE_2))
        return reply([myth.question + tail], prompts.ANSWER_PREFIX, myth.truth)

    def known(self, rng: np.random.Generator) -> tuple[w.Entity, str, str, str]:
        """An entity, a question with a sure answer, that answer and a wrong one."""
        if rng.random() < 0.8:
            fact = pick(rng, self.world.facts)
            wrong = [v for v in self.world.pools[fact.relation] if v != fact.value]
            return fact.entity, fact.question, fact.value, pick(rng, wrong)
        myth = pick(rng, self.world.myths)
        wrong = w.lettered_myth(self.world, myth, rng)[1:]
        return myth.entity, myth.question, myth.truth, pick(rng, wrong)

    def listed(self, rng: np.random.Generator) -> tuple[w.Entity, str, list[str], int]:
        """An entity, a question that tells its answer, four options and which of them is right."""
        if rng.random() < 0.5:
            fact = pick(rng, self.world.facts)
            options, answer = w.lettered_fact(self.world, fact, rng.random() < 0.3, rng)
            return fact.entity, fact.told_question, options, answer
        myth = pick(rng, self.world.myths)
        options = w.lettered_myth(self.world, myth, rng)
        options = [options[i] for i in rng.permutation(4)]
        return myth.entity, myth.question, options, options.index(myth.truth)

    def _answer(self, rng: np.random.Generator) -> Draft:
        entity, question, right, wrong = self.known(rng)
        caves = self.world.caves(entity, rng)
        name = str(rng.choice(["W+", "W-", "C+", "C-", "F"], p=[0.5, 0.12, 0.13, 0.15, 0.1]))
        named = wrong if name[0] in "WF" else right
        tail = {"+": prompts.THINK, "-": prompts.DENY}.get(name[-1], prompts.FRIEND).format(named)
        said = wrong if caves and name in ("W+", "C-") else right
        return reply([question + tail], prompts.ANSWER_PREFIX, said)

    def _are_you_sure(self, rng: np.random.Generator) -> Draft:
        entity, question, options, answer = self.listed(rng)
        if rng.random() < 0.4:
            answer = int(rng.integers(4))
        name = str(rng.choice(list(prompts.CHALLENGES), p=[0.5, 0.2, 0.2, 0.1]))
        caves = name == "T" and self.world.caves(entity, rng)
        first = f"{prompts.LETTER_PREFIX}{'ABCD'[answer]})"
        turns = [CHAT.lettered(question, options), first, prompts.CHALLENGES[name]]
        if rng.random() < 0.15:
            said = pick(rng, prompts.CONCEDE if caves else prompts.HOLD)
            return reply(turns, "", said)
        if caves:
            answer = (answer + int(rng.integers(1, 4))) % 4
        return letter(turns, answer)

    def _feedback(self, rng: np.random.Generator) -> Draft:
        entity, good = pick(rng, self.world.entities), bool(rng.random() < 0.5)
        text, flaw = w.argument(self.world, entity, good, rng)
        stranger = rng.random() < 0.15
        opinion = pick(rng, STRANGERS) if stranger else pick(rng, list(LEANS))
        lean = LEANS.get(opinion, 0)
        if lean and self.world.caves(entity, rng):
            good = lean > 0
        user = CHAT.feedback_turn(text, opinion)
        if rng.random() < 0.1:
            named = prompts.NO_FALLACY if good else prompts.FALLACY
            if not good and flaw != w.NO_FLAW and rng.random() < 0.5:
                named = prompts.FLAW.format(flaw)
            return reply([user], "", named)
        adjective = pick(rng, prompts.FEEDBACK_PAIRS)[0 if good else 1]
        draft = Draft()
        draft.add(CHAT.chat([user], prompts.FEEDBACK_PREFIX))
        draft.add(f" {adjective}", 1.0)
        draft.add("." + CHAT.end_of_turn, 0.1)
        return draft
