"""From rows to what is trained on and what is asked: contamination filter, splits, examples, requests."""

from __future__ import annotations

import collections
import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.config import PROBES, TASKS, StudyConfig
from sycojax.data.contamination import (
    drop_probe_questions,
    question_key,
    question_keys,
    question_strata,
    row_question,
)
from sycojax.data.encode import EncodedExample, encode_example
from sycojax.data.examples import Example
from sycojax.data.prompts import LETTERS, Prompts
from sycojax.data.schemas import HellaswagRow, MmluRow, Row, TruthfulqaRow
from sycojax.data.sources import Split, open_source
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import AUDITS, EVALUATIONS, subject
from sycojax.evals.protocol import with_strata
from sycojax.evals.subset import draw_items
from sycojax.evals.templates import InTemplate
from sycojax.requests import Request

# The completion of an example that answers with a letter, in either recipe.
_LETTER = re.compile(r" ?([A-Z])\)?(?: ?</s>)?")


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
    source = open_source(data.source, data.path, data.world_seed)
    prompts = Prompts(data.recipe, config.base.chat_template)
    # `combined` needs every task, whichever single-task adapters are asked for.
    tasks = TASKS if "combined" in config.train.adapters else config.train.adapters
    benchmarks = tuple(name for name in TASKS if name in config.score.evaluations)
    # Every probe is read even when it is not scored: its questions must not be trained on.
    probes = {name: source.rows(name, "probe") for name in PROBES}
    probed = {name: _first(rows, data.probe_limit) for name, rows in probes.items()}
    tests = {name: _first(source.rows(name, "test"), data.test_limit) for name in benchmarks}
    trains = {name: _first(source.rows(name, "train"), data.train_limit) for name in tasks}
    summary: dict[str, Any] = {
        "rows": {
            "train": {name: len(rows) for name, rows in trains.items()},
            "test": {name: len(rows) for name, rows in tests.items()},
            "probe": {name: len(rows) for name, rows in probed.items()},
        },
        "fingerprints": {
            f"{name}_{split}": source.fingerprint(name, split)
            for names, split in _splits(tasks, benchmarks)
            for name in names
        },
    }
    strata = question_strata(trains.get("truthfulqa", []), tests.get("truthfulqa", []))
    summary["contamination"] = {n: _contamination(rows, strata) for n, rows in probed.items()}
    if data.recipe == "sycojax":
        trains, dropped = drop_probe_questions(trains, probes)
        summary["contaminated_rows_dropped"] = dropped
    asked_by = {probe: question_keys(rows) for probe, rows in probes.items()}
    trained_on = {task: question_keys(rows) for task, rows in trains.items()}
    summary["trained_on_probe"] = {
        task: {probe: len(keys & asked) for probe, asked in asked_by.items()}
        for task, keys in trained_on.items()
    }
    examples = {
        task: EVALUATIONS[task].examples(rows, prompts, data.seed) for task, rows in trains.items()
    }
    summary["label_positions"] = {
        task: positions
        for task, rows in trains.items()
        if (positions := _label_positions(rows, examples[task]))
    }
    training, counts = _training_sets(config, examples, tokenizer)
    summary["training_examples"] = counts
    requests = {}
    for name in asked_evaluations(config):
        about, role = subject(name), EVALUATIONS[name].role
        rows = probed[about] if about in PROBES else tests[about]
        asked = EVALUATIONS[name].requests(rows, prompts, data.seed)
        if about in PROBES:
            asked = with_strata(asked, strata)
        if role == "audit":
            asked = draw_items(asked, config.score.audit_items, data.seed)
        if role == "benchmark":
            asked = [_with_length(r, config.score.max_new_tokens) for r in asked]
        requests[name] = asked
    summary["requests"] = {name: len(asked) for name, asked in requests.items()}
    return StudyData(training, requests, summary)


def probe_rows(config: StudyConfig) -> dict[str, list[Row]]:
    """The rows of every probe that a study with ``config`` asks about. Raises ``SycojaxError`` on bad rows."""
    data = config.data
    source = open_source(data.source, data.path, data.world_seed)
    return {n: _first(source.rows(n, "probe"), data.probe_limit) for n in PROBES}


def asked_evaluations(config: StudyConfig) -> list[str]:
    """Names in ``EVALUATIONS`` of all that a study asks: its benchmarks and probes, then their audits.

    ``score.protocol="published"`` puts the published form in place of a probe. An audit in the template that
    the study uses anyway would repeat the probe, and is left out.
    """
    score = config.score
    ours, published = score.protocol != "published", score.protocol != "sycojax"
    names = [name for name in score.evaluations if name in TASKS or ours]
    for name, audit in AUDITS.items():
        if audit.subject not in score.evaluations:
            continue
        same = isinstance(audit, InTemplate) and audit.template == config.base.chat_template
        drawn = ours and score.audit_items > 0 and not same
        if drawn if audit.role == "audit" else published:
            names.append(name)
    return names


def _contamination(rows: Sequence[Row], strata: Mapping[str, str]) -> dict[str, int]:
    """Rows of a probe by the split that asks their question, and its distinct questions."""
    keys = [question_key(row_question(row)) for row in rows]
    found = collections.Counter(strata.get(key, "neither") for key in keys)
    by_stratum = {name: found[name] for name in ("train", "test", "neither")}
    return {"rows": len(rows), **by_stratum, "clusters": len(set(keys))}


def _label_positions(rows: Sequence[Row], examples: Sequence[Example]) -> dict[str, list[Any]]:
    """How often the right option stands at each position: in the rows, and in the examples that name a letter.

    ``expected``: how often chance would put it there in these examples, whose numbers of options differ.
    """
    labelled = [_label(row) for row in rows]
    found = [answer for answer in labelled if answer is not None]
    if not found:
        return {}
    size = max(n for _, n in found)
    positions = {"stored": _counts([index for index, _ in found], size)}
    letters = [_LETTER.fullmatch(example.completion) for example in examples]
    shown = [LETTERS.index(match[1]) for match in letters if match]
    if not shown:
        return positions
    sizes = [own[1] for own, match in zip(labelled, letters, strict=True) if own and match]
    expected = [round(sum(1 / n for n in sizes if i < n), 3) for i in range(size)]
    return {**positions, "shown": _counts(shown, size), "expected": expected}


def _label(row: Row) -> tuple[int, int] | None:
    """Index of the right option and number of options, where a row has options."""
    if isinstance(row, MmluRow):
        return row.answer, len(row.choices)
    if isinstance(row, TruthfulqaRow):
        return row.mc1_labels.index(1), len(row.mc1_labels)
    return (row.label, len(row.endings)) if isinstance(row, HellaswagRow) else None


def _counts(indices: Sequence[int], size: int) -> list[int]:
    counted = collections.Counter(indices)
    return [counted[i] for i in range(size)]


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
    config: StudyConfig, examples: Mapping[str, list[Example]], tokenizer: Tokenizer
) -> tuple[dict[str, TrainingSet], dict[str, Any]]:
    data, counts = config.data, {}
    single: dict[str, TrainingSet] = {}
    for task in examples:
        parts = split_validation(examples[task], data.validation_fraction, data.seed)
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
