"""From rows to what is trained on and what is asked: contamination filter, splits, examples, requests."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.config import PROBES, TASKS, DataConfig, StudyConfig
from sycojax.data.contamination import drop_probe_questions, question_strata
from sycojax.data.encode import EncodedExample, encode_example
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.schemas import Row
from sycojax.data.sources import Split, open_source
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import EVALUATIONS
from sycojax.evals.protocol import with_strata
from sycojax.requests import Request


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """The encoded examples of one adapter."""

    train: list[EncodedExample]
    validation: list[EncodedExample]


@dataclasses.dataclass(frozen=True)
class StudyData:
    """Everything a study reads, and the counts its report prints."""

    training: Mapping[str, TrainingSet]  # by adapter
    requests: Mapping[str, list[Request]]  # by evaluation
    summary: Mapping[str, Any]


def prepare(config: StudyConfig, tokenizer: Tokenizer) -> StudyData:
    """Read, filter, split and encode. Raises ``SycojaxError`` on bad rows or an empty set."""
    data = config.data
    source = open_source(_kind(data), data.path)
    prompts = Prompts(data.recipe, config.base.chat_template)
    # `combined` needs every task, whichever single-task adapters are asked for.
    tasks = TASKS if "combined" in config.train.adapters else config.train.adapters
    benchmarks = tuple(name for name in TASKS if name in config.score.evaluations)
    # Every probe is read even when it is not scored: its questions must not be trained on.
    probes = {name: source.rows(name, "probe") for name in PROBES}
    tests = {name: _first(source.rows(name, "test"), data.test_limit) for name in benchmarks}
    trains = {name: _first(source.rows(name, "train"), data.train_limit) for name in tasks}
    summary: dict[str, Any] = {
        "rows": {
            "train": {name: len(rows) for name, rows in trains.items()},
            "test": {name: len(rows) for name, rows in tests.items()},
            "probe": {name: len(_first(rows, data.probe_limit)) for name, rows in probes.items()},
        },
        "fingerprints": {
            f"{name}_{split}": source.fingerprint(name, split)
            for names, split in _splits(tasks, benchmarks)
            for name in names
        },
    }
    strata = question_strata(trains.get("truthfulqa", []), tests.get("truthfulqa", []))
    if data.recipe == "sycojax":
        trains, dropped = drop_probe_questions(trains, probes)
        summary["contaminated_rows_dropped"] = dropped
    training, counts = _training_sets(config, trains, prompts, tokenizer)
    summary["training_examples"] = counts
    requests = {}
    for name in config.score.evaluations:
        if name in PROBES:
            rows = _first(probes[name], data.probe_limit)
            asked = EVALUATIONS[name].requests(rows, prompts, data.seed)
            requests[name] = with_strata(asked, strata)
        else:
            asked = EVALUATIONS[name].requests(tests[name], prompts, data.seed)
            requests[name] = [_with_length(r, config.score.max_new_tokens) for r in asked]
    summary["requests"] = {name: len(asked) for name, asked in requests.items()}
    return StudyData(training, requests, summary)


def _splits(
    tasks: tuple[str, ...], benchmarks: tuple[str, ...]
) -> tuple[tuple[tuple[str, ...], Split], ...]:
    return (tasks, "train"), (benchmarks, "test"), (PROBES, "probe")


def _with_length(request: Request, max_new_tokens: int) -> Request:
    if not request.max_new_tokens:
        return request
    return dataclasses.replace(request, max_new_tokens=max_new_tokens)


def split_validation(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """A seeded split that holds out ``fraction`` of the examples, at least one, whatever their order."""
    order = list(range(len(examples)))
    random.Random(f"validation-{seed}").shuffle(order)
    held_out = max(round(len(examples) * fraction), 1)
    if held_out >= len(examples):
        raise SycojaxError(
            f"{len(examples)} training examples are too few for a validation split of {fraction}"
        )
    chosen = set(order[:held_out])
    train = [e for i, e in enumerate(examples) if i not in chosen]
    return train, [e for i, e in enumerate(examples) if i in chosen]


def _training_sets(
    config: StudyConfig, trains: Mapping[str, list[Row]], prompts: Prompts, tokenizer: Tokenizer
) -> tuple[dict[str, TrainingSet], dict[str, Any]]:
    data, counts = config.data, {}
    single: dict[str, TrainingSet] = {}
    for task in trains:
        examples = EVALUATIONS[task].examples(trains[task], prompts, data.seed)
        parts = split_validation(examples, data.validation_fraction, data.seed)
        encoded = []
        cut = lost = 0
        for part in parts:
            rows = [encode_example(tokenizer, example, data.max_length) for example in part]
            kept = [row for row in rows if row is not None]
            cut += sum(row.truncated for row in kept)
            lost += len(rows) - len(kept)
            encoded.append(kept)
        if not encoded[0] or not encoded[1]:
            raise SycojaxError(
                f"{task}: no training example is left after cutting at max_length={data.max_length}"
            )
        single[task] = TrainingSet(*encoded)
        counts[task] = {
            "train": len(encoded[0]),
            "validation": len(encoded[1]),
            "cut_at_max_length": cut,
            "lost_to_max_length": lost,
            "tokens": sum(len(e.token_ids) for e in encoded[0]),
        }
    sets = {}
    for adapter in config.train.adapters:
        if adapter == "combined":
            sets[adapter] = TrainingSet(
                [e for task in TASKS for e in single[task].train],
                [e for task in TASKS for e in single[task].validation],
            )
        else:
            sets[adapter] = single[adapter]
    return sets, counts


def _first(rows: list[Row], limit: int) -> list[Row]:
    return rows[:limit] if limit else rows


def _kind(data: DataConfig) -> Any:
    if data.source == "toy":
        raise SycojaxError("the embedded world is written to files by the command line first")
    return data.source
