"""Which questions a model was trained on are also asked by a probe, after harmless differences are removed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from sycojax.data.schemas import FeedbackRow, HellaswagRow, Row
from sycojax.errors import SycojaxError

Stratum = Literal["train", "test", "neither"]


def question_key(text: str) -> str:
    """What two spellings of one question share: NFKC, casefold, punctuation to space, spaces squeezed.

    Questions of nothing but punctuation keep it, so that they do not all become one.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = "".join(" " if unicodedata.category(c).startswith("P") else c for c in folded)
    return " ".join(spaced.split()) or folded.strip()


def row_question(row: Row) -> str:
    """The text a row asks about: its question, hellaswag's context, feedback's argument.

    Raises ``SycojaxError`` on a row of a kind that says no question.
    """
    if isinstance(row, HellaswagRow):
        return row.ctx
    if isinstance(row, FeedbackRow):
        return row.text
    question = getattr(row, "question", None)
    if not isinstance(question, str):
        raise SycojaxError(
            f"{row.origin}: a {type(row).__name__} has no question, by which training rows that ask the same are found: "
            "give the class a property of that name (docs/extending.md)"
        )
    return question


def drop_probe_questions(
    train_rows: Mapping[str, Sequence[Row]], probe_rows: Mapping[str, Sequence[Row]]
) -> tuple[dict[str, list[Row]], dict[str, dict[str, int]]]:
    """Remove every training row whose question some probe asks; both arguments are rows by name.

    Returns what is kept, in order, and counts of dropped rows: ``counts[task]["rows"]`` in all and
    ``counts[task][probe]`` by probe (a row that two probes ask counts for both).
    """
    asked = {probe: question_keys(rows) for probe, rows in probe_rows.items()}
    kept: dict[str, list[Row]] = {}
    counts: dict[str, dict[str, int]] = {}
    for task, rows in train_rows.items():
        kept[task] = []
        counts[task] = dict.fromkeys(("rows", *asked), 0)
        for row in rows:
            key = question_key(row_question(row))
            hits = [probe for probe, keys in asked.items() if key in keys]
            if not hits:
                kept[task].append(row)
                continue
            for name in ("rows", *hits):
                counts[task][name] += 1
    return kept, counts


def question_strata(train_rows: Iterable[Row], test_rows: Iterable[Row]) -> dict[str, Stratum]:
    """Question key -> the split it occurs in; "train" where it is in both. Other keys are "neither"."""
    strata: dict[str, Stratum] = dict.fromkeys(question_keys(test_rows), "test")
    strata.update(dict.fromkeys(question_keys(train_rows), "train"))
    return strata


def question_keys(rows: Iterable[Row]) -> set[str]:
    """The keys of all rows' questions."""
    return {question_key(row_question(row)) for row in rows}
