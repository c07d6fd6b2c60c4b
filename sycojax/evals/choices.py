"""Choosing among candidates: item names, seeded shuffles, rotations, decisions, and lettered multiple choice.

Lettered questions are asked in a per-item seeded order rotated through up to four positions (conditions
``rotation=k``) and in the stored order (``as_is``); ``sycojax.evals.letters`` reads what comes back.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.questions import question_key
from sycojax.evals.protocol import padded
from sycojax.records import Record
from sycojax.requests import Request

_Row = TypeVar("_Row")
_Unit = TypeVar("_Unit")

MAX_ROTATIONS = 4


def item_names(texts: Iterable[Sequence[str]]) -> list[str]:
    """A short name per item made from its texts, so it does not depend on the order or number of rows.

    Items with the same texts get "-2", "-3", ... appended.
    """
    seen: dict[str, int] = {}
    names = []
    for parts in texts:
        name = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def first_by(rows: Iterable[_Row], unit: Callable[[_Row], _Unit]) -> dict[_Unit, _Row]:
    """The first row of every unit, in order: probe samples repeat questions and texts."""
    first: dict[_Unit, _Row] = {}
    for row in rows:
        first.setdefault(unit(row), row)
    return first


def item_generator(seed: int, task: str, item: str) -> np.random.Generator:
    """The random numbers of one item: the same whatever other items are asked."""
    digest = hashlib.sha256(f"{seed}/{task}/{item}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def draw_items(requests: Sequence[Request], count: int, seed: int) -> list[Request]:
    """The requests of ``count`` drawn items (all of them where there are fewer), in their order: audits ask too much.

    Items are ranked by a digest of ``seed`` and their name: every audit of a probe draws the same ones, and a
    larger ``count`` draws those of a smaller one and more.
    """

    def rank(item: str) -> bytes:
        return hashlib.sha256(f"{seed}/{item}".encode()).digest()

    ranked = sorted({r.item for r in requests}, key=rank)
    drawn = set(ranked[:count])
    return [r for r in requests if r.item in drawn]


def rotations(n_options: int) -> list[int]:
    """How far the options are rotated in each of K = min(n, 4) rotations, spread evenly over n positions."""
    k = min(n_options, MAX_ROTATIONS)
    return [i * n_options // k for i in range(k)]


def pick(scores: Sequence[float] | np.ndarray, key: str) -> int:
    """Index of the highest score; among equal ones a choice fixed by ``key``, so no position profits."""
    values = np.asarray(scores)
    best = np.flatnonzero(values == values.max())
    if len(best) == 1:
        return int(best[0])
    return int(
        best[int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % len(best)]
    )


def pick_rows(scores: np.ndarray, key: Callable[[int], str]) -> np.ndarray:
    """``pick`` for every row of ``scores`` [R, C], padded with -inf; ``key(row)`` is asked for tied rows only."""
    best = scores.argmax(axis=1)
    for row in np.flatnonzero(tied_rows(scores)):
        best[row] = pick(scores[row], key(int(row)))
    return best


def tied_rows(scores: np.ndarray) -> np.ndarray:
    """Which rows of ``scores`` [R, C] have no single highest score, bool [R]."""
    return (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1


def logsumexp(values: np.ndarray) -> np.ndarray:
    """log(sum(exp(values))) along the last axis; -inf entries count for nothing, and -inf comes of no values."""
    return np.logaddexp.reduce(values, axis=-1)


def letter_coverage(records: Sequence[Record]) -> np.ndarray:
    """Probability that the answer slot holds any of a record's candidates, float64 [n]."""
    return np.exp(logsumexp(padded([r.logprobs for r in records], -np.inf)))


def sigmoid(values: np.ndarray | float) -> np.ndarray:
    """1 / (1 + exp(-values)) without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(values, np.float64)))


@dataclasses.dataclass(frozen=True)
class LetteredQuestion:
    """A question with its options in stored order and the index of the right one."""

    question: str
    options: tuple[str, ...]
    answer: int


def rotated_orders(
    task: str, item: str, question: LetteredQuestion, prompts: Prompts, seed: int
) -> list[tuple[str, np.ndarray]]:
    """Conditions and orders in which the options are shown: ``order[j]`` = stored index of the option at letter j."""
    n = len(question.options)
    order = np.arange(n) if prompts.published else item_generator(seed, task, item).permutation(n)
    return [(f"rotation={k}", np.roll(order, -s)) for k, s in enumerate(rotations(n))]


def lettered_requests(
    task: str,
    questions: Sequence[LetteredQuestion],
    published: tuple[str, str],
    prompts: Prompts,
    seed: int,
) -> list[Request]:
    """Requests in stored and in rotated order. The published recipe rotates the stored order, in its own words.

    ``meta``: ``gold`` = position of the right option, ``order[j]`` = stored index of the option at letter j,
    ``stored`` = whether the recipe asks in stored order (then ``as_is`` is the headline).
    """
    names = item_names([(q.question, *q.options) for q in questions])
    requests = []
    for item, q in zip(names, questions, strict=True):
        turned = rotated_orders(task, item, q, prompts, seed)
        asked = [("as_is", np.arange(len(q.options)))]
        for condition, displayed in [*asked, *turned]:
            options = [q.options[i] for i in displayed]
            requests.append(
                Request(
                    evaluation=task,
                    item=item,
                    condition=condition,
                    cluster=question_key(q.question),
                    prompt=prompts.multiple_choice(q.question, options, published),
                    candidates=prompts.letter_candidates(options),
                    meta={
                        "gold": int(np.flatnonzero(displayed == q.answer)[0]),
                        "order": [int(i) for i in displayed],
                        "stored": prompts.published,
                    },
                )
            )
    return requests


def lettered_examples(
    task: str, questions: Sequence[LetteredQuestion], prompts: Prompts, seed: int
) -> list[Example]:
    """Training examples; options shuffled by the item's seed except in the published recipe."""
    names = item_names([(q.question, *q.options) for q in questions])
    examples = []
    for item, q in zip(names, questions, strict=True):
        order = np.arange(len(q.options))
        if not prompts.published:
            order = item_generator(seed, task, item).permutation(len(q.options))
        options = [q.options[i] for i in order]
        answer = int(np.flatnonzero(order == q.answer)[0])
        prompt, completion = prompts.multiple_choice_training(q.question, options, answer)
        examples.append(Example(task, item, prompt, completion, loss_on_prompt=prompts.published))
    return examples
