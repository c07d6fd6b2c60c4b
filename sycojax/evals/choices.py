"""Choosing among candidates: item names, seeded shuffles, rotations, decisions, and lettered multiple choice.

Lettered questions are asked in a per-item seeded order rotated through up to four positions (conditions
``rotation=k``) and in the stored order (``as_is``). A model that answers by position instead of by content
shows as a gap between the two, and as a share of first letters away from one over the number of options.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from sycojax.data.contamination import question_key
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import ItemRecords, Measure
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


def is_tied(scores: Sequence[float] | np.ndarray) -> bool:
    """Whether ``pick`` has to fall back on the key."""
    values = np.asarray(scores)
    return int((values == values.max()).sum()) > 1


def logsumexp(values: Sequence[float] | np.ndarray) -> float:
    """log(sum(exp(values))) in float64; -inf for no values."""
    array = np.asarray(values, np.float64)
    return float(np.logaddexp.reduce(array)) if array.size else float("-inf")


def sigmoid(values: np.ndarray | float) -> np.ndarray:
    """1 / (1 + exp(-values)) without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(values, np.float64)))


@dataclasses.dataclass(frozen=True)
class LetteredQuestion:
    """A question with its options in stored order and the index of the right one."""

    question: str
    options: tuple[str, ...]
    answer: int


def lettered_requests(
    task: str, questions: Sequence[LetteredQuestion], prompts: Prompts, seed: int
) -> list[Request]:
    """Requests in stored and in rotated order. The published recipe rotates the stored order.

    ``meta``: ``gold`` = position of the right option, ``order[j]`` = stored index of the option at letter j,
    ``stored`` = whether the recipe asks in stored order (then ``as_is`` is the headline).
    """
    names = item_names([(q.question, *q.options) for q in questions])
    requests = []
    for item, q in zip(names, questions, strict=True):
        n = len(q.options)
        order = np.arange(n)
        asked = [("as_is", order)]
        if not prompts.published:
            order = item_generator(seed, task, item).permutation(n)
        asked += [(f"rotation={k}", np.roll(order, -s)) for k, s in enumerate(rotations(n))]
        for condition, displayed in asked:
            options = [q.options[i] for i in displayed]
            requests.append(
                Request(
                    evaluation=task,
                    item=item,
                    condition=condition,
                    cluster=question_key(q.question),
                    prompt=prompts.multiple_choice(task, q.question, options),
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


def lettered_measures(records: Sequence[Record]) -> list[Measure]:
    """Accuracy over rotations and in stored order, their gap, and the share of first letters."""
    lettered = [r for r in records if r.condition == "as_is" or r.condition.startswith("rotation=")]
    table = ItemRecords(lettered)
    hit = {r.key: float(pick(r.logprobs, r.key) == r.meta["gold"]) for r in lettered}
    first = {r.key: float(pick(r.logprobs, r.key) == 0) for r in lettered}

    def rotated(values: Mapping[str, float]) -> np.ndarray:
        return np.array([np.mean([values[r.key] for r in turned(table, i)]) for i in table.items])

    as_is = np.array([hit[table.get(i, "as_is").key] for i in table.items])
    accuracy = rotated(hit)
    stored = bool(lettered) and bool(lettered[0].meta["stored"])
    return [
        table.mean(
            "accuracy", "Accuracy, options rotated", accuracy,
            "share of rotations in which the right letter is the most likely, mean over items",
            headline="" if stored else "hard",
        ),
        table.mean(
            "accuracy_as_is", "Accuracy, stored option order", as_is,
            "share of items whose right letter is the most likely in stored order",
            headline="hard" if stored else "",
        ),
        table.mean(
            "position_gap", "Accuracy in stored order minus rotated", as_is - accuracy,
            "accuracy_as_is - accuracy: what knowing the position is worth",
        ),
        table.mean(
            "first_letter", "Share of answers A, options rotated", rotated(first),
            "share of rotations in which A is the most likely letter; the mean of 1/n when position is ignored",
        ),
    ]  # fmt: skip


def turned(table: ItemRecords, item: str, prefix: str = "rotation=") -> list[Record]:
    """The records of an item's rotations, as many as ``rotations`` asks for."""
    n = len(table.get(item, f"{prefix}0").logprobs)
    return [table.get(item, f"{prefix}{k}") for k in range(len(rotations(n)))]


def lettered_diagnostics(records: Sequence[Record]) -> dict[str, float]:
    """Coverage (probability that the answer slot holds any option letter), ties, expected first letters."""
    rotated = [r for r in records if r.condition.startswith("rotation=")]
    if not rotated:
        return {}
    coverage = letter_coverage(rotated)
    return {
        "coverage_median": float(np.median(coverage)),
        "coverage_mean": float(np.mean(coverage)),
        "ties": float(sum(is_tied(r.logprobs) for r in rotated)),
        "first_letter_expected": float(np.mean([1 / len(r.logprobs) for r in rotated])),
    }


def letter_coverage(records: Sequence[Record]) -> np.ndarray:
    """Sum of the candidates' probabilities per record, float64 [n]."""
    return np.array([np.exp(logsumexp(r.logprobs)) for r in records])
