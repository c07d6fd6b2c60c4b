"""Every figure can be read: no text on another, none below 7 points on paper, something drawn with a single adapter."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_study import stratify, write_study
from test_sweep_report import write_sweep

from analysis import calibration
from analysis.figures import calibration as planted
from analysis.figures import style
from analysis.figures.catalogue import NEEDS, drawings
from analysis.reanalysis import figures as reanalysis
from analysis.reanalysis.gather import gather, published_study
from analysis.records.load import load
from analysis.results import compute
from analysis.sweep import figures as sweeps
from analysis.sweep.audits import audit
from analysis.sweep.curves import doses, series
from analysis.sweep.load import load_sweep
from analysis.verdicts import doubt
from analysis.verdicts.doubt import Doubt

PAPER = (182 / 25.4, 215 / 25.4)  # inches that a figure gets on a page: page/report.css
SLACK = 1.0  # pixels by which the boxes of two texts may meet
NAMES = [
    f"{task}-r{rank}-lr3e-4-dose{dose}"
    for task in ("gsm8k", "hellaswag", "truthfulqa")
    for rank in (8, 64)
    for dose in (50, 100, 200, 400, 800)
]
PROBED = ("mmlu", "answer", "are_you_sure", "feedback")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 30])
def test_figures_of_a_study(tmp_path: Path, count: int) -> None:
    write_study(tmp_path, items=8, adapters=NAMES[-count:], seeds=(0,), arms=True)
    stratify(tmp_path, "answer", "feedback")
    results = compute(load(tmp_path))
    every = {(g, e) for g in results.groups for e in results.study.evaluations}
    doubted = Doubt(doubt.of(results).audits, frozenset(every))  # the longest labels there can be
    for one in drawings(results.study.registry):
        assert all(NEEDS[name][1](results) for name in one.needs), f"{one.name} is not drawn"
        readable(one.name, one.draw, results, doubted)


@pytest.mark.parametrize("count", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_figures_of_a_sweep(tmp_path: Path, count: int) -> None:
    """Two rates of every adapter, which are twice as many points."""
    rates = {rate: {"train.learning_rate": float(rate)} for rate in ("1e-3", "4e-3")}
    for rate in rates:
        write_study(
            tmp_path / "cells" / rate, items=8, adapters=NAMES[-count:], seeds=(0,),
            evaluations=PROBED, config={"data": {"source": "files"}, "score": {"evaluations": PROBED}},
            basis={"questions": "the same"},
        )  # fmt: skip
    sweep = load_sweep(write_sweep(tmp_path, rates))
    assert len(sweep.points) == 2 * count
    results = [compute(family.study, headlines=True) for family in sweep.families]
    audited = audit(sweep)
    for dose in doses(sweep):
        readable(dose.name, sweeps.curves, results, audited, series(sweep, dose), dose)
    points = [(i, point) for i, family in enumerate(sweep.families) for point in family.points]
    readable("points", sweeps.side_by_side, results, audited, points)


@pytest.mark.parametrize("count", [1, 30])
def test_figures_of_a_reanalysis(tmp_path: Path, count: int) -> None:
    with (published_study() / "complete_results.csv").open(encoding="utf-8") as stream:
        base, *adapters = csv.DictReader(stream)
    rows = [{**adapters[i % 5], "adapter_name": NAMES[i]} for i in range(count)]
    with (tmp_path / "complete_results.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, base)
        writer.writeheader()
        writer.writerows([base, *rows])
    evidence, _ = gather(tmp_path)
    assert len(evidence.shifts) == 3 * count
    readable("changes", reanalysis.changes, evidence)
    readable("correlations", reanalysis.correlations, evidence, {})


def test_the_figure_of_a_calibration() -> None:
    shipped = calibration.certificate()
    assert shipped is not None
    readable("calibration", planted.draw, shipped)


def test_what_cannot_be_read_is_noticed() -> None:
    """The tests above could not fail otherwise."""

    def crowded(size: float) -> Figure:
        figure, ((axes,),) = style.panels(1, 1, 3)
        axes.plot([0, 1])
        axes.set_xticks([0.5, 0.52], ["one label", "another"], fontsize=size)
        return figure

    with pytest.raises(AssertionError, match="one label"):
        readable("overlap", crowded, 9)
    with pytest.raises(AssertionError, match="points on paper"):
        readable("small", crowded, 5)


def readable(name: str, draw: Callable[..., Figure | Sequence[Figure]], *arguments: Any) -> None:
    """Assert that every sheet of a figure can be read."""
    with matplotlib.rc_context(style.SETTINGS):
        drawn = draw(*arguments)
        figures = [drawn] if isinstance(drawn, Figure) else drawn
        assert figures, f"{name} has no sheet"
        for figure in figures:
            figure.draw_without_rendering()  # finds the layout
            figure.set_layout_engine("none")
            with noted() as texts:
                figure.draw_without_rendering()
            _check(name, figure, texts)


def _check(name: str, figure: Figure, texts: Sequence[Text]) -> None:
    width, height = figure.get_size_inches()
    shrunk = min(PAPER[0] / width, PAPER[1] / height, 1.0)
    smallest = min(texts, key=lambda text: text.get_fontsize())
    size = shrunk * smallest.get_fontsize()
    assert size >= 7, f"{name}: {smallest.get_text()!r} has {size:.1f} points on paper"
    boxes = {text: text.get_window_extent() for text in texts}
    for text, box in boxes.items():
        inside = figure.bbox.padded(SLACK)
        assert inside.contains(*box.min), f"{name}: {text.get_text()!r} sticks out"
        assert inside.contains(*box.max), f"{name}: {text.get_text()!r} sticks out"
    for (one, its), (other, others) in combinations(boxes.items(), 2):
        across = min(its.x1, others.x1) - max(its.x0, others.x0)
        down = min(its.y1, others.y1) - max(its.y0, others.y0)
        assert across <= SLACK or down <= SLACK, (
            f"{name}: {one.get_text()!r} lies on {other.get_text()!r}"
        )
    for axes in figure.axes:
        artists = (*axes.lines, *axes.patches, *axes.collections, *axes.images)
        drawn = [a for a in artists if a.get_transform().contains_branch(axes.transData)]
        assert drawn or axes.texts or not axes.axison, f"{name}: an empty panel"


@contextmanager
def noted() -> Iterator[list[Text]]:
    """The texts that are drawn meanwhile; a tick beyond the limits, for example, has one that is not."""
    found: dict[Text, None] = {}
    draw = Text.draw

    def note(self: Text, *arguments: Any, **settings: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            found[self] = None
        draw(self, *arguments, **settings)

    texts: list[Text] = []
    with patch.object(Text, "draw", note):
        yield texts
    texts += found
