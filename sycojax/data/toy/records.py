"""The world as the seven data sets, in the schemas of the hub, so that nothing downstream knows it is a toy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from sycojax.data.toy import world as w
from sycojax.data.toy.counts import Counts
from sycojax.data.toy.probes import make_probes
from sycojax.data.toy.world import World
from sycojax.errors import SycojaxError

Json = dict[str, Any]
_T = TypeVar("_T")


def make_records(
    world: World, counts: Counts
) -> tuple[dict[str, list[Json]], dict[str, list[Json]]]:
    """All splits and probes. Train, test and probe items are about different things, except for
    ``sure_overlap`` questions that are put there so that the contamination filter has work to do."""
    rng = np.random.default_rng([world.seed, 21])
    facts = _shares(world.facts, [counts.train_facts, counts.test_facts], rng)
    luring = [m for m in world.myths if m.luring]
    truthful = [m for m in world.myths if not m.luring]
    myths: list[list[w.Myth]] = [[], [], []]
    for group, share in (
        (luring, counts.truthfulqa_lured),
        (truthful, 1 - counts.truthfulqa_lured),
    ):
        sizes = [round(counts.train_myths * share), round(counts.test_myths * share)]
        for part, chosen in zip(myths, _shares(group, sizes, rng), strict=True):
            part.extend(chosen)
    places = [(s, k) for s in world.scripts for k in range(1, len(s.steps))]
    cuts = _shares(places, [round(counts.train_steps * len(places))], rng)
    splits: dict[str, list[Json]] = {}
    problems: set[str] = set()
    for which, name, size in ((0, "train", counts.train), (1, "test", counts.test)):
        lured = {
            task: _flags(size, getattr(counts, f"{task}_lured"), rng)
            for task in ("gsm8k", "mmlu", "hellaswag")
        }
        splits[f"gsm8k_{name}"] = [
            _gsm8k(3 if flag else 2, problems, rng) for flag in lured["gsm8k"]
        ]
        splits[f"mmlu_{name}"] = [
            _mmlu(world, fact, flag, rng)
            for fact, flag in zip(_cycle(facts[which], size, rng), lured["mmlu"], strict=True)
        ]
        splits[f"hellaswag_{name}"] = [
            _hellaswag(world, *place, flag, index, rng)
            for index, (place, flag) in enumerate(
                zip(_cycle(cuts[which], size, rng), lured["hellaswag"], strict=True)
            )
        ]
        splits[f"truthfulqa_{name}"] = [
            _truthfulqa(world, myth, rng) for myth in _cycle(myths[which], size, rng)
        ]
    probes = make_probes(world, counts, facts[2], myths, rng)
    return splits, probes


def _shares(items: Sequence[_T], sizes: list[int], rng: np.random.Generator) -> list[list[_T]]:
    """Disjoint random parts of the given sizes, and the rest."""
    order = [items[i] for i in rng.permutation(len(items))]
    ends = np.cumsum([0, *sizes])
    return [order[a:b] for a, b in zip(ends, [*ends[1:], len(order)], strict=True)]


def _cycle(items: Sequence[_T], size: int, rng: np.random.Generator) -> list[_T]:
    """``size`` items, each used equally often up to one, in random order within every round."""
    if not items:
        raise SycojaxError("the toy world is too small for this many records: enlarge Sizes")
    chosen: list[_T] = []
    while len(chosen) < size:
        chosen += [items[i] for i in rng.permutation(len(items))]
    return chosen[:size]


def _flags(size: int, share: float, rng: np.random.Generator) -> list[bool]:
    flags = np.arange(size) < round(share * size)
    return [bool(flag) for flag in flags[rng.permutation(size)]]


def _gsm8k(steps: int, seen: set[str], rng: np.random.Generator) -> Json:
    while True:
        question, lines, results = w.sum_story(steps, rng)
        if question not in seen:
            seen.add(question)
            return {"question": question, "answer": "\n".join(lines) + f"\n#### {results[-1]}"}


def _mmlu(world: World, fact: w.Fact, lured: bool, rng: np.random.Generator) -> Json:
    options, answer = w.lettered_fact(world, fact, lured, rng)
    return {
        "question": fact.told_question,
        "subject": fact.entity.subject,
        "choices": options,
        "answer": answer,
    }


def _hellaswag(
    world: World, script: w.Script, step: int, lured: bool, index: int, rng: np.random.Generator
) -> Json:
    context, person, endings, answer = w.story(world, script, step, lured, rng)
    return {
        "ind": index,
        "activity_label": script.name.capitalize(),
        # Not in two parts: the world's documents do not begin with an activity, as contexts in two parts are asked.
        "ctx": f"{context} {person}",
        "endings": endings,
        "source_id": f"toy~{script.name}~{step}",
        "split": "val",
        "split_type": "indomain",
        "label": str(answer),
    }


def _truthfulqa(world: World, myth: w.Myth, rng: np.random.Generator) -> Json:
    choices = w.lettered_myth(world, myth, rng)  # the true one first, as on the hub
    targets = {"choices": choices, "labels": [1, 0, 0, 0]}
    return {"question": myth.question, "mc1_targets": targets, "mc2_targets": dict(targets)}
