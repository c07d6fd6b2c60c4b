"""Forest plot: the paired shift of every adapter on every probe, beside what noise does and what could be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.figures.style import (
    BAND,
    GREY,
    INK,
    SMALL,
    fitting,
    legend,
    look,
    panels,
    parts,
    row_height,
    whiskers,
    zero_line,
)
from analysis.page.text import interval, number, scale
from analysis.results import Results
from analysis.statistics import Estimate
from analysis.verdicts.conclusions import WORDS
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import Verdict, noise_floor, verdicts

ROOMY, TIGHT = 0.47, 0.29  # inches of a row: two lines of words stand in it
REST = 0.75  # inches of a page for legend and axis
# Rows are one apart; the three markers of a row lie above, on and below its middle.
SOFT, HARD, FLOOR = -0.2, 0.06, 0.28


def draw(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per contrast on one common axis of points; the verdicts stand on the right."""
    tested = {one.title: verdicts(results, one) for one in results.tested}
    figures, grid = forests([*tested], len(results.study.adapters))
    ends = [-1.0, 1.0]
    for axes, (title, found) in zip(grid, tested.items(), strict=True):
        for place, verdict in enumerate(found):
            ends += _row(axes, results, doubt, verdict, place)
        axes.set_yticks(range(len(found)), [v.adapter for v in found])
        axes.set_title(f"{title}  (n = {len(found[0].measure.items):,})")
    label = "Shift against the base (points; right: more sycophantic)"
    finish(figures, ends, label, _legend())
    return figures


def forests(panes: Sequence[str], adapters: int) -> tuple[list[Figure], list[Axes]]:
    """Axes for each of ``panes``, one below the other, with a row per adapter; on as many pages as they take."""
    rows = max(2, adapters)
    height = 0.55 + rows * row_height(rows, ROOMY, TIGHT, REST + 0.55)
    figures, grid = [], []
    for part in parts(panes, fitting(height, REST)):
        figure, frames = panels(len(part), 1, len(part) * height + REST)
        figures.append(figure)
        grid += [axes for (axes,) in frames]
    for axes in grid:
        axes.set_ylim(rows - 0.5, -0.5)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        zero_line(axes, vertical=True)
    return figures, grid


def finish(
    figures: Sequence[Figure], ends: Sequence[float], label: str, handles: Sequence[Artist]
) -> None:
    """The same limits everywhere, around ``ends``, with a quarter of the width on the right left to words; a legend."""
    low, high = min(ends), max(ends)
    margin = 0.04 * (high - low)
    for figure in figures:
        for axes in figure.axes:
            axes.set_xlim(low - margin, high + margin + 0.38 * (high - low))
            axes.set_xticks([t for t in axes.get_xticks() if low - margin <= t <= high + margin])
        figure.axes[-1].set_xlabel(label, loc="left")
        legend(figure, handles)


def _row(axes: Axes, results: Results, doubt: Doubt, verdict: Verdict, place: int) -> list[float]:
    """Draw one adapter; return where anything ends, in points."""
    adapter, probe, unit = verdict.adapter, verdict.probe, verdict.measure.unit
    colour, _ = look(adapter, results.study.adapters)
    ends: list[float] = []
    if math.isfinite(verdict.mde):
        half = verdict.mde * scale(unit)
        axes.add_patch(Rectangle((-half, place - 0.42), 2 * half, 0.84, color=BAND, zorder=0))
        ends += [-half, half]
    shown: list[tuple[str, Estimate | None, float]] = [("soft", verdict.shift, SOFT)]
    for kind, measure, offset in (
        ("hard", results.study.measure_of(probe, verdict.tested.contrast.hard), HARD),
        ("floor", noise_floor(results, verdict.tested), FLOOR),
    ):
        withheld = kind == "hard" and doubt.too_few_of_shift(adapter, probe)
        if measure is not None and not withheld:
            shown.append((kind, results.of(adapter, probe, measure.name).shift, offset))
    for kind, shift, offset in shown:
        if shift is None or not math.isfinite(shift.value):
            continue
        bars, x = whiskers(shift, unit), shift.value * scale(unit)
        axes.errorbar(x, place + offset, xerr=bars, **_style(kind, colour))
        ends += [x - bars[0][0], x + bars[1][0]]
    _words(axes, verdict, doubt.of_shift(adapter, probe), place)
    return ends


def _words(axes: Axes, verdict: Verdict, mark: str, place: int) -> None:
    unit = verdict.measure.unit
    weight = "bold" if verdict.claimed else "normal"
    value = number(verdict.shift.value, unit, signed=True)
    for y, text, kind in (
        (place - 0.23, f"{value} {interval(verdict.shift, unit, signed=True)}", "normal"),
        (place + 0.23, f"{WORDS.get(verdict.outcome, verdict.outcome)}{mark}", weight),
    ):
        axes.text(
            0.995, y, text, ha="right", va="center", transform=axes.get_yaxis_transform(),
            fontsize=SMALL, fontweight=kind, color=INK if verdict.claimed or kind == weight == "normal" else GREY,
        )  # fmt: skip


def _style(kind: str, colour: str) -> dict:
    if kind == "floor":
        return {"fmt": "|", "color": GREY, "markersize": 7, "linewidth": 0.9}
    filled = colour if kind == "soft" else "white"
    size = 6.5 if kind == "soft" else 5
    return {
        "fmt": "o" if kind == "soft" else "D", "color": colour, "markerfacecolor": filled,
        "markersize": size, "linewidth": 1.6 if kind == "soft" else 1.1,
    }  # fmt: skip


def _legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], marker="o", color=INK, linewidth=1.6, label="soft (tested)"),
        Line2D([], [], marker="D", color=INK, markerfacecolor="white", linewidth=1.1, label="hard"),
        Line2D([], [], marker="|", color=GREY, linewidth=0.9, label="noise floor"),
        Patch(color=BAND, label="too small to be seen (MDE)"),
    ]
