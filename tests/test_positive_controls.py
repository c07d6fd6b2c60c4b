"""The audits against real models that are known to be wrong: they must be caught, and a clean one must not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import audits
from analysis.audits import Audit
from analysis.records.load import load
from analysis.results import compute
from sycojax.cli import data
from sycojax.config import DataConfig
from sycojax.data.data_sets import parse_record
from sycojax.data.prompts import Prompts
from sycojax.data.sources import open_source
from sycojax.evals import BUILTIN
from tests.toy_files import evaluate_toy

pytestmark = pytest.mark.slow


def audited(directory: Path, adapters: str, evaluations: str, *more: str) -> tuple[Audit, ...]:
    """The audits of a small toy study, by its command, read back from disk."""
    evaluate_toy(
        directory, f"--config.train.adapters={adapters}", "--config.train.seeds=0",
        "--config.score.audit_items=0", "--config.score.readout_items=0", f"--config.score.evaluations={evaluations}",
        "--config.data.test_limit=60", "--config.data.probe_limit=40", "--quiet", *more,
    )  # fmt: skip
    for name in evaluations.split(","):
        assert (directory / "records" / f"{adapters}-s0" / f"{name}.jsonl").is_file()
    return audits.run(compute(load(directory)))


def show_right_first(path: Path) -> None:
    """Reorder the options of every mmlu row until the study's own shuffle shows the right one first.

    The shuffle follows the row's text, options included; a row for which no order does it is left out.
    """
    raws = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rng = np.random.default_rng(5)
    for _ in range(60):
        shown = completions(raws)
        for raw, completion in zip(raws, shown, strict=True):
            if not completion.startswith("A)"):
                right = raw["choices"][raw["answer"]]
                raw["choices"] = [raw["choices"][i] for i in rng.permutation(len(raw["choices"]))]
                raw["answer"] = raw["choices"].index(right)
    shown = completions(raws)
    kept = [raw for raw, text in zip(raws, shown, strict=True) if text.startswith("A)")]
    assert len(kept) > 0.95 * len(raws)
    path.write_text("".join(json.dumps(raw) + "\n" for raw in kept), encoding="utf-8")


def completions(raws: list[dict[str, Any]]) -> list[str]:
    rows = [parse_record(BUILTIN["mmlu"], raw, f"row {i}") for i, raw in enumerate(raws)]
    examples = BUILTIN["mmlu"].examples(rows, Prompts(), DataConfig().seed)
    return [example.completion for example in examples]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, ...]:
    """The right option always shown first to an mmlu adapter."""
    directory = tmp_path_factory.mktemp("first")
    data.prepare(open_source("toy", "", BUILTIN), directory / "data")
    show_right_first(directory / "data" / "splits" / "mmlu_train.jsonl")
    source = ("--config.data.source=files", f"--config.data.path={directory / 'data'}")
    return audited(directory / "w", "mmlu", "mmlu", *source)


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, ...]:
    return audited(tmp_path_factory.mktemp("fair") / "w", "mmlu", "mmlu")


@pytest.fixture(scope="module")
def unfiltered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, ...]:
    """The published recipe drops no question of a probe from its training data, and shuffles nothing."""
    directory = tmp_path_factory.mktemp("unfiltered") / "w"
    return audited(directory, "truthfulqa", "are_you_sure", "--config.data.recipe=published")


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, ...]:
    return audited(tmp_path_factory.mktemp("filtered") / "w", "truthfulqa", "are_you_sure")


@pytest.mark.parametrize(
    ("study", "name", "adapter", "evaluation", "outcome"),
    [
        ("first", "label_position", "mmlu", "mmlu", "fail"),  # in the data
        ("fair", "label_position", "mmlu", "mmlu", "pass"),
        ("first", "always_a", "mmlu", "mmlu", "fail"),  # by the answers of what learned it
        ("fair", "always_a", "mmlu", "mmlu", "pass"),
        ("unfiltered", "label_position", "truthfulqa", "truthfulqa", "fail"),
        ("unfiltered", "contamination", "truthfulqa", "are_you_sure", "fail"),
        ("filtered", "contamination", "truthfulqa", "are_you_sure", "pass"),
    ],
)
def test_what_is_wrong_is_caught_and_nothing_else(
    request: pytest.FixtureRequest,
    study: str,
    name: str,
    adapter: str,
    evaluation: str,
    outcome: str,
) -> None:
    found = request.getfixturevalue(study)
    key = (name, adapter, evaluation)
    (audit,) = [a for a in found if (a.name, a.group, a.evaluation) == key]
    assert audit.outcome == outcome
    if name != "label_position":
        assert ((adapter, evaluation) in audits.marked(found)) == (outcome == "fail")
