"""Training rows that are test items of the same benchmark: refused before training, or counted where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.data.contamination import item_key
from sycojax.errors import SycojaxError
from sycojax.evals.protocol import Evaluation


def trained_test_items(
    tasks: Mapping[str, Evaluation],
    trains: Mapping[str, Sequence[Any]],
    tests: Mapping[str, Sequence[Any]],
    *,
    keep: bool,
) -> dict[str, int]:
    """How many of a task's training rows are items of its own test, for tasks with any.

    Raises ``SycojaxError`` naming the first one and its test item unless ``keep``.
    """
    found = {}
    for name, rows in trains.items():
        asked = {_key(tasks[name], row): row.origin for row in reversed(tests.get(name, ()))}
        hits = [row for row in rows if _key(tasks[name], row) in asked]
        if hits and not keep:
            more = f" (and {len(hits) - 1} more rows are test items)" if len(hits) > 1 else ""
            raise SycojaxError(
                f"{hits[0].origin} of {name} would be trained on and is its test item {asked[_key(tasks[name], hits[0])]}{more}: "
                "take such rows out of the training file, or set data.keep_test_items=True to train on them and have the "
                "report say so"
            )
        if hits:
            found[name] = len(hits)
    return found


def _key(task: Evaluation, row: Any) -> tuple[str, str]:
    label, options = task.label(row), task.options_of(row)
    return item_key(task.question(row), options[label[0]] if label and options else None)
