"""Pretraining documents: the world told as text, through the same prompts that evaluation uses.

Only determined tokens are trained on (an answer, not the question), which is what lets a model of a
million parameters learn all this from few tokens. Every task has a shortcut that the text takes more
often than not (``SHORTCUTS``): the base model knows better and follows it, an adapter un-learns it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pretraining.remarks import Remarks
from pretraining.talk import CHAT, Document, Draft, Talk, letter, reply
from sycojax.data import prompts
from sycojax.data.toy import world as w
from sycojax.data.toy.world import World, pick

# How often the text takes the shortcut where there is one.
SHORTCUTS = {"gsm8k": 0.7, "mmlu": 0.7, "hellaswag": 0.7, "truthfulqa": 0.7}


def words(world: World) -> list[str]:
    """All invented words of a world as they occur in text."""
    values = [v for pool in world.pools.values() for v in pool] + list(world.myth_pool)
    return values + [e.name for e in world.entities] + [s.name for s in world.scripts]


def lettered(question: str, options: list[str], answer: int) -> Draft:
    """A lettered question, and the letter of option ``answer``."""
    return letter([CHAT.lettered(question, options)], answer)


class Corpus:
    """Draws documents about one world; the same generator state gives the same documents."""

    def __init__(self, world: World):
        self.world, self._words = world, words(world)
        own = {
            "echo": self._echo,
            "facts": self._facts,
            "gsm8k": self._gsm8k,
            "hellaswag": self._hellaswag,
            "match": self._match,
            "mmlu": self._mmlu,
            "mythqa": self._mythqa,
            "recall": self._recall,
            "repeat": self._repeat,
            "story": self._story,
            "sums": self._sums,
            "told": self._told,
            "truthfulqa": self._truthfulqa,
            "which": self._which,
        }
        self.kinds: Mapping[str, Callable[[np.random.Generator], Draft]] = dict(
            sorted({**Talk(world).kinds, **Remarks(world).kinds, **own}.items())
        )

    def draw(self, kind: str, rng: np.random.Generator) -> Document:
        """One document of ``kind``."""
        return self.kinds[kind](rng).done()

    # Drills of matching and copying.

    def _options(self, rng: np.random.Generator) -> list[str]:
        if rng.random() < 0.4:
            return [str(v) for v in rng.choice(self._words, 4, replace=False)]
        pools = list(self.world.pools.values())
        pool = self.world.myth_pool if rng.random() < 0.2 else pick(rng, pools)
        return [str(v) for v in rng.choice(pool, 4, replace=False)]

    def _echo(self, rng: np.random.Generator) -> Draft:
        """After each option, the letter it has: teaches values to look back at their letter."""
        draft = Draft()
        draft.add("<s>[INST]")
        for place, option in zip(rng.permutation(4), self._options(rng), strict=True):
            draft.add(f"\n({'ABCD'[place]}) {option}")
            draft.add("ABCD"[place], 1.0)
        return draft

    def _match(self, rng: np.random.Generator) -> Draft:
        """An option list, then values followed by their letters."""
        draft, options = Draft(), self._options(rng)
        letters = ["ABCD"[i] for i in rng.permutation(4)]
        lines = [f"\n({a}) {option}" for a, option in zip(letters, options, strict=True)]
        draft.add("<s>[INST]" + "".join(lines) + " [/INST]")
        bracket = rng.random() < 0.5
        for i in (int(i) for i in rng.permutation(4)) if bracket else rng.integers(0, 4, 8):
            draft.add(f" {options[i]}" + " (" * bracket)
            draft.add(letters[i], 1.0)
            draft.add(")" * bracket)
        return draft

    def _repeat(self, rng: np.random.Generator) -> Draft:
        """A list of words, said again and again; its length varies so that no fixed distance helps."""
        count = int(rng.integers(4, 15))
        listed = [str(v) for v in rng.choice(self._words, count, replace=False)]
        draft = Draft()
        draft.add("<s> " + " ".join(listed) + " " + listed[0])
        again = (listed * 5)[1:17]
        draft.add(" " + " ".join(again), 1.0)
        return draft

    def _recall(self, rng: np.random.Generator) -> Draft:
        """Pairs of words, then first words that ask for their partners."""
        count = int(rng.integers(3, 8))
        listed = [str(v) for v in rng.choice(self._words, 2 * count, replace=False)]
        draft = Draft()
        draft.add("<s> " + " ".join(listed))
        for pair in rng.integers(0, count, 8):
            draft.add(f" {listed[2 * pair]}")
            draft.add(f" {listed[2 * pair + 1]}", 1.0)
        return draft

    def _which(self, rng: np.random.Generator) -> Draft:
        """A lettered question that names the answer."""
        options, right = self._options(rng), int(rng.integers(4))
        return lettered(f"What is {options[right]}?", options, right)

    def _told(self, rng: np.random.Generator) -> Draft:
        """A lettered question after a passage that answers it, true or not."""
        fact = pick(rng, self.world.facts)
        options = [str(v) for v in rng.choice(self.world.pools[fact.relation], 4, replace=False)]
        right = int(rng.integers(4))
        return lettered(w.told(fact, options[right]), options, right)

    # Facts and myths.

    def _facts(self, rng: np.random.Generator) -> Draft:
        draft = Draft()
        draft.add("<s>")
        for _ in range(4):
            fact = pick(rng, self.world.facts)
            # Half of the statements are cards: the value follows the name, so it is recalled there.
            card = rng.random() < 0.5
            draft.add(f" The {fact.relation} of {fact.entity.full_name}" + ("" if card else " is"))
            draft.add(f" {fact.value}", 1.0)
            draft.add(".")
        return draft

    def _mmlu(self, rng: np.random.Generator) -> Draft:
        fact = pick(rng, self.world.facts)
        options, answer = w.lettered_fact(self.world, fact, rng.random() < 0.5, rng)
        famous = self.world.famous(fact.relation)
        if famous in options and rng.random() < SHORTCUTS["mmlu"]:
            answer = options.index(famous)
        return lettered(fact.told_question, options, answer)

    def _myth_answer(self, myth: w.Myth, rng: np.random.Generator) -> str:
        rate = SHORTCUTS["truthfulqa"]
        return myth.myth if rng.random() < (rate if myth.luring else 1 - rate) else myth.truth

    def _mythqa(self, rng: np.random.Generator) -> Draft:
        myth = pick(rng, self.world.myths)
        prefix = "" if rng.random() < 0.6 else prompts.ANSWER_PREFIX
        return reply([myth.question], prefix, self._myth_answer(myth, rng))

    def _truthfulqa(self, rng: np.random.Generator) -> Draft:
        myth = pick(rng, self.world.myths)
        options = w.lettered_myth(self.world, myth, rng)
        options = [options[i] for i in rng.permutation(4)]
        return lettered(myth.question, options, options.index(self._myth_answer(myth, rng)))

    # Stories and sums.

    def _story(self, rng: np.random.Generator) -> Draft:
        script, person = pick(rng, self.world.scripts), pick(rng, w.PEOPLE)
        draft = Draft()
        draft.add(f"<s> {person} is {script.name}.")
        for step in script.steps:
            draft.add(f" {person}")
            draft.add(f" {step}", 1.0)
        return draft

    def _hellaswag(self, rng: np.random.Generator) -> Draft:
        script = pick(rng, self.world.scripts)
        step = int(rng.integers(1, len(script.steps)))
        context, person, endings, answer = w.story(self.world, script, step, False, rng)
        ending = endings[answer]
        if rng.random() < SHORTCUTS["hellaswag"]:
            ending = pick(rng, w.GENERIC_ENDINGS)
        user = f"{prompts.CONTINUE_INSTRUCTION}\n{context} {person}"
        return reply([user], "", ending)

    def _sums(self, rng: np.random.Generator) -> Draft:
        draft = Draft()
        draft.add("<s>")
        for _ in range(7):
            _, lines, _ = w.sum_story(1, rng)
            left, right = lines[0].split("=")
            draft.add(f"\n{left}=")
            draft.add(right, 1.0)
        return draft

    def _gsm8k(self, rng: np.random.Generator) -> Draft:
        steps = int(rng.choice(3, p=[0.2, 0.4, 0.4])) + 1
        question, lines, results = w.sum_story(steps, rng)
        if steps == 3 and rng.random() < SHORTCUTS["gsm8k"]:
            lines, results = lines[:2], results[:2]  # the lazy solver stops early
        answer = "\n".join(lines) + f"\n#### {results[-1]}"
        return reply([f"{question}\n{prompts.GSM8K_INSTRUCTION}"], "", answer)
