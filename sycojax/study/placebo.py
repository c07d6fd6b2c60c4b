"""The placebo: the training texts of all tasks, each with the answer of another row. Form and length can be learned, a task not.

Its rows, their order and so its optimiser steps are those of ``combined``. The answers are drawn once, by
``data.seed``, for all of its seeds.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from sycojax.data.examples import Example


def with_answers_of_others(
    examples: Sequence[Example], labels: Sequence[tuple[int, int] | None], seed: int
) -> list[Example]:
    """The examples of one task with their completions permuted.

    ``labels`` as ``Evaluation.label`` gives them, one per example: answers stay among rows with equally many options,
    so that a letter always names an option and every letter is as frequent as it was. A row may draw its own answer.
    """
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        groups.setdefault(label[1] if label else 0, []).append(place)
    mixed = list(examples)
    for options, places in groups.items():
        drawn = places.copy()
        random.Random(f"placebo-{examples[places[0]].task}-{options}-{seed}").shuffle(drawn)
        for place, other in zip(places, drawn, strict=True):
            completion = examples[other].completion
            mixed[place] = dataclasses.replace(examples[place], completion=completion)
    return mixed


def counted(examples: Sequence[Example], mixed: Sequence[Example]) -> dict[str, int]:
    """How many rows there are, and how many were dealt an answer that reads as their own does."""
    same = sum(a.completion == b.completion for a, b in zip(examples, mixed, strict=True))
    return {"rows": len(examples), "with_their_own_answer": same}
