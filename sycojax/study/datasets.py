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
from sycojax.data.sources import Source, open_source
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import EVALUATIONS
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
    probes = {name: _rows(source, name, "probe", data.probe_limit) for name in PROBES}
    tests = {name: _rows(source, name, "test", data.test_limit) for name in TASKS}
    trains = {name: _rows(source, name, "train", data.train_limit) for name in TASKS}
    summary: dict[str, Any] = {
        "rows": {
            "train": {name: len(rows) for name, rows in trains.items()},
            "test": {name: len(rows) for name, rows in tests.items()},
            "probe": {name: len(rows) for name, rows in probes.items()},
        },
        "fingerprints": {
            f"{name}_{split}": source.fingerprint(name, split)
            for names, split in ((TASKS, "train"), (TASKS, "test"), (PROBES, "probe"))
            for name in names
        },
    }
    strata = question_strata(trains["truthfulqa"], tests["truthfulqa"])
    if data.recipe == "sycojax":
        trains, dropped = drop_probe_questions(trains, probes)
        summary["contaminated_rows_dropped"] = dropped
    training, counts = _training_sets(config, trains, prompts, tokenizer)
    summary["training_examples"] = counts
    requests = {}
    for name in config.score.evaluations:
        rows = probes[name] if name in PROBES else tests[name]
        asked = EVALUATIONS[name].requests(rows, prompts, data.seed)
        requests[name] = [_completed(request, strata, config) for request in asked]
    summary["requests"] = {name: len(asked) for name, asked in requests.items()}
    return StudyData(training, requests, summary)


def _completed(request: Request, strata: Mapping[str, str], config: StudyConfig) -> Request:
    """Add what only the study knows: the stratum of a probe's question, the length of generations."""
    changes: dict[str, Any] = {}
    if request.evaluation in PROBES:
        stratum = strata.get(request.cluster, "neither")
        changes["meta"] = {**request.meta, "stratum": stratum}
    if request.max_new_tokens:
        changes["max_new_tokens"] = config.score.max_new_tokens
    return dataclasses.replace(request, **changes) if changes else request


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
    # `combined` needs every task, whichever single-task adapters are asked for.
    needed = TASKS if "combined" in config.train.adapters else config.train.adapters
    for task in needed:
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


def _rows(source: Source, name: str, split: Any, limit: int) -> list[Row]:
    rows = source.rows(name, split)
    return rows[:limit] if limit else rows


def _kind(data: DataConfig) -> Any:
    if data.source == "toy":
        raise SycojaxError("the embedded world is written to files by the command line first")
    return data.source
