"""From rows to what is trained on and what is asked: contamination filter, splits, examples, requests."""

from __future__ import annotations

import collections
import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sycojax.config import DataConfig, StudyConfig
from sycojax.data.contamination import drop_probe_questions, question_strata
from sycojax.data.encode import EncodedExample, encode_example
from sycojax.data.examples import Example
from sycojax.data.prompts import LETTERS, Prompts
from sycojax.data.questions import question_key
from sycojax.data.sources import Source, open_source
from sycojax.data.template_audit import audit_template
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN, Evaluations, evaluations
from sycojax.evals.choices import draw_items
from sycojax.evals.protocol import Evaluation, with_strata
from sycojax.evals.readouts import Instrument
from sycojax.evals.templates import InTemplate
from sycojax.records import COMBINED, PLACEBO
from sycojax.requests import Request
from sycojax.study.fitting import fitting
from sycojax.study.inputs import prompts_of
from sycojax.study.overlap import trained_test_items
from sycojax.study.placebo import counted, with_answers_of_others
from sycojax.study.shown import shown

# The completion of an example that answers with a letter, in either recipe.
_LETTER = re.compile(r" ?([A-Z])\)?")


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
    strata: Mapping[str, str]  # question key -> where training has it, too


def prepare(config: StudyConfig, tokenizer: Tokenizer, context: int | None = None) -> StudyData:
    """Read, filter, split and encode; items longer than ``context`` tokens are not asked.

    Raises ``SycojaxError`` on bad rows, an empty set, or training rows that are test items.
    """
    data, registry = config.data, evaluations(config.data.probes)
    source = source_of(config)
    prompts = prompts_of(config, tokenizer)
    # `combined` and `placebo` need every task of the package, whichever single-task adapters are asked for.
    of_all = {COMBINED, PLACEBO} & {*config.train.adapters}
    single = [name for name in config.train.adapters if name not in of_all]
    tasks = tuple(dict.fromkeys((*BUILTIN.benchmarks, *single))) if of_all else single
    scored = _asked_subjects(config, registry)
    benchmarks = tuple(name for name in registry.benchmarks if name in scored)
    # Every probe is read even when it is not scored: its questions must not be trained on.
    probes = {name: source.rows(name, "probe") for name in registry.probes}
    probed = {name: _probed(registry[name], rows, data) for name, rows in probes.items()}
    tests = {name: _first(source.rows(name, "test"), data.test_limit) for name in benchmarks}
    trains = {name: _first(source.rows(name, "train"), data.train_limit) for name in tasks}
    summary: dict[str, Any] = {
        "rows": {
            split: {name: len(rows) for name, rows in by_name.items()}
            for split, by_name in (("train", trains), ("test", tests), ("probe", probed))
        },
        "fingerprints": {
            **{f"{name}_train": source.fingerprint(name, "train") for name in tasks},
            **{f"{name}_test": source.fingerprint(name, "test") for name in benchmarks},
            **{f"{name}_probe": source.fingerprint(name, "probe") for name in registry.probes},
        },
    }

    def keys(rows_by_name: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        return {
            name: [question_key(registry[name].question(row)) for row in rows]
            for name, rows in rows_by_name.items()
        }

    strata = _strata(registry, keys(trains), keys(tests))
    summary["contamination"] = {
        n: _contamination(found, strata) for n, found in keys(probed).items()
    }
    asked_by = {probe: set(found) for probe, found in keys(probes).items()}
    if data.recipe == "sycojax":
        trains, dropped = drop_probe_questions(trains, keys(trains), asked_by)
        summary["contaminated_rows_dropped"] = dropped
    tested = trained_test_items(registry, trains, tests, keep=data.keep_test_items)
    if tested:
        summary["test_items_trained_on"] = tested
    if source.irregular:
        summary["irregular"] = {
            f"{name} {split}": dict(counts) for (name, split), counts in source.irregular.items()
        }
    questions = keys(trains)
    summary["trained_on_probe"] = {
        task: {probe: len(asked & set(found)) for probe, asked in asked_by.items()}
        for task, found in questions.items()
    }
    examples = {
        task: _asking(questions[task], registry[task].examples(rows, prompts, data.seed))
        for task, rows in trains.items()
    }
    summary["label_positions"] = {
        task: positions
        for task, rows in trains.items()
        if (positions := _label_positions(registry[task], rows, examples[task], prompts))
    }
    training, summary["training_examples"] = training_sets(config.data, examples, tokenizer)
    if COMBINED in of_all:
        training[COMBINED] = _joined(training)
    if PLACEBO in of_all:
        placebo = {
            task: with_answers_of_others(
                examples[task], [registry[task].label(row) for row in trains[task]], data.seed
            )
            for task in BUILTIN.benchmarks
        }
        training[PLACEBO] = _joined(training_sets(data, placebo, tokenizer)[0])
        summary["placebo"] = {t: counted(examples[t], several) for t, several in placebo.items()}
    training = {name: training[name] for name in config.train.adapters}
    requests: dict[str, list[Request]] = {}
    for name in asked_evaluations(config):
        about, role = registry.subject(name), registry[name].role
        rows = probed[about] if about in probed else tests[about]
        asked = requests_of(registry, name, rows, prompts, data.seed)
        if about in probed:
            asked = with_strata(asked, strata)
        if role == "audit":
            asked = draw_items(asked, config.score.audit_items, data.seed)
        if role == "benchmark":
            asked = [_with_length(r, config.score.max_new_tokens) for r in asked]
        requests[name] = asked
    if context is not None:
        requests, too_long = fitting(requests, registry, prompts, tokenizer, context)
        if too_long:
            summary["longer_than_the_context"] = too_long
    audit_template(prompts, tokenizer, (r for asked in requests.values() for r in asked))
    asked_first = {name: requests[name] for name in scored if name in requests}
    summary["prompts"] = [dataclasses.asdict(one) for one in shown(examples, asked_first)]
    summary["requests"] = {name: len(asked) for name, asked in requests.items()}
    return StudyData(training, requests, summary, strata)


def _asking(questions: Sequence[str], examples: Sequence[Example]) -> list[Example]:
    """The examples with the question that each asks, where a task makes one of every row."""
    if len(questions) != len(examples):
        return list(examples)
    pairs = zip(questions, examples, strict=True)
    return [dataclasses.replace(example, question=question) for question, example in pairs]


def requests_of(
    registry: Evaluations, name: str, rows: Sequence[Any], prompts: Prompts, seed: int
) -> list[Request]:
    """What an evaluation asks. Where a user's file defines it, requests carry the file's digest: records depend on it."""
    asked, digest = registry[name].requests(rows, prompts, seed), registry.digest(name)
    if not digest:
        return asked
    return [dataclasses.replace(r, meta={**r.meta, "file": digest}) for r in asked]


def probe_rows(config: StudyConfig) -> dict[str, list[Any]]:
    """The rows of every probe that a study with ``config`` asks about. Raises ``SycojaxError`` on bad rows."""
    registry = evaluations(config.data.probes)
    source = source_of(config)
    return {n: _probed(registry[n], source.rows(n, "probe"), config.data) for n in registry.probes}


def instruments(config: StudyConfig) -> dict[str, Instrument]:
    """The probes that a study asks in arms, and how."""
    registry = evaluations(config.data.probes)
    if not config.score.readout_items or config.score.protocol == "published":
        return {}
    return {
        name: instrument
        for name in _asked_subjects(config, registry)
        if (instrument := registry[name].instrument) and name in registry.probes
    }


def source_of(config: StudyConfig) -> Source:
    """Where the config's rows come from. Raises ``SycojaxError`` when there is no such directory."""
    data = config.data
    return open_source(data.source, data.path, evaluations(data.probes), data.world_seed)


def _asked_subjects(config: StudyConfig, registry: Evaluations) -> tuple[str, ...]:
    """The benchmarks and probes of a study: those of ``score.evaluations``, and those of a user's files."""
    return tuple(dict.fromkeys((*config.score.evaluations, *registry.added)))


def asked_evaluations(config: StudyConfig) -> list[str]:
    """Names of all that a study asks: its benchmarks and probes, then their other forms.

    ``score.protocol="published"`` puts the published form in place of a probe. An audit in the template that
    the study uses anyway would repeat the probe, and is left out.
    """
    score, registry = config.score, evaluations(config.data.probes)
    subjects = _asked_subjects(config, registry)
    ours, published = score.protocol != "published", score.protocol != "sycojax"
    names = [name for name in subjects if name in registry.benchmarks or ours]
    for name, form in registry.forms.items():
        if form.subject.name not in subjects or form.role == "readout":
            continue  # which readout is asked is decided later: study/readouts.py
        same = isinstance(form, InTemplate) and form.template == config.base.chat_template
        drawn = ours and score.audit_items > 0 and not same
        if drawn if form.role == "audit" else published:
            names.append(name)
    return names


def _strata(
    registry: Evaluations, train: Mapping[str, list[str]], test: Mapping[str, list[str]]
) -> Mapping[str, str]:
    """Where a question was seen, by its key: in the splits of the tasks that share questions with probes."""
    shared = [name for name in registry.benchmarks if registry[name].shared_with_probes]
    of_split = [[key for name in shared for key in keys.get(name, [])] for keys in (train, test)]
    return question_strata(*of_split)


def _contamination(keys: Sequence[str], strata: Mapping[str, str]) -> dict[str, int]:
    """Rows of a probe by the split that asks their question, and its distinct questions."""
    found = collections.Counter(strata.get(key, "neither") for key in keys)
    by_stratum = {name: found[name] for name in ("train", "test", "neither")}
    return {"rows": len(keys), **by_stratum, "clusters": len(set(keys))}


def _label_positions(
    task: Evaluation, rows: Sequence[Any], examples: Sequence[Example], prompts: Prompts
) -> dict[str, list[Any]]:
    """How often the right option stands at each position: in the rows, and in the examples that name a letter.

    ``expected``: how often chance would put it there in these examples, whose numbers of options differ.
    """
    labelled = [task.label(row) for row in rows]
    found = [answer for answer in labelled if answer is not None]
    if not found:
        return {}
    size = max(n for _, n in found)
    positions = {"stored": _counts([index for index, _ in found], size)}
    said = [example.completion.removesuffix(prompts.end_of_turn) for example in examples]
    letters = [_LETTER.fullmatch(text) for text in said]
    shown = [LETTERS.index(match[1]) for match in letters if match]
    if not shown:
        return positions
    sizes = [own[1] for own, match in zip(labelled, letters, strict=True) if own and match]
    expected = [round(sum(1 / n for n in sizes if i < n), 3) for i in range(size)]
    return {**positions, "shown": _counts(shown, size), "expected": expected}


def _counts(indices: Sequence[int], size: int) -> list[int]:
    counted = collections.Counter(indices)
    return [counted[i] for i in range(size)]


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


def training_sets(
    data: DataConfig, examples: Mapping[str, Sequence[Example]], tokenizer: Tokenizer
) -> tuple[dict[str, TrainingSet], dict[str, Any]]:
    """By task, what is trained on and held out, encoded; and what came of its examples, counted.

    Raises ``SycojaxError`` where one of the two is empty.
    """
    sets: dict[str, TrainingSet] = {}
    counts: dict[str, Any] = {}
    for task in examples:
        parts = split_validation(examples[task], data.validation_fraction, data.seed)
        encoded = []
        cut = lost = 0
        for part in parts:
            rows = [encode_example(tokenizer, example, data.max_length) for example in part]
            remaining = [row for row in rows if row is not None]
            cut += sum(row.truncated for row in remaining)
            lost += len(rows) - len(remaining)
            encoded.append(remaining)
        if not encoded[0] or not encoded[1]:
            raise SycojaxError(
                f"{task}: no training example is left after cutting at max_length={data.max_length}"
            )
        sets[task] = TrainingSet(*encoded)
        counts[task] = {
            "train": len(encoded[0]),
            "validation": len(encoded[1]),
            "cut_at_max_length": cut,
            "lost_to_max_length": lost,
            "tokens": sum(len(e.token_ids) for e in encoded[0]),
        }
    return sets, counts


def _joined(single: Mapping[str, TrainingSet]) -> TrainingSet:
    """The sets of the package's tasks, one behind the other."""
    return TrainingSet(
        [e for task in BUILTIN.benchmarks for e in single[task].train],
        [e for task in BUILTIN.benchmarks for e in single[task].validation],
    )


def _probed(probe: Evaluation, rows: list[Any], data: DataConfig) -> list[Any]:
    """The rows of a probe that are asked: those of the drawn questions, in their order, as far as ``probe_limit``."""
    if data.probe_draw:
        questions = list(dict.fromkeys(question_key(probe.question(row)) for row in rows))
        drawn = random.Random(f"{probe.name}-{data.seed}").sample(
            questions, min(data.probe_draw, len(questions))
        )
        asked = set(drawn)
        rows = [row for row in rows if question_key(probe.question(row)) in asked]
    return _first(rows, data.probe_limit)


def _first(rows: list[Any], limit: int) -> list[Any]:
    return rows[:limit] if limit else rows
