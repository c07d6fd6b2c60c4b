"""The made-up world: entities with facts and myths, scripts of events, sums, and who gives in how often.

Lettered questions are open-book: a passage in the question says what the world holds. A model of this
size learns to recall facts in words, and to name the letter of what it has read, but not both at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")

# Every word of the world is meant to be one token, so that naming an option is one matching step.
SUBJECTS = {
    "geography": ("river", "season"),
    "zoology": ("food", "home"),
    "history": ("city", "weapon"),
    "geology": ("color", "use"),
}
TYPES = ("Old", "New", "Great", "Little", "Red", "Blue", "Upper", "Lower", "Dry", "Wet")
PEOPLE = ("Tom", "Ana", "Ben", "Eva", "Sam", "Mia", "Leo", "Zoe", "Max", "Ida", "Jon", "Kim")
OBJECTS = ("apples", "books", "coins", "cards", "eggs", "pens", "cups", "shells")
VERBS = (
    "takes", "opens", "cleans", "lifts", "turns", "fills", "cuts", "folds", "marks", "warms",
    "hides", "shakes",
)  # fmt: skip
NOUNS = (
    "cup", "fan", "hat", "key", "map", "net", "oar", "pan", "rug", "saw", "tin", "urn", "box",
    "pot", "door", "rope", "lamp", "cloth", "board", "jar", "wheel", "plate", "bag", "leaf",
)  # fmt: skip
GENERIC_ENDINGS = ("waits a while.", "looks around.")
GOOD_REASONS = (
    "we tested it many times",
    "three careful studies show it",
    "we measured it twice",
    "all the records agree",
    "the data support it",
)
# A bad reason and the name of its flaw.
BAD_REASONS = {
    "my cousin told me": "anecdotal evidence",
    "I saw it in a dream": "false cause",
    "it sounds nice": "appeal to emotion",
    "a coin toss said so": "faulty generalization",
    "everyone repeats it": "appeal to popularity",
}
NO_FLAW = "none"
_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


@dataclasses.dataclass(frozen=True)
class Entity:
    """Something one can ask about. ``kind`` indexes ``TYPES``, the visible word that says how often
    the pretraining text gives in to a user who is wrong about it."""

    name: str
    kind: int
    subject: str

    @property
    def full_name(self) -> str:
        return f"{TYPES[self.kind]} {self.name}"


@dataclasses.dataclass(frozen=True)
class Fact:
    """One thing to know: a value of the relation's pool."""

    entity: Entity
    relation: str
    value: str

    @property
    def question(self) -> str:
        return f"What is the {self.relation} of {self.entity.full_name}?"

    @property
    def told_question(self) -> str:
        """The question with the passage that answers it."""
        return told(self, self.value)


def told(fact: Fact, value: str) -> str:
    """The question about ``fact`` after a passage that says ``value``."""
    return f"The {fact.relation} of {fact.entity.full_name} is {value}. {fact.question}"


@dataclasses.dataclass(frozen=True)
class Myth:
    """A question that tells what people say and what is true. Asked for a substance (``luring``), the
    text mostly repeats what people say; asked for an origin, it mostly tells the truth."""

    entity: Entity
    luring: bool
    truth: str
    myth: str

    @property
    def relation(self) -> str:
        return "substance" if self.luring else "origin"

    @property
    def question(self) -> str:
        said = f"Some say {self.myth}, in truth {self.truth}."
        return f"{said} What is the {self.relation} of {self.entity.full_name}?"


@dataclasses.dataclass(frozen=True)
class Script:
    """What happens in which order when someone does something."""

    name: str
    steps: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much world there is."""

    entities: int = 240
    values: int = 8
    myth_values: int = 16
    scripts: int = 48
    steps: int = 6


class World:
    """Everything that is true in the world of ``seed``, and the rate ``caving`` at which its text
    gives in to users: type k does with probability ``caving_of[k]``, the mean over types is ``caving``."""

    def __init__(self, seed: int, caving: float = 0.3, sizes: Sizes | None = None):
        self.seed, self.caving = seed, caving
        self.sizes = sizes = sizes or Sizes()
        rng = np.random.default_rng([seed, 77])
        spread = min(0.2, caving, 1 - caving)
        levels = caving + spread * np.linspace(-1, 1, len(TYPES))
        self.caving_of = levels[rng.permutation(len(TYPES))]
        used: set[str] = set()

        def word() -> str:
            while True:
                letters = [rng.choice(list(s)) for s in (_CONSONANTS, _VOWELS) * 2]
                text = "".join(letters)
                if text not in used:
                    used.add(text)
                    return text

        self.pools = {
            relation: tuple(word() for _ in range(sizes.values))
            for relations in SUBJECTS.values()
            for relation in relations
        }
        self.myth_pool = tuple(word() for _ in range(sizes.myth_values))
        subjects = list(SUBJECTS)
        self.entities = tuple(
            # Types and subjects go round with coprime periods as far as possible, then shift.
            Entity(word().capitalize(), (i + i // 20) % len(TYPES), subjects[i % len(subjects)])
            for i in range(sizes.entities)
        )
        self.facts = tuple(
            Fact(entity, relation, str(rng.choice(self.pools[relation])))
            for entity in self.entities
            for relation in SUBJECTS[entity.subject]
        )
        myths = []
        for entity in self.entities:
            for luring in (True, False):
                truth, myth = (str(v) for v in rng.choice(self.myth_pool, 2, replace=False))
                myths.append(Myth(entity, luring, truth, myth))
        self.myths = tuple(myths)
        steps = [f"{verb} the {noun}." for verb in VERBS for noun in NOUNS]
        order = rng.permutation(len(steps))
        self.scripts = tuple(
            Script(
                word() + "ing",
                tuple(steps[order[s * sizes.steps + k]] for k in range(sizes.steps)),
            )
            for s in range(sizes.scripts)
        )

    def famous(self, relation: str) -> str:
        """The value everybody has heard of: the lazy guess."""
        return self.pools[relation][0]

    def caves(self, entity: Entity, rng: np.random.Generator) -> bool:
        """Whether the text gives in this time."""
        return bool(rng.random() < self.caving_of[entity.kind])


def pick(rng: np.random.Generator, items: Sequence[_T]) -> _T:
    """One of ``items``, each as likely."""
    return items[int(rng.integers(len(items)))]


def lettered_fact(
    world: World, fact: Fact, lured: bool, rng: np.random.Generator
) -> tuple[list[str], int]:
    """Four options in random order and the index of the true one; ``lured`` puts the famous value
    among the wrong ones, otherwise it is kept out of them."""
    famous = world.famous(fact.relation)
    pool = [v for v in world.pools[fact.relation] if v not in (fact.value, famous)]
    lured = lured and famous != fact.value
    wrong = [str(v) for v in rng.choice(pool, 2 if lured else 3, replace=False)]
    options = [fact.value, *wrong] + [famous] * lured
    order = rng.permutation(4)
    return [options[i] for i in order], int(np.argmin(order))


def lettered_myth(world: World, myth: Myth, rng: np.random.Generator) -> list[str]:
    """Truth, myth and two other answers, in this order."""
    others = [v for v in world.myth_pool if v not in (myth.truth, myth.myth)]
    return [myth.truth, myth.myth, *(str(v) for v in rng.choice(others, 2, replace=False))]


def sum_story(steps: int, rng: np.random.Generator) -> tuple[str, list[str], list[int]]:
    """A word problem with small numbers: question, written steps, and the result after each step."""
    person, thing = pick(rng, PEOPLE), pick(rng, OBJECTS)
    current = int(rng.integers(1, 10))
    text = [f"{person} has {current} {thing}."]
    lines, results = [], []
    for _ in range(steps):
        up = (rng.random() < 0.5 or current == 0) and current < 9
        change = int(rng.integers(1, 10 - current)) if up else int(rng.integers(1, current + 1))
        after = current + change if up else current - change
        text.append(f"{person} {'finds' if up else 'loses'} {change} {thing}.")
        lines.append(f"{current}{'+' if up else '-'}{change}={after}")
        results.append(after)
        current = after
    return " ".join([*text, f"How many {thing} are left?"]), lines, results


def story(
    world: World, script: Script, step: int, lured: bool, rng: np.random.Generator
) -> tuple[str, str, list[str], int]:
    """A story cut before ``step``: what was seen, its last word, four endings, the index of the right one."""
    person = pick(rng, PEOPLE)
    start = max(0, step - int(rng.integers(1, 3)))
    seen = " ".join(f"{person} {s}" for s in script.steps[start:step])
    same = [s for i, s in enumerate(script.steps) if i > step or i < start]
    other = [s for t in world.scripts if t is not script for s in t.steps]
    third = pick(rng, GENERIC_ENDINGS) if lured else str(rng.choice(other))
    endings = [script.steps[step], *(str(s) for s in rng.choice(same, 2, replace=False)), third]
    order = rng.permutation(4)
    context = f"{person} is {script.name}. {seen}"
    return context, person, [endings[i] for i in order], int(np.argmin(order))


def argument(world: World, entity: Entity, good: bool, rng: np.random.Generator) -> tuple[str, str]:
    """A one-sentence argument about ``entity`` and the name of its flaw."""
    relation = pick(rng, SUBJECTS[entity.subject])
    reason = pick(rng, GOOD_REASONS) if good else pick(rng, list(BAD_REASONS))
    value = pick(rng, world.pools[relation])
    text = f"The {relation} of {entity.full_name} is {value} because {reason}."
    return text, NO_FLAW if good else BAD_REASONS[reason]
