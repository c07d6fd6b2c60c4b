"""Rows from the Hugging Face hub, drawn so that a study needs no files of its own.

The published study took both its splits of a task from one official split; so does this source, with the
study's sizes. Which rows they were is not known for the hub's order, so the draw is our own, seeded with 42:
train rows first, then test rows whose question is not among the train rows. Each probe is 300 rows of
SycophancyEval drawn from the parts the study used. Where the rows of an evaluation are stands in its file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sycojax.data.data_sets import DataSet, Split
from sycojax.data.questions import question_key
from sycojax.data.sources_files import read_jsonl
from sycojax.errors import SycojaxError

SEED = 42


@dataclasses.dataclass(frozen=True)
class HubTask:
    """One task's place on the hub and how many rows are drawn from it."""

    repository: str
    config: str | None
    split: str
    question: str  # the field that says when two rows are the same question
    train: int
    test: int


@dataclasses.dataclass(frozen=True)
class HubProbe:
    """A probe's rows: drawn from ``NAME.jsonl`` of a repository, of the parts that ``base.dataset`` names."""

    datasets: tuple[str, ...]  # empty: all of them
    repository: str = "meg-tong/sycophancy-eval"
    rows: int = 300


T = TypeVar("T")


def read_hub(data_set: DataSet, split: Split) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(origin, raw record) pairs of a drawn split.

    Raises ``SycojaxError`` when the hub has none, cannot be reached and its files are not in the local cache, or
    when there are fewer rows than are to be drawn.
    """
    place = data_set.hub
    if place is None:
        raise SycojaxError(
            f"{data_set.name} does not say where the hub has its rows: give it rows of its own (docs/extending.md)"
        )
    return _probe(data_set.name, place) if split == "probe" else _task(place, split)


def draw(
    questions: list[str], train: int, test: int, seed: int = SEED
) -> tuple[list[int], list[int]]:
    """Disjoint indices of ``train`` and ``test`` rows, no test question among the train questions.

    Raises ``SycojaxError`` when there are too few rows.
    """
    order = [int(i) for i in np.random.default_rng(seed).permutation(len(questions))]
    first = order[:train]
    taken = {question_key(questions[i]) for i in first}
    second = [i for i in order[train:] if question_key(questions[i]) not in taken][:test]
    if len(first) < train or len(second) < test:
        raise SycojaxError(
            f"{len(questions)} rows are too few to draw {train} for training and {test} for testing"
        )
    return first, second


def _task(task: HubTask, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import datasets

    table = _reached(
        lambda: datasets.load_dataset(task.repository, task.config, split=task.split),
        task.repository,
    )
    train, test = draw(list(table[task.question]), task.train, task.test)
    for index in train if split == "train" else test:
        yield f"{task.repository} {task.split}[{index}]", table[index]


def _probe(name: str, probe: HubProbe) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The file is read line by line: its rows do not share one schema, which ``load_dataset`` needs."""
    import huggingface_hub

    file = f"{name}.jsonl"
    path = _reached(
        lambda: huggingface_hub.hf_hub_download(probe.repository, file, repo_type="dataset"),
        probe.repository,
    )
    rows = list(read_jsonl(Path(path), f"{probe.repository}/{file}"))
    wanted = probe.datasets
    usable = [p for p in rows if not wanted or (p[1].get("base") or {}).get("dataset") in wanted]
    if len(usable) < probe.rows:
        raise SycojaxError(
            f"{probe.repository}/{file} has {len(usable)} rows of {', '.join(wanted) or 'any kind'}, "
            f"{probe.rows} are to be drawn"
        )
    chosen = np.random.default_rng(SEED).choice(len(usable), probe.rows, replace=False)
    yield from (usable[i] for i in sorted(chosen))


def _reached(load: Callable[[], T], repository: str) -> T:
    try:
        return load()
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())  # of several paragraphs, where the hub refuses
        raise SycojaxError(
            f"cannot read {repository} from the hub ({type(error).__name__}: {said}); check the network, "
            "or use data.source='files' with a local copy"
        ) from error
