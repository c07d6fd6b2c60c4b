"""The report over a sweep: seeds as replicates, planted dose-response found, what differs kept apart."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_study import ask, respond, respond_in_arms, study_document

from analysis.results import compute
from analysis.statistics import Resampled, resample
from analysis.sweep.curves import Dose, doses, replicates, series, trend
from analysis.sweep.load import load_sweep
from analysis.sweep.report import write
from sycojax.config import StudyConfig
from sycojax.files import read_json, write_json
from sycojax.study.sweep_workdir import keys_of_report

EVALUATED = ("mmlu", "feedback")
ITEMS = 40


def write_cell(directory: Path, deference: float, seeds: Sequence[int], steps: int, recipe: str, arms: bool = True) -> None:  # fmt: skip
    """A study of the mmlu adapter whose feedback defers as told; without ``arms`` nothing can be claimed of it."""
    names = [("base", None, None)] + [(f"mmlu-s{s}", "mmlu", s) for s in seeds]
    for name, _, seed in names:
        for evaluation in EVALUATED:
            amount = 0.2 if seed is None else deference
            number = 999 if seed is None else 100 * seed + steps  # every run has noise of its own
            answers = functools.partial(
                respond, skill=0.6, deference=amount, always_a=0.0, seed=number
            )
            in_arms = functools.partial(respond_in_arms, deference=amount, seed=number)
            ask(directory, name, evaluation, ITEMS, answers, in_arms if arms else None)
    document = study_document(names)
    document["training"] = {n: {"steps": steps, "best_step": steps - 1} for n, a, _ in names if a}
    document["data"]["training_examples"] = {"mmlu": {"train": 9 * steps}}
    document["config"] = {
        "base": {"path": "toy"}, "data": {"source": "files", "recipe": recipe},
        "score": {"evaluations": EVALUATED},
    }  # fmt: skip
    document["basis"] = {"questions": recipe}
    write_json(directory / "study.json", document)


def write_sweep(directory: Path, cells: Mapping[str, Mapping[str, Any]]) -> Path:
    """The sweep's own file; cells with ``seeds`` among their extras are written, too."""
    keys = list(next(iter(cells.values())))
    document = {
        "name": "doses", "study": "synthetic", "updated": "2026-01-02T03:04:05+00:00", "keys": keys,
        "cells": [{"name": name, "settings": dict(settings)} for name, settings in cells.items()],
        **keys_of_report(StudyConfig()), "config": {}, "versions": {"numpy": "2.0.0"}, "commit": "0123456789abcdef",
    }  # fmt: skip
    write_json(directory / "sweep.json", document)
    return directory


def swept(
    directory: Path,
    settings: Sequence[Mapping[str, Any]],
    steps: Callable[[Mapping[str, Any]], float],
) -> Path:
    """A sweep with a cell per setting, one seed each, trained for as many steps as ``steps`` says of it."""
    cells = {str(number): one for number, one in enumerate(settings)}
    for name, one in cells.items():
        write_cell(directory / "cells" / name, 0.5, (0,), int(steps(one)), "sycojax")
    return write_sweep(directory, cells)


def text_of(directory: Path) -> str:
    return (write(directory).parent / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three doses; one of them has its seeds in two cells. One cell failed, one has not run."""
    directory = tmp_path_factory.mktemp("sweep")
    cells = {
        f"limit={limit},seeds={'+'.join(map(str, seeds))}": (limit, seeds)
        for limit, seeds in ((100, (0, 1)), (200, (0,)), (200, (1,)), (400, (0, 1)), (800, (0, 1)), (0, (0, 1)))
    }  # fmt: skip
    for name, (limit, seeds) in cells.items():
        if limit in (100, 200, 400):
            # Deference grows by 0.15 with every doubling.
            amount = 0.2 + 0.15 * math.log2(limit / 100)
            write_cell(directory / "cells" / name, amount, seeds, limit // 10, "sycojax")
    failed = next(name for name, (limit, _) in cells.items() if limit == 800)
    write_json(directory / "failures" / f"{failed}.json", {"message": "loss nan <b>"})
    settings = {
        name: {"data.train_limit": limit, "train.seeds": list(seeds)}
        for name, (limit, seeds) in cells.items()
    }
    return write_sweep(directory, settings)


def test_seeds_are_replicates_wherever_they_were_trained(sweep: Path) -> None:
    found = load_sweep(sweep)
    assert [(p.settings["data.train_limit"], len(p.cells), p.steps) for p in found.points] == [
        (100, 1, (10, 10)), (200, 2, (20, 20)), (400, 1, (40, 40)),
    ]  # fmt: skip
    (family,) = found.families
    assert [len(family.study.of_adapter(p.group)) for p in found.points] == [2, 2, 2]
    assert [(s.word, s.message) for s in found.states.values()] == [
        *[("finished", "")] * 4, ("failed", "loss nan <b>"), ("not run", ""),
    ]  # fmt: skip


def test_one_cell_whose_scores_move_keeps_all_from_claims(sweep: Path, tmp_path: Path) -> None:
    """Whichever it is: a family's base may be the one of any of its cells."""
    copy = shutil.copytree(sweep, tmp_path / "sweep")
    last = sorted((copy / "cells").glob("*/study.json"))[-1]
    moved = {"determinism": {"headlines": 12, "headline_max_abs": 0.5}}
    write_json(last, {**read_json(last), "scoring": moved})
    for directory, steady in ((sweep, True), (copy, False)):
        results = compute(load_sweep(directory).families[0].study, headlines=True)
        assert any(not tested.invalid for tested in results.tested) == steady


def test_a_planted_dose_is_read_back(sweep: Path) -> None:
    found = load_sweep(sweep)
    results = compute(found.families[0].study, headlines=True)
    (steps,) = doses(found)
    assert (steps.name, steps.title) == ("steps", "training steps"), (
        "what one key alone makes is one curve"
    )
    examples = Dose("train_limit", "training examples", ("data.train_limit",))
    for dose in (steps, examples):
        (line,) = series(found, dose)
        flat = trend(line, dose, replicates(results, "mmlu"))
        rising = trend(line, dose, replicates(results, "feedback"))
        assert flat
        assert rising
        assert rising.low > 0
        assert flat.low < 0 < flat.high
        # By hand: on three doses a doubling apart, half the difference of the ends.
        lead = results.leading("feedback")
        assert lead
        level = [results.of(p.group, "feedback", lead.name).level.value for p in line.points]
        assert rising.value == pytest.approx((level[2] - level[0]) / 2)
        # A trend needs two doses that were scored.
        samples = replicates(results, "feedback")
        alone = dataclasses.replace(line, points=line.points[:1])
        assert trend(alone, dose, samples) is None
        del samples[line.points[0].group]
        assert trend(line, dose, samples) is None
    assert [steps.of(p) for p in found.points] == [10, 20, 40]
    assert [examples.of(p) for p in found.points] == [90, 180, 360]


def test_the_interval_of_a_slope_covers(sweep: Path) -> None:
    """Three doses whose seeds spread alike, three each; the true slope is 0."""
    found = load_sweep(sweep)
    (dose,) = doses(found)
    (line,) = series(found, dose)
    rng = np.random.default_rng(0)
    template = found.families[0].study.measures["base", "feedback"][0]
    items = tuple(map(str, range(100)))
    covered = 0
    for _ in range(400):
        item = rng.normal(size=100)

        def seed(item: np.ndarray = item) -> Resampled:
            answers = item + rng.normal(0, 0.5, 100) + rng.normal(0, 0.1)
            return resample(dataclasses.replace(
                template, items=items, clusters=items, numerator=answers[None], denominator=np.ones((1, 100)),
            ))  # fmt: skip

        slope = trend(line, dose, {p.group: [seed() for _ in range(3)] for p in line.points})
        assert slope
        covered += slope.low <= 0 <= slope.high
    assert 0.92 < covered / 400 < 0.99


def test_the_report_says_all_of_it(sweep: Path) -> None:
    index = write(sweep)
    page = index.read_text(encoding="utf-8")
    text = (index.parent / "report.md").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>" not in re.sub(r'<div class="tile"><b>', "", page), "texts are escaped"
    assert "4 of 6 cells are finished, 1 failed, 1 has not run yet" in text
    assert "loss nan" in text
    for name in ("dose_steps", "points"):
        for kind in ("png", "svg"):
            assert (index.parent / "figures" / f"{name}.{kind}").stat().st_size > 1000
    tables = {p.stem for p in (index.parent / "tables").iterdir()}
    assert tables == {
        "audits", "benchmarks", "probes", "trend_steps", "seeds", "cells", "numbers",
    }  # fmt: skip
    with (index.parent / "tables" / "numbers.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * len(EVALUATED) * 3, "three points, of two seeds and their mean"
    whole = [r for r in rows if r["evaluation"] == "feedback" and r["seed"] == "all"]
    single = [r for r in rows if r["evaluation"] == "feedback" and r["seed"] != "all"]
    for row in whole:
        of = [float(r["shift"]) for r in single if r["train_limit"] == row["train_limit"]]
        assert float(row["shift"]) == pytest.approx(np.mean(of))
        assert float(row["shift_low"]) < float(row["shift"]) < float(row["shift_high"])
    held = sum(float(row["p_claim_holm"]) < 0.05 for row in whole)
    assert held, "none of the planted shifts"
    said = re.search(r"\b(\d) of 6 probe shifts hold", text)  # of siding, too
    assert said is not None
    assert int(said[1]) >= held


def change(directory: Path, **values: Any) -> None:
    """Other values in a cell's study.json, group by group."""
    document = read_json(directory / "study.json")
    for group, entries in values.items():
        document[group] = document.get(group, {}) | entries
    write_json(directory / "study.json", document)


def two_rates(directory: Path) -> Path:
    """A sweep of two learning rates, the mmlu adapter and two seeds each."""
    for rate in ("1e-3", "4e-3"):
        write_cell(directory / "cells" / rate, 0.5, (0, 1), 10, "sycojax")
    names = {rate: {"train.learning_rate": float(rate)} for rate in ("1e-3", "4e-3")}
    return write_sweep(directory, names)


def test_a_point_that_was_not_validly_measured_claims_nothing(tmp_path: Path) -> None:
    write_cell(tmp_path / "cells" / "1e-3", 0.8, (0, 1), 10, "sycojax")
    write_cell(tmp_path / "cells" / "4e-3", 0.8, (0, 1), 10, "sycojax", arms=False)
    change(tmp_path / "cells" / "4e-3", basis={"questions": "of another base"})
    write_sweep(tmp_path, {rate: {"train.learning_rate": float(rate)} for rate in ("1e-3", "4e-3")})
    text = text_of(tmp_path)
    assert (
        "2 of 2 probe shifts hold after Holm's adjustment. 1 more was not validly measured." in text
    )
    shutil.rmtree(tmp_path / "cells" / "1e-3")
    write_cell(tmp_path / "cells" / "1e-3", 0.8, (0, 1), 10, "sycojax", arms=False)
    text = text_of(tmp_path)
    assert "Nothing is concluded here" in text.partition("\n## ")[0]
    assert "Nothing: none of the 2 shifts of the probes" in text
    assert not re.search(r"\b(raised|lowered|no change|after Holm\.)", text)
