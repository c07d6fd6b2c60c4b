"""The placebo: every prompt of its tasks with an answer of the same task, and what is left of a shift beside its own."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

import pytest
from synthetic_study import write_study

from analysis.records.load import load
from analysis.report.contents import probes
from analysis.results import Results, beside_placebo, compute
from analysis.verdicts import doubt
from sycojax.config import DataConfig, StudyConfig, TrainConfig
from sycojax.data.encode import EncodedExample
from sycojax.data.examples import Example
from sycojax.study.adapters import study_jobs
from sycojax.study.datasets import StudyData, prepare
from sycojax.study.inputs import read_inputs
from sycojax.study.placebo import with_answers_of_others
from sycojax.training.bank import Bank
from sycojax.training.batches import total_steps

ADAPTERS = ("combined", "placebo")
CONFIG = StudyConfig(
    data=DataConfig(train_limit=60, test_limit=2, probe_limit=2, max_length=128),
    train=TrainConfig(adapters=ADAPTERS, examples_per_step=8, eval_every=5, warmup_steps=5),
)


@pytest.fixture(scope="module")
def data() -> StudyData:
    return prepare(CONFIG, read_inputs(CONFIG).tokenizer)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    directory = tmp_path_factory.mktemp("study")
    adapters, evaluations = ("mmlu", "placebo"), ("mmlu", "answer")
    return compute(
        load(write_study(directory, items=24, adapters=adapters, evaluations=evaluations))
    )


def _parts(example: EncodedExample) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of the prompt and those of the completion."""
    start = int(example.loss_mask.argmax()) + 1
    ids = (int(example.token_ids[0]), *map(int, example.target_ids))
    return ids[:start], ids[start:]


def test_every_prompt_keeps_its_place_and_answers_stay_in_their_task(data: StudyData) -> None:
    own, mixed = data.training["combined"], data.training["placebo"]
    changed = 0
    for part, other in ((own.train, mixed.train), (own.validation, mixed.validation)):
        assert [e.item for e in other] == [e.item for e in part]
        for one, two in zip(part, other, strict=True):
            assert _parts(one)[0] == _parts(two)[0]
            changed += _parts(one)[1] != _parts(two)[1]
    every = [*own.train, *own.validation]
    answers: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for one, two in zip(every, [*mixed.train, *mixed.validation], strict=True):
        answers[one.task].update([_parts(one)[1]])
        answers[one.task].subtract([_parts(two)[1]])
    assert len(answers) == 4
    assert not any(n for counts in answers.values() for n in counts.values())
    counts = data.summary["placebo"]
    same = sum(one["with_their_own_answer"] for one in counts.values())
    assert sum(one["rows"] for one in counts.values()) == len(every) == changed + same
    assert counts["gsm8k"]["with_their_own_answer"] <= 0.1 * counts["gsm8k"]["rows"]


def test_answers_stay_among_rows_with_as_many_options() -> None:
    """Or a row of three options would be answered "D"."""
    sizes = [3 + i % 3 for i in range(60)]
    rows = [Example("mmlu", str(i), f"{n} options", f"{n}, {i}") for i, n in enumerate(sizes)]
    labels = [(0, n) for n in sizes]
    mixed = with_answers_of_others(rows, labels, 1)
    assert all(e.completion.startswith(e.prompt[0]) for e in mixed)
    assert sum(a != b for a, b in zip(mixed, rows, strict=True)) > 40
    assert (
        mixed == with_answers_of_others(rows, labels, 1) != with_answers_of_others(rows, labels, 2)
    )


def test_it_takes_as_many_steps_as_combined_and_is_written_after_the_last(data: StudyData) -> None:
    combined, placebo = (
        next(j for j in study_jobs(CONFIG, data.training) if j.name == f"{name}-s0")
        for name in ADAPTERS
    )
    steps = total_steps(len(placebo.train), CONFIG.train)
    bank = Bank([combined, placebo], CONFIG.train, 2, 8)
    assert bank.steps == [steps, steps]
    due = [bank.due(completed) for completed in range(1, steps + 1)]
    assert sum(one for one, _ in due) > 3
    assert [one for _, one in due] == [False] * (steps - 1) + [True]


def test_a_shift_less_the_placebos(results: Results) -> None:
    def mean(adapter: str, measure: str) -> float:
        levels = results.of_seeds(adapter, "answer", measure)
        assert len(levels) == 2
        return sum(one.level.value for one in levels) / 2

    for measure in ("dP", "adopt"):
        found = beside_placebo(results, "mmlu", "answer", measure)
        assert found is not None
        assert found.adapter == results.of("mmlu", "answer", measure).shift
        assert found.placebo == results.of("placebo", "answer", measure).shift
        less = found.difference
        assert less.value == pytest.approx(mean("mmlu", measure) - mean("placebo", measure))
        assert less.value == pytest.approx(found.adapter.value - found.placebo.value)
        assert less.low < less.value < less.high
    assert beside_placebo(results, "placebo", "answer", "dP") is None
    assert beside_placebo(results, "base", "answer", "dP") is None
    without = dataclasses.replace(
        results, by_adapter={k: v for k, v in results.by_adapter.items() if k[0] != "placebo"}
    )
    assert beside_placebo(without, "mmlu", "answer", "dP") is None


def test_a_placebo_that_is_the_adapter_leaves_nothing(tmp_path: Path) -> None:
    """Equal answers: however large the shift, nothing of it is the task's."""
    write_study(tmp_path, items=12, adapters=("mmlu", "placebo"), evaluations=("answer",))
    for seed in (0, 1):
        records = tmp_path / "records"
        answers = records / f"mmlu-s{seed}" / "answer.jsonl"
        (records / f"placebo-s{seed}" / "answer.jsonl").write_bytes(answers.read_bytes())
    found = beside_placebo(compute(load(tmp_path)), "mmlu", "answer", "dP")
    assert found is not None
    assert found.adapter.value == found.placebo.value != 0
    assert found.difference.value == 0


def test_the_table_of_a_probe_shows_what_is_left(results: Results) -> None:
    table = probes.probe(results, doubt.of(results), results.tested[0])
    place = table.columns.index("less the placebo's")
    shown = {str(row[0].text): row[place].text for row in table.rows}  # type: ignore[union-attr]
    assert shown.keys() == {"base", "mmlu", "placebo"}
    assert shown["mmlu"]
    assert not shown["base"] + shown["placebo"]
