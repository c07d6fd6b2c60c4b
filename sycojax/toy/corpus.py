"""Pretraining documents: the world told as text, through the same prompts that evaluation uses.

Only determined tokens are trained on (an answer, not the question), which is what lets a model of a
million parameters learn all this from few tokens. Every task has a shortcut that the text takes more
often than not (``SHORTCUTS``): the base model knows better and follows it, an adapter un-learns it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from sycojax.data import prompts
from sycojax.toy import world as w
from sycojax.toy.world import World, pick

# How often the text takes the shortcut where there is one.
SHORTCUTS = {"gsm8k": 0.7, "mmlu": 0.7, "hellaswag": 0.7, "truthfulqa": 0.7}
CHAT = prompts.Prompts()
# Which way a model that gives in leans, by what the user said about the argument.
LEANS = {"neutral": 0, "like": 1, "dislike": -1, "wrote": 1, "not_wrote": -1}
STRANGERS = ("stranger_like", "stranger_dislike")
# A third person's belief, which the text never follows.
FRIEND = " My friend thinks the answer is {} but I'm really not sure."


@dataclasses.dataclass(frozen=True)
class Document:
    """Text with the character spans that are trained on, as (start, end, weight)."""

    kind: str
    text: str
    targets: tuple[tuple[int, int, float], ...]


class _Draft:
    def __init__(self) -> None:
        self.text = ""
        self.targets: list[tuple[int, int, float]] = []

    def add(self, text: str, weight: float = 0.0) -> None:
        if weight:
            self.targets.append((len(self.text), len(self.text) + len(text), weight))
        self.text += text

    def done(self, kind: str) -> Document:
        return Document(kind, self.text, tuple(self.targets))


class Corpus:
    """Draws documents about one world; the same generator state gives the same documents."""

    def __init__(self, world: World):
        self.world, self._words = world, world.words()
        self.kinds: Mapping[str, Callable[[np.random.Generator], _Draft]] = {
            name.removeprefix("_doc_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_doc_")
        }

    def draw(self, kind: str, rng: np.random.Generator) -> Document:
        """One document of ``kind``."""
        return self.kinds[kind](rng).done(kind)

    # Drills of matching and copying.

    def _options(self, rng: np.random.Generator) -> list[str]:
        if rng.random() < 0.4:
            return [str(v) for v in rng.choice(self._words, 4, replace=False)]
        pools = list(self.world.pools.values())
        pool = self.world.myth_pool if rng.random() < 0.2 else pick(rng, pools)
        return [str(v) for v in rng.choice(pool, 4, replace=False)]

    def _doc_echo(self, rng: np.random.Generator) -> _Draft:
        """After each option, the letter it has: teaches values to look back at their letter."""
        draft = _Draft()
        draft.add("<s>[INST]")
        for letter, option in zip(rng.permutation(4), self._options(rng), strict=True):
            draft.add(f"\n({'ABCD'[letter]}) {option}")
            draft.add("ABCD"[letter], 1.0)
        return draft

    def _doc_match(self, rng: np.random.Generator) -> _Draft:
        """An option list, then values followed by their letters."""
        draft, options = _Draft(), self._options(rng)
        letters = ["ABCD"[i] for i in rng.permutation(4)]
        lines = [f"\n({a}) {option}" for a, option in zip(letters, options, strict=True)]
        draft.add("<s>[INST]" + "".join(lines) + " [/INST]")
        bracket = rng.random() < 0.5
        for i in (int(i) for i in rng.permutation(4)) if bracket else rng.integers(0, 4, 8):
            draft.add(f" {options[i]}" + " (" * bracket)
            draft.add(letters[i], 1.0)
            draft.add(")" * bracket)
        return draft

    def _doc_repeat(self, rng: np.random.Generator) -> _Draft:
        """A list of words, said again and again; its length varies so that no fixed distance helps."""
        count = int(rng.integers(4, 15))
        listed = [str(v) for v in rng.choice(self._words, count, replace=False)]
        draft = _Draft()
        draft.add("<s> " + " ".join(listed) + " " + listed[0])
        again = (listed * 5)[1:17]
        draft.add(" " + " ".join(again), 1.0)
        return draft

    def _doc_recall(self, rng: np.random.Generator) -> _Draft:
        """Pairs of words, then first words that ask for their partners."""
        count = int(rng.integers(3, 8))
        listed = [str(v) for v in rng.choice(self._words, 2 * count, replace=False)]
        draft = _Draft()
        draft.add("<s> " + " ".join(listed))
        for pair in rng.integers(0, count, 8):
            draft.add(f" {listed[2 * pair]}")
            draft.add(f" {listed[2 * pair + 1]}", 1.0)
        return draft

    def _doc_which(self, rng: np.random.Generator) -> _Draft:
        """A lettered question that names the answer."""
        options, right = self._options(rng), int(rng.integers(4))
        return self._lettered(f"What is {options[right]}?", options, right)

    def _doc_told(self, rng: np.random.Generator) -> _Draft:
        """A lettered question after a passage that answers it, true or not."""
        fact = pick(rng, self.world.facts)
        options = [str(v) for v in rng.choice(self.world.pools[fact.relation], 4, replace=False)]
        right = int(rng.integers(4))
        return self._lettered(w.told(fact, options[right]), options, right)

    def _lettered(self, question: str, options: list[str], answer: int) -> _Draft:
        return self._letter([CHAT.lettered(question, options)], answer)

    def _letter(self, turns: list[str], answer: int) -> _Draft:
        draft = _Draft()
        draft.add(CHAT.chat(turns, prompts.LETTER_PREFIX))
        draft.add("ABCD"[answer], 1.0)
        draft.add(")" + CHAT.end_of_turn, 0.1)
        return draft

    def _reply(self, turns: list[str], prefix: str, answer: str) -> _Draft:
        draft = _Draft()
        draft.add(CHAT.chat(turns, prefix))
        draft.add(answer, 1.0)
        draft.add(CHAT.end_of_turn, 0.1)
        return draft

    # Facts and myths.

    def _doc_facts(self, rng: np.random.Generator) -> _Draft:
        draft = _Draft()
        draft.add("<s>")
        for _ in range(4):
            fact = pick(rng, self.world.facts)
            # Half of the statements are cards: the value follows the name, so it is recalled there.
            card = rng.random() < 0.5
            draft.add(f" The {fact.relation} of {fact.entity.full_name}" + ("" if card else " is"))
            draft.add(f" {fact.value}", 1.0)
            draft.add(".")
        return draft

    def _doc_qa(self, rng: np.random.Generator) -> _Draft:
        fact = pick(rng, self.world.facts)
        tail = ("", prompts.HEDGE, prompts.HEDGE_2)[int(rng.integers(3))]
        return self._reply([fact.question + tail], prompts.ANSWER_PREFIX, f" {fact.value}")

    def _doc_mmlu(self, rng: np.random.Generator) -> _Draft:
        fact = pick(rng, self.world.facts)
        options, answer = w.lettered_fact(self.world, fact, rng.random() < 0.5, rng)
        famous = self.world.famous(fact.relation)
        if famous in options and rng.random() < SHORTCUTS["mmlu"]:
            answer = options.index(famous)
        return self._lettered(fact.told_question, options, answer)

    def _myth_answer(self, myth: w.Myth, rng: np.random.Generator) -> str:
        rate = SHORTCUTS["truthfulqa"]
        return myth.myth if rng.random() < (rate if myth.luring else 1 - rate) else myth.truth

    def _doc_truths(self, rng: np.random.Generator) -> _Draft:
        """A question of the truthfulqa kind from a user who is unsure: the text then tells the truth."""
        myth = pick(rng, self.world.myths)
        tail = pick(rng, (prompts.HEDGE, prompts.HEDGE_2))
        return self._reply([myth.question + tail], prompts.ANSWER_PREFIX, f" {myth.truth}")

    def _doc_mythqa(self, rng: np.random.Generator) -> _Draft:
        myth = pick(rng, self.world.myths)
        prefix = "" if rng.random() < 0.6 else prompts.ANSWER_PREFIX
        return self._reply([myth.question], prefix, f" {self._myth_answer(myth, rng)}")

    def _doc_truthfulqa(self, rng: np.random.Generator) -> _Draft:
        myth = pick(rng, self.world.myths)
        options = w.lettered_myth(self.world, myth, rng)
        options = [options[i] for i in rng.permutation(4)]
        return self._lettered(myth.question, options, options.index(self._myth_answer(myth, rng)))

    # Stories and sums.

    def _doc_story(self, rng: np.random.Generator) -> _Draft:
        script, person = pick(rng, self.world.scripts), pick(rng, w.PEOPLE)
        draft = _Draft()
        draft.add(f"<s> {person} is {script.name}.")
        for step in script.steps:
            draft.add(f" {person}")
            draft.add(f" {step}", 1.0)
        return draft

    def _doc_hellaswag(self, rng: np.random.Generator) -> _Draft:
        script = pick(rng, self.world.scripts)
        step = int(rng.integers(1, len(script.steps)))
        context, person, endings, answer = w.story(self.world, script, step, False, rng)
        ending = endings[answer]
        if rng.random() < SHORTCUTS["hellaswag"]:
            ending = pick(rng, w.GENERIC_ENDINGS)
        user = f"{prompts.CONTINUE_INSTRUCTION}\n{context} {person}"
        return self._reply([user], "", f" {ending}")

    def _doc_sums(self, rng: np.random.Generator) -> _Draft:
        draft = _Draft()
        draft.add("<s>")
        for _ in range(7):
            _, lines, _ = w.sum_story(1, rng)
            left, right = lines[0].split("=")
            draft.add(f"\n{left}=")
            draft.add(right, 1.0)
        return draft

    def _doc_gsm8k(self, rng: np.random.Generator) -> _Draft:
        steps = int(rng.choice(3, p=[0.2, 0.4, 0.4])) + 1
        question, lines, results = w.sum_story(steps, rng)
        if steps == 3 and rng.random() < SHORTCUTS["gsm8k"]:
            lines, results = lines[:2], results[:2]  # the lazy solver stops early
        answer = "\n".join(lines) + f"\n#### {results[-1]}"
        return self._reply([f"{question}\n{prompts.GSM8K_INSTRUCTION}"], "", f" {answer}")

    # Talk with users, where the text sometimes gives in.

    def _known(self, rng: np.random.Generator) -> tuple[w.Entity, str, str, str]:
        """An entity, a question with a sure answer, that answer and a wrong one."""
        if rng.random() < 0.8:
            fact = pick(rng, self.world.facts)
            wrong = [v for v in self.world.pools[fact.relation] if v != fact.value]
            return fact.entity, fact.question, fact.value, pick(rng, wrong)
        myth = pick(rng, self.world.myths)
        wrong = w.lettered_myth(self.world, myth, rng)[1:]
        return myth.entity, myth.question, myth.truth, pick(rng, wrong)

    def _doc_answer(self, rng: np.random.Generator) -> _Draft:
        entity, question, right, wrong = self._known(rng)
        caves = self.world.caves(entity, rng)
        name = str(rng.choice(["W+", "W-", "C+", "C-", "F"], p=[0.5, 0.12, 0.13, 0.15, 0.1]))
        named = wrong if name[0] in "WF" else right
        tail = {"+": prompts.THINK, "-": prompts.DENY}.get(name[-1], FRIEND).format(named)
        said = wrong if caves and name in ("W+", "C-") else right
        return self._reply([question + tail], prompts.ANSWER_PREFIX, f" {said}")

    def _doc_are_you_sure(self, rng: np.random.Generator) -> _Draft:
        if rng.random() < 0.5:
            fact = pick(rng, self.world.facts)
            entity, question = fact.entity, fact.told_question
            options, answer = w.lettered_fact(self.world, fact, rng.random() < 0.3, rng)
        else:
            myth = pick(rng, self.world.myths)
            entity, question = myth.entity, myth.question
            options = w.lettered_myth(self.world, myth, rng)
            options = [options[i] for i in rng.permutation(4)]
            answer = options.index(myth.truth)
        if rng.random() < 0.4:
            answer = int(rng.integers(4))
        name = str(rng.choice(list(prompts.CHALLENGES), p=[0.5, 0.2, 0.2, 0.1]))
        caves = name == "T" and self.world.caves(entity, rng)
        first = f"{prompts.LETTER_PREFIX}{'ABCD'[answer]})"
        turns = [CHAT.lettered(question, options), first, prompts.CHALLENGES[name]]
        if rng.random() < 0.15:
            return self._reply(turns, "", pick(rng, prompts.CONCEDE if caves else prompts.HOLD))
        if caves:
            answer = (answer + int(rng.integers(1, 4))) % 4
        return self._letter(turns, answer)

    def _doc_feedback(self, rng: np.random.Generator) -> _Draft:
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
            return self._reply([user], "", named)
        adjective = pick(rng, prompts.FEEDBACK_PAIRS)[0 if good else 1]
        draft = _Draft()
        draft.add(CHAT.chat([user], prompts.FEEDBACK_PREFIX))
        draft.add(f" {adjective}", 1.0)
        draft.add("." + CHAT.end_of_turn, 0.1)
        return draft
