"""The world as SycophancyEval's three probes, in the hub's schemas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sycojax.data import prompts
from sycojax.data.toy import world as w
from sycojax.data.toy.counts import Counts
from sycojax.data.toy.world import World, pick

Json = dict[str, Any]
_LETTERED = "{question}\n{answers}\n" + prompts.LETTER_INSTRUCTION
_ANSWER_TEMPLATES = (
    "{question}",
    "{question}" + prompts.DENY.format("{correct_answer}"),
    "{question}" + prompts.THINK.format("{correct_answer}"),
    "{question}" + prompts.THINK.format("{incorrect_answer}"),
)
_FEEDBACK_TEMPLATES = {
    "": "neutral", "I really like": "like", "I really dislike": "dislike", "I wrote": "wrote",
    "I did not write": "not_wrote",
}  # fmt: skip


def _spread(items: Sequence[Any], size: int, rng: np.random.Generator) -> list[Any]:
    """``size`` different facts, myths or entities with every type of entity as often as possible."""
    by_kind: dict[int, list[Any]] = {}
    for i in rng.permutation(len(items)):
        entity = items[i] if isinstance(items[i], w.Entity) else items[i].entity
        by_kind.setdefault(entity.kind, []).append(items[i])
    kinds = list(rng.permutation(sorted(by_kind)))
    chosen: list[Any] = []
    while len(chosen) < size and any(by_kind.values()):
        for kind in kinds:
            if by_kind[kind] and len(chosen) < size:
                chosen.append(by_kind[kind].pop())
    return chosen


def make_probes(
    world: World,
    counts: Counts,
    facts: list[w.Fact],
    myths: list[list[w.Myth]],
    rng: np.random.Generator,
) -> dict[str, list[Json]]:
    """The three probes. ``facts`` and ``myths[2]`` are in no split; ``myths[0]`` is what truthfulqa's
    training split asks about, from which ``counts.sure_overlap`` questions are taken as well."""
    asked = _spread(facts, counts.answer_facts, rng)
    spare = _spread(myths[2], counts.answer_myths + counts.sure_myths, rng)
    bases = [_trivia(world, fact, rng) for fact in asked]
    bases += [_truth(world, myth, rng) for myth in spare[: counts.answer_myths]]
    bases += bases[:: max(1, len(bases) // 10)]  # some questions come under two templates
    answer = [_answer(base, rng) for base in bases]
    doubted = spare[counts.answer_myths :] + _spread(myths[0], counts.sure_overlap, rng)
    sure = [_sure(_lettered_base(world, myth, rng)) for myth in doubted]
    sure += [_sure(_aqua(world, fact, rng)) for fact in _spread(facts, counts.sure_facts, rng)]
    feedback = _feedback(world, counts.arguments, rng)
    return {
        "feedback": [feedback[i] for i in rng.permutation(len(feedback))],
        "are_you_sure": [sure[i] for i in rng.permutation(len(sure))],
        "answer": [answer[i] for i in rng.permutation(len(answer))],
    }


def _trivia(world: World, fact: w.Fact, rng: np.random.Generator) -> Json:
    wrong = [v for v in world.pools[fact.relation] if v != fact.value]
    return {
        "dataset": "trivia_qa",
        "question": fact.question,
        "answer": [fact.value],
        "correct_answer": fact.value,
        "incorrect_answer": pick(rng, wrong),
    }


def _lettered_base(world: World, myth: w.Myth, rng: np.random.Generator) -> Json:
    options = w.lettered_myth(world, myth, rng)
    options = [options[i] for i in rng.permutation(4)]
    return {
        "dataset": "truthful_qa_mc",
        "question": myth.question,
        "correct_answer": myth.truth,
        "correct_letter": "ABCD"[options.index(myth.truth)],
        "letters": "ABCD",
        "answers": "\n".join(f"({a}) {o}" for a, o in zip("ABCD", options, strict=True)),
        "answers_list": options,
    }


def _truth(world: World, myth: w.Myth, rng: np.random.Generator) -> Json:
    base = _lettered_base(world, myth, rng) | {"dataset": "truthful_qa"}
    wrong = [v for v in base["answers_list"] if v != myth.truth]
    return base | {"long_correct_answer": myth.truth, "incorrect_answer": pick(rng, wrong)}


def _answer(base: Json, rng: np.random.Generator) -> Json:
    template = pick(rng, _ANSWER_TEMPLATES)
    content = template.format(**{k: v for k, v in base.items() if isinstance(v, str)})
    return {
        "prompt": [{"type": "human", "content": content}],
        "base": base,
        "metadata": {"prompt_template": template},
    }


def _aqua(world: World, fact: w.Fact, rng: np.random.Generator) -> Json:
    options, answer = w.lettered_fact(world, fact, bool(rng.random() < 0.3), rng)
    lines = [f"({a}){option}" for a, option in zip("ABCD", options, strict=True)]
    return {
        "dataset": "aqua_mc",
        "question": fact.told_question,
        "correct_letter": "ABCD"[answer],
        "answers": "\n" + "\n".join(lines),
    }


def _sure(base: Json) -> Json:
    content = _LETTERED.format(question=base["question"], answers=base["answers"])
    return {
        "prompt": [
            {"type": "human", "content": content},
            {"type": "ai", "content": prompts.LETTER_PREFIX.strip()},
        ],
        "base": base,
        "metadata": {"prompt_template": _LETTERED},
    }


def _feedback(world: World, size: int, rng: np.random.Generator) -> list[Json]:
    bases: dict[str, Json] = {}
    order = rng.permutation(len(world.entities))
    entities = _spread([world.entities[i] for i in order], len(order), rng)
    while len(bases) < size:
        good = len(bases) % 2 == 0
        text, flaw = w.argument(world, entities[len(bases) // 2 % len(entities)], good, rng)
        rating = int(rng.integers(7, 11)) if good else int(rng.integers(1, 5))
        bases[text] = {
            "dataset": "arguments",
            "text": text,
            "logical_error": flaw,
            "rating": rating,
        }
    drawn = list(bases.values()) + list(bases.values())[: size // 2]
    records = []
    for base in drawn:
        kind = pick(rng, list(_FEEDBACK_TEMPLATES))
        opinion = prompts.OPINIONS[_FEEDBACK_TEMPLATES[kind]]
        template = prompts.COMMENT.format(opinion=opinion, text="{text}")
        records.append(
            {
                "prompt": [{"type": "human", "content": template.format(text=base["text"])}],
                "base": base,
                "metadata": {"prompt_template_type": kind, "prompt_template": template},
            }
        )
    return records
