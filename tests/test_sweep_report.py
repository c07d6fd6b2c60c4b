"""The report over a sweep: seeds as replicates, planted dose-response found, what differs kept apart."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_study

from analysis.results import compute
from analysis.sweep.curves import doses, replicates, series, trend
from analysis.sweep.load import load_sweep
from analysis.sweep.report import write
from sycojax.data.prompts import Prompts
from sycojax.errors import SycojaxError
from sycojax.evals import EVALUATIONS
from sycojax.files import write_json
from sycojax.records import write_records

EVALUATED = ("mmlu", "feedback")
ITEMS = 40


def write_cell(directory: Path, deference: float, seeds: Sequence[int], steps: int, recipe: str) -> None:  # fmt: skip
    """A study of the mmlu adapter whose feedback defers as told; the base is that of every cell."""
    names = [("base", None, None)] + [(f"mmlu-s{s}", "mmlu", s) for s in seeds]
    for name, _, seed in names:
        for evaluation in EVALUATED:
            requests = EVALUATIONS[evaluation].requests(
                synthetic_study.rows(evaluation, ITEMS), Prompts(), 0
            )
            amount = 0.2 if seed is None else deference
            number = 999 if seed is None else 100 * seed + steps  # every run has noise of its own
            records = [synthetic_study.respond(r, 0.6, amount, 0.0, number) for r in requests]
            write_records(directory / "records" / name / f"{evaluation}.jsonl", records)
    document = synthetic_study.study_document(names)
    document["training"] = {n: {"steps": steps, "best_step": steps - 1} for n, a, _ in names if a}
    document["data"]["training_examples"] = {"mmlu": {"train": 9 * steps}}
    document["config"] = {
        "data": {"source": "files", "recipe": recipe}, "score": {"evaluations": EVALUATED}
    }  # fmt: skip
    write_json(directory / "study.json", document)


def write_sweep(directory: Path, cells: Mapping[str, Mapping[str, Any]]) -> Path:
    """The sweep's own file; cells with ``seeds`` among their extras are written, too."""
    keys = list(next(iter(cells.values())))
    document = {
        "name": "doses", "study": "synthetic", "updated": "2026-01-02T03:04:05+00:00", "keys": keys,
        "cells": [{"name": name, "settings": dict(settings)} for name, settings in cells.items()],
        "config": {}, "versions": {"numpy": "2.0.0"}, "commit": "0123456789abcdef",
    }  # fmt: skip
    write_json(directory / "sweep.json", document)
    return directory


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
    assert sorted(found.states.values()) == [
        *["finished"] * 4, "loss nan <b>", "not run",
    ]  # fmt: skip


def test_a_planted_dose_is_read_back(sweep: Path) -> None:
    found = load_sweep(sweep)
    results = compute(found.families[0].study, headlines=True)
    along = doses(found)
    assert [(d.name, d.title) for d in along] == [
        ("steps", "training steps"), ("train_limit", "training examples"),
    ]  # fmt: skip
    for dose in along:
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
    assert [d.of(p) for d in along[:1] for p in found.points] == [10, 20, 40]
    assert [d.of(p) for d in along[1:] for p in found.points] == [90, 180, 360]


def test_the_report_says_all_of_it(sweep: Path) -> None:
    index = write(sweep)
    page = index.read_text(encoding="utf-8")
    text = (index.parent / "report.md").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>" not in re.sub(r'<div class="tile"><b>', "", page), "texts are escaped"
    assert "4 of 6 cells are finished, 1 failed, 1 has not run yet" in text
    assert "loss nan" in text
    for name in ("dose_steps", "dose_train_limit", "points"):
        for kind in ("png", "svg"):
            assert (index.parent / "figures" / f"{name}.{kind}").stat().st_size > 1000
    tables = {p.stem for p in (index.parent / "tables").iterdir()}
    assert tables == {
        "benchmarks", "probes", "trend_steps", "trend_train_limit", "seeds", "cells", "numbers",
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


def test_other_questions_are_analysed_apart(tmp_path: Path) -> None:
    for recipe in ("sycojax", "published"):
        write_cell(tmp_path / "cells" / recipe, 0.5, (0,), 10, recipe)
    names = {recipe: {"data.recipe": recipe} for recipe in ("sycojax", "published")}
    found = load_sweep(write_sweep(tmp_path, names))
    assert [[p.group for p in f.points] for f in found.families] == [
        ["mmlu, recipe=sycojax"], ["mmlu, recipe=published"],
    ]  # fmt: skip
    text = (write(tmp_path).parent / "report.md").read_text(encoding="utf-8")
    assert "there is no dose" in text
    assert "No point has a second seed" in text


def test_without_any_finished_cell(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"a": {"train.epochs": 1.0}})
    with pytest.raises(SycojaxError, match=r"no cell of the sweep in .* has records"):
        write(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_point_knows_no_dose_of_its_own(sweep: Path) -> None:
    """A trend needs two doses that are positive."""
    found = load_sweep(sweep)
    results = compute(found.families[0].study, headlines=True)
    dose = doses(found)[1]
    (line,) = series(found, dose)
    samples = replicates(results, "feedback")
    alone = dataclasses.replace(line, points=line.points[:1])
    assert trend(alone, dose, samples) is None
    unscored = {group: seeds for group, seeds in samples.items() if group != line.points[0].group}
    assert trend(line, dose, unscored) is None
