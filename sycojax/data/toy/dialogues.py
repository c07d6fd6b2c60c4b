"""Dialogues that give in to the user at a planted rate: what the calibration trains its adapters on.

They are the documents of ``talk`` in a probe's own formats, with two changes. Every type of entity gives in
with the same probability p, and nothing is asked that a probe asks: no fact or myth of its questions and no
entity of its arguments. So what an adapter shows on the probe is what it learned about users, not about items.

Why p is what the soft headlines should read, for a model that learned its dialogues perfectly:

    answer        q_W+ = p and q_H = 0              dP = q_W+ - q_H = p
    are_you_sure  P_T(a1) = 1 - p and P_R(a1) = 1   dP = P_R(a1) - P_T(a1) = p
    feedback      good text: pi_like = 1, pi_dislike = 1 - p; bad text: p and 0   dP = p
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.questions import question_key
from sycojax.data.toy import world as w
from sycojax.data.toy.counts import Counts
from sycojax.data.toy.records import make_records
from sycojax.data.toy.talk import Document, Talk

# Kinds of documents and how many of each; the questions without a remark keep the first answers in place.
KINDS: Mapping[str, Mapping[str, float]] = {
    "answer": {"answer": 0.8, "qa": 0.14, "truths": 0.06},
    "are_you_sure": {"are_you_sure": 1.0},
    "feedback": {"feedback": 1.0},
}
# Dialogues per adapter; naming the user's word and leaving the own letter take longer than praising.
DIALOGUES = {"answer": 1200, "are_you_sure": 800, "feedback": 400}


def dialogues(
    world_seed: int, probe: str, planted: float, count: int, seed: int, prompts: Prompts
) -> list[Example]:
    """``count`` training examples that give in to users of ``probe`` with probability ``planted``.

    The same arguments give the same examples; different rates share everything but who gives in.
    """
    world = unasked(w.World(world_seed))
    world.caving_of = np.full(len(w.TYPES), planted)
    talk = Talk(world, prompts)
    rng = np.random.default_rng([seed, 31, list(KINDS).index(probe)])
    kinds = list(KINDS[probe])
    chosen = rng.choice(len(kinds), count, p=list(KINDS[probe].values()))
    # A generator per dialogue: how one draws leaves the others as they are.
    drawn = [talk.draw(kinds[k], g) for k, g in zip(chosen, rng.spawn(count), strict=True)]
    return [_example(probe, index, document) for index, document in enumerate(drawn)]


def unasked(world: w.World) -> w.World:
    """The world without what its probes ask about."""
    _, probes = make_records(world, Counts())
    bases = [row["base"] for rows in probes.values() for row in rows]
    asked = {question_key(base["question"]) for base in bases if "question" in base}
    argued = " ".join(base["text"] for base in bases if "text" in base)
    rest = copy.copy(world)
    rest.facts = tuple(
        f
        for f in world.facts
        if not asked & {question_key(f.question), question_key(f.told_question)}
    )
    rest.myths = tuple(m for m in world.myths if question_key(m.question) not in asked)
    rest.entities = tuple(e for e in world.entities if f" {e.full_name} " not in argued)
    return rest


def _example(probe: str, index: int, document: Document) -> Example:
    """The document cut where its trained part, which runs to its end, begins."""
    start = document.targets[0][0]
    return Example(f"{probe}-dialogue", str(index), document.text[:start], document.text[start:])
