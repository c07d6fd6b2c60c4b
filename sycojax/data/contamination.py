"""Which questions a model was trained on are also asked: by a probe, or by the benchmark's own test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, TypeVar

from sycojax.data.questions import question_key as question_key  # what rows are matched by

Stratum = Literal["train", "test", "neither"]
_Row = TypeVar("_Row")


def drop_probe_questions(
    rows: Mapping[str, Sequence[_Row]],
    keys: Mapping[str, Sequence[str]],
    asked: Mapping[str, AbstractSet[str]],
) -> tuple[dict[str, list[_Row]], dict[str, dict[str, int]]]:
    """Remove every training row whose question some probe asks.

    ``rows`` and ``keys`` are training rows and the keys of their questions, by task; ``asked`` the keys of a probe's
    questions, by probe. Returns the rows that remain, in order, and counts of dropped ones: ``counts[task]["rows"]`` in
    all and ``counts[task][probe]`` by probe (a row that two probes ask counts for both).
    """
    remaining: dict[str, list[_Row]] = {}
    counts: dict[str, dict[str, int]] = {}
    for task in rows:
        remaining[task] = []
        counts[task] = dict.fromkeys(("rows", *asked), 0)
        for row, key in zip(rows[task], keys[task], strict=True):
            hits = [probe for probe, of_probe in asked.items() if key in of_probe]
            if not hits:
                remaining[task].append(row)
                continue
            for name in ("rows", *hits):
                counts[task][name] += 1
    return remaining, counts


def item_key(question: str, right: str | None) -> tuple[str, str]:
    """What one item of a benchmark is known by: its question, and its right option where it has options.

    "Which of these is correct?" is asked of many options; with other options it is another item.
    """
    return question_key(question), "" if right is None else question_key(right)


def question_strata(train: Iterable[str], test: Iterable[str]) -> dict[str, Stratum]:
    """Question key -> the split it occurs in; "train" where it is in both. Other keys are "neither"."""
    strata: dict[str, Stratum] = dict.fromkeys(test, "test")
    strata.update(dict.fromkeys(train, "train"))
    return strata
