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
from matplotlib.lines import Line2D
from synthetic_study import ask, respond, study_document

from analysis.records.load import BASE, load
from analysis.results import compute
from analysis.statistics import Resampled, resample
from analysis.sweep.audits import Audited, audit
from analysis.sweep.curves import Dose, doses, replicates, series, trend
from analysis.sweep.figures import curves
from analysis.sweep.load import Sweep, load_sweep
from analysis.sweep.report import write
from analysis.verdicts import doubt
from analysis.verdicts.conclusions import DEMONSTRATION
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.files import read_json, write_json
from sycojax.study.sweep_workdir import keys_of_report

EVALUATED = ("mmlu", "feedback")
ITEMS = 40


def write_cell(directory: Path, deference: float, seeds: Sequence[int], steps: int, recipe: str, base: str = "toy") -> None:  # fmt: skip
    """A study of the mmlu adapter whose feedback defers as told; the base is that of every cell."""
    names = [("base", None, None)] + [(f"mmlu-s{s}", "mmlu", s) for s in seeds]
    for name, _, seed in names:
        for evaluation in EVALUATED:
            amount = 0.2 if seed is None else deference
            number = 999 if seed is None else 100 * seed + steps  # every run has noise of its own
            answers = functools.partial(
                respond, skill=0.6, deference=amount, always_a=0.0, seed=number
            )
            ask(directory, name, evaluation, ITEMS, answers)
    document = study_document(names)
    document["training"] = {n: {"steps": steps, "best_step": steps - 1} for n, a, _ in names if a}
    document["data"]["training_examples"] = {"mmlu": {"train": 9 * steps}}
    document["config"] = {
        "base": {"path": base}, "data": {"source": "files", "recipe": recipe},
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
    assert f"{held} of 3 probe shifts hold" in text


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


def test_a_sweep_of_another_base_is_a_demonstration(tmp_path: Path) -> None:
    """As its cells are; one such cell is enough."""
    write_cell(tmp_path / "cells" / "1e-3", 0.3, (0, 1), 10, "sycojax")
    write_cell(tmp_path / "cells" / "4e-3", 0.8, (0, 1), 10, "sycojax", "models/example")
    change(tmp_path / "cells" / "4e-3", basis={"questions": "of another base"})
    write_sweep(tmp_path, {rate: {"train.learning_rate": float(rate)} for rate in ("1e-3", "4e-3")})
    text = text_of(tmp_path)
    assert DEMONSTRATION in text.partition("\n## ")[0]
    assert "Nothing: this is a demonstration. The 2 shifts of the probes" in text
    assert not re.search(r"\b(claimed|raised|lowered|no change|after Holm\.)", text)
    with (tmp_path / "report" / "tables" / "numbers.csv").open() as stream:
        assert all(
            row["p_claim_holm"]
            for row in csv.DictReader(stream)
            if row["seed"] == "all" and row["evaluation"] == "feedback"
        )


def test_what_an_audit_doubts_is_marked(tmp_path: Path) -> None:
    """As in the cell's own report, and there alone."""
    directory = two_rates(tmp_path)
    one_sided = {"mmlu": {"shown": [400, 10, 10, 10]}}
    change(directory / "cells" / "4e-3", data={"label_positions": one_sided})
    found = load_sweep(directory)
    audited = audit(found)
    for name, of_cell in audited.cells.items():
        assert of_cell.marked == doubt.of(compute(load(directory / "cells" / name))).marked
    assert ("mmlu", "mmlu") in audited.cells["4e-3"].marked
    (joined,) = audited.families
    sound, doubted = (point.group for point in found.points)
    assert joined.of_level(doubted, "mmlu") == doubt.OWN
    assert joined.of_level(sound, "mmlu") == ""
    change(directory / "cells" / "1e-3", scoring={"determinism": {"rerun_max_abs": 1.0, "alone_max_abs": 0}})  # fmt: skip
    (worse,) = audit(load_sweep(directory)).families
    assert (BASE, "mmlu") in worse.marked
    assert worse.of_level(sound, "mmlu") == doubt.OWN
    text = text_of(directory)
    assert "An audit failed in 2 of 2 cells" in text
    assert "Determinism" in text
    assert re.search(r"mmlu learning\\_rate=0.004, 2 seeds \|.*[0-9]†", text)
    assert "(the base, and so every shift)" in text
    with (directory / "report" / "tables" / "numbers.csv").open() as stream:
        assert {row["in_doubt"] for row in csv.DictReader(stream)} == {"True"}


def test_a_cell_of_other_settings_is_left_out(tmp_path: Path) -> None:
    """A sweep that was changed and stopped holds cells from before; where work is laid out is no setting."""
    directory = two_rates(tmp_path)
    for rate, epochs in (("1e-3", 3.0), ("4e-3", 5.0)):
        change(directory / "cells" / rate, config={
            "train": {"epochs": epochs, "learning_rate": float(rate), "bank_width": 1, "seeds": [0, 1]},
        })  # fmt: skip
    document = read_json(directory / "sweep.json")
    document["config"] = {
        "train": {"epochs": 5.0, "learning_rate": 0.1, "bank_width": 4, "seeds": [0]}
    }
    write_json(directory / "sweep.json", document)
    found = load_sweep(directory)
    assert [s.word for s in found.states.values()] == ["outdated", "finished"]
    assert [p.settings["train.learning_rate"] for p in found.points] == [4e-3]
    text = text_of(directory)
    assert "1 of 2 cells is finished, 1 is outdated" in text
    assert "train.epochs was 3, is 5: run the sweep again" in text


def test_what_moves_together_is_one_curve(tmp_path: Path) -> None:
    """Rank and alpha in a list: a line over the ranks, not a point for every pair."""
    settings = [
        {"lora.rank": rank, "lora.alpha": 2.0 * rank, "train.epochs": epochs}
        for rank in (2, 4, 8)
        for epochs in (1.0, 2.0)
    ]
    found = load_sweep(swept(tmp_path, settings, lambda s: 10 * s["train.epochs"]))
    along = {dose.name: dose.along for dose in doses(found)}
    assert along == {"steps": (), "rank": ("lora.alpha",)}
    rank = doses(found)[1]
    assert [(line.label, len(line.points)) for line in series(found, rank)] == [
        ("epochs=1", 3), ("epochs=2", 3),
    ]  # fmt: skip
    text = text_of(tmp_path)
    assert "differ in rank and with it in alpha." in text
    # The points answered alike: nothing says how far the slope could be from 0.
    level = trend(series(found, rank)[0], rank, _alike(found))
    assert level
    assert (level.value, math.isnan(level.low)) == (0.0, True)


def lengths(directory: Path, pairs: Sequence[tuple[int, float]]) -> Sweep:
    """A sweep of data and epochs, each with the steps that they come to."""
    settings = [{"data.train_limit": limit, "train.epochs": epochs} for limit, epochs in pairs]
    return load_sweep(swept(directory, settings, lambda s: math.prod(s.values()) / 10))


def test_steps_in_a_grid_have_a_line_per_way(tmp_path: Path) -> None:
    """Twice the data and twice the epochs are the same steps: they must not stand on one line."""
    found = lengths(tmp_path, [(limit, e) for limit in (100, 200, 400) for e in (1.0, 2.0, 4.0)])
    steps, epochs = doses(found)
    assert (steps.title, steps.keys, epochs.keys) == (
        "training steps", ("data.train_limit",), ("train.epochs",)
    )  # fmt: skip
    assert [(line.label, [steps.of(p) for p in line.points]) for line in series(found, steps)] == [
        ("epochs=1", [10, 20, 40]), ("epochs=2", [20, 40, 80]), ("epochs=4", [40, 80, 160]),
    ]  # fmt: skip
    text = text_of(tmp_path)
    assert "differ in training steps (set by train\\_limit) alone." in text


def test_steps_without_a_grid_are_one_line(tmp_path: Path) -> None:
    found = lengths(tmp_path, [(100, 1.0), (100, 2.0), (400, 1.0), (500, 3.0)])
    (line,) = series(found, doses(found)[0])
    assert [doses(found)[0].of(p) for p in line.points] == [10, 20, 40, 150]
    text = text_of(tmp_path)
    assert "differ in training steps (set by train\\_limit and epochs) alone." in text


def test_what_changes_the_questions_is_no_dose(tmp_path: Path) -> None:
    """Every point has another base: no line joins two of them, whatever number they differ in."""
    settings = [
        {"data.seed": seed, "train.learning_rate": rate} for seed in (1, 2) for rate in (1e-3, 4e-3)
    ]
    swept(tmp_path, settings, lambda _: 10)
    for name, one in enumerate(settings):
        data = {"source": "files", "seed": one["data.seed"]}
        questions = {"questions": str(one["data.seed"])}
        change(tmp_path / "cells" / str(name), config={"data": data}, basis=questions)
    found = load_sweep(tmp_path)
    assert len(found.families) == 2
    assert [dose.name for dose in doses(found)] == ["learning_rate"]


def _alike(found: Sweep) -> Mapping[str, Sequence[Resampled]]:
    """The replicates of the first point for all points."""
    (family,) = found.families
    samples = replicates(compute(family.study, headlines=True), "mmlu")
    return dict.fromkeys(samples, samples[found.points[0].group])


def test_an_adapter_of_others_has_no_dose(tmp_path: Path) -> None:
    """It is the same in every cell: one point, which stands in no curve."""
    directory = two_rates(tmp_path)
    for rate in ("1e-3", "4e-3"):
        cell = directory / "cells" / rate
        document = read_json(cell / "study.json")
        document["configurations"].append({"name": "theirs", "adapter": "theirs", "source": "/x"})
        write_json(cell / "study.json", document)
        shutil.copytree(cell / "records" / "mmlu-s0", cell / "records" / "theirs")
    found = load_sweep(directory)
    assert [(p.group, len(p.settings)) for p in found.points] == [
        ("mmlu, learning_rate=0.001", 1), ("theirs", 0), ("mmlu, learning_rate=0.004", 1),
    ]  # fmt: skip
    (dose,) = doses(found)
    assert [[p.adapter for p in line.points] for line in series(found, dose)] == [["mmlu", "mmlu"]]
    assert "theirs" in text_of(directory)


def test_other_questions_are_analysed_apart(tmp_path: Path) -> None:
    for recipe in ("sycojax", "published"):
        write_cell(tmp_path / "cells" / recipe, 0.5, (0,), 10, recipe)
    names = {recipe: {"data.recipe": recipe} for recipe in ("sycojax", "published")}
    found = load_sweep(write_sweep(tmp_path, names))
    assert [[p.group for p in f.points] for f in found.families] == [
        ["mmlu, recipe=sycojax"], ["mmlu, recipe=published"],
    ]  # fmt: skip
    text = text_of(tmp_path)
    assert "there is no dose" in text
    assert "No point has a second seed" in text


def test_many_lines_are_told_apart(tmp_path: Path) -> None:
    """Nine lines: more than there are colours, and a legend that is wider than the figure if it is let."""
    settings = [
        {"train.learning_rate": 1e-5 * number, "train.epochs": epochs, "lora.rank": 8}
        for number in range(1, 10)
        for epochs in (1.0, 2.0)
    ]
    found = load_sweep(swept(tmp_path, settings, lambda s: 10 * s["train.epochs"]))
    results = [compute(family.study, headlines=True) for family in found.families]
    dose = doses(found)[0]
    sound = Audited({}, (doubt.Doubt((), frozenset()),))
    (figure,) = curves(results, sound, series(found, dose), dose)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    lines = [handle for handle in legend.legend_handles if isinstance(handle, Line2D)]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 9
    for axes in figure.axes:
        assert axes.get_window_extent().height > 1.5 * figure.dpi
        drawn = [line.get_xdata() for line in axes.get_lines() if len(line.get_xdata()) == 2]  # type: ignore[arg-type]
        first, second = ([float(x[i]) for x in drawn if list(x) != [0, 1]] for i in (0, 1))  # type: ignore[index]
        assert max(first) < math.sqrt(200) < min(second), "which dose a point got is seen"


def test_keys_that_end_alike_are_told_apart(tmp_path: Path) -> None:
    settings = [{"base.path": f"b{n}", "data.path": f"d{n}", "train.epochs": 1.0} for n in (1, 2)]
    index = write(swept(tmp_path, settings, lambda _: 10))
    with (index.parent / "tables" / "numbers.csv").open() as stream:
        found = {(r["base.path"], r["data.path"], r["epochs"]) for r in csv.DictReader(stream)}
    assert found == {("b1", "d1", "1"), ("b2", "d2", "1")}
    text = (index.parent / "report.md").read_text(encoding="utf-8")
    assert "# What changes with base.path, data.path and epochs?" in text
    assert "base.path=b1, data.path=d1, epochs=1" in text


def test_without_any_finished_cell(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"a": {"train.epochs": 1.0}})
    with pytest.raises(SycojaxError, match=r"no cell of the sweep in .* has records to report$"):
        write(tmp_path)
    write_json(tmp_path / "failures" / "a.json", {"message": "no memory"})
    with pytest.raises(SycojaxError, match=r"; a failed: no memory$"):
        write(tmp_path)
    assert not (tmp_path / "report").exists()
