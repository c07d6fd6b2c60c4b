"""Forest plot: the paired shift of every adapter on every probe, beside what noise does and what could be seen."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.figures.style import BAND, GREY, INK, look, panels, whiskers, zero_line
from analysis.page.text import interval, number, scale
from analysis.results import Results
from analysis.statistics import Estimate
from analysis.verdicts.conclusions import WORDS
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import Verdict, noise_floor, verdicts

ROW = 0.47  # inches
# Rows are one apart; the three markers of a row lie above, on and below its middle.
SOFT, HARD, FLOOR = -0.2, 0.06, 0.28


def draw(results: Results, doubt: Doubt) -> Figure:
    """One panel per contrast on one common axis of points; the verdicts stand on the right."""
    tested, adapters = results.tested, results.study.adapters
    rows = max(2, len(adapters))
    figure, grid = panels(len(tested), 1, 8.6, len(tested) * (0.55 + ROW * rows) + 0.75)
    ends = [-1.0, 1.0]
    for (axes,), one in zip(grid, tested, strict=True):
        found = verdicts(results, one)
        for place, verdict in enumerate(found):
            ends += _row(axes, results, doubt, verdict, place)
        zero_line(axes, vertical=True)
        axes.grid(axis="x")
        axes.set_yticks(range(len(found)), [v.adapter for v in found])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_title(f"{one.title}  (n = {len(found[0].measure.items):,})")
    low, high = min(ends), max(ends)
    for (axes,) in grid:
        leave_room(axes, low, high)
    grid[-1][0].set_xlabel("Shift against the base (points; right: more sycophantic)", loc="left")
    figure.legend(handles=_legend(), loc="outside upper center", ncols=4)
    return figure


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


def leave_room(axes: Axes, low: float, high: float) -> None:
    """Limits around ``low`` and ``high``, with a quarter of the width on the right left to words."""
    margin = 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin + 0.38 * (high - low))
    axes.set_xticks([t for t in axes.get_xticks() if low - margin <= t <= high + margin])


def _words(axes: Axes, verdict: Verdict, mark: str, place: int) -> None:
    unit = verdict.measure.unit
    weight = "bold" if verdict.claimed else "normal"
    value = number(verdict.shift.value, unit, signed=True)
    for y, text, kind in (
        (place - 0.16, f"{value} {interval(verdict.shift, unit, signed=True)}", "normal"),
        (place + 0.2, f"{WORDS.get(verdict.outcome, verdict.outcome)}{mark}", weight),
    ):
        axes.text(
            0.995, y, text, ha="right", va="center", transform=axes.get_yaxis_transform(),
            fontsize=8.5, fontweight=kind, color=INK if verdict.claimed or kind == weight == "normal" else GREY,
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
