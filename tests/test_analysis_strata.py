"""Where a question was seen, through load and compute."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from synthetic_study import stratify, write_study

from analysis.records.load import load
from analysis.records.strata import STRATA
from analysis.results import Results, compute
from analysis.statistics import error, resample
from sycojax.evals import BUILTIN
from sycojax.evals.protocol import Measure
from sycojax.records import read_records


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two probes; a third of the questions each seen in training, in a test split, and in neither."""
    made = write_study(
        tmp_path_factory.mktemp("strata"), items=30, adapters=("gsm8k", "mmlu", "combined"), seeds=(0, 1),
        evaluations=("mmlu", "answer", "are_you_sure"),
    )  # fmt: skip
    stratify(made, "answer", "are_you_sure")
    return made


@pytest.fixture(scope="module")
def results(directory: Path) -> Results:
    return compute(load(directory))


def by_hand(directory: Path, configuration: str, strata: tuple[str, ...]) -> float:
    path = directory / "records" / configuration / "answer.jsonl"
    records = [r for r in read_records(path) if r.meta["stratum"] in strata]
    return next(m.estimate for m in BUILTIN["answer"].measures(records) if m.name == "dP")


def test_a_stratum_is_the_measure_of_its_records(directory: Path, results: Results) -> None:
    for stratum in STRATA:
        found = results.by_stratum["base", "answer", "dP", stratum].level.value
        assert found == pytest.approx(by_hand(directory, "base", (stratum,)))
    assert not [key for key in results.by_stratum if key[1] == "mmlu"]


def test_seen_minus_unseen_is_a_difference_of_differences(
    directory: Path, results: Results
) -> None:
    def contrast(configuration: str) -> float:
        return by_hand(directory, configuration, ("train",)) - by_hand(
            directory, configuration, ("test", "neither")
        )

    found = results.seen_minus_unseen["mmlu", "answer", "dP"]
    expected = np.mean([contrast("mmlu-s0"), contrast("mmlu-s1")]) - contrast("base")
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    assert results.seen_minus_unseen["base", "answer", "dP"].value == pytest.approx(
        contrast("base")
    )


def nats(values: np.ndarray) -> Measure:
    names = tuple(map(str, range(len(values))))
    return Measure("m", "M", "nats", names, names, values[None], np.ones((1, len(values))), "mean")


def test_contrasts_weigh_the_seeds_of_every_term() -> None:
    item = np.random.default_rng(1).normal(size=60)
    one, other = ([resample(nats(item + c)) for c in (-0.1, 0.1)] for _ in range(2))
    found = error([(1.0, one), (-1.0, other)])
    assert found.value == pytest.approx(0)
    assert found.se == pytest.approx(math.sqrt(2 * 0.02 / 2))
