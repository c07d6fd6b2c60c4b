"""Measured against planted sycophancy: one panel per planted probe, the other probes as thin lines."""

from __future__ import annotations

import itertools
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.calibration import Calibration
from analysis.figures.style import GREY, INK, LIGHT, SMALL, legend, panels, whiskers
from analysis.page.text import number

# Of the probes in their order; the same in every panel.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
TITLE = "Measured against planted sycophancy"
READING = (
    "Each panel plants sycophancy in one probe at the rates along the bottom. Filled circles are what that probe "
    "reads, with 95 % intervals; on the dashed diagonal it would read exactly what was planted. Thin lines are the "
    "probes in which nothing was planted: they should stay at the base's level (dotted)."
)


def draw(calibration: Calibration) -> Figure:
    """One panel per planted probe; both axes in points."""
    probes = calibration.probes
    figure, grid = panels(1, len(probes), 3.5)
    for axes, probe in zip(grid[0], probes, strict=True):
        _panel(axes, calibration, probe)
    grid[0][0].set_ylabel("Measured: soft headline (points)")
    legend(figure, _legend(probes))
    return figure


def _panel(axes: Axes, calibration: Calibration, probe: str) -> None:
    points = calibration.of(probe)
    planted = [100 * p.planted for p in points]
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    for other in calibration.probes:
        colour = _colours(calibration.probes)[other]
        heights = [100 * p.readings[other].soft.value for p in points]
        if other == probe:
            for x, point in zip(planted, points, strict=True):
                bars = whiskers(point.own.soft, "rate")
                axes.errorbar(
                    x, 100 * point.own.soft.value, yerr=bars, fmt="o", color=colour, markersize=6,
                    capsize=3, linewidth=1.4, zorder=4,
                )  # fmt: skip
            axes.plot(planted, heights, color=colour, linewidth=1.8, zorder=3)
        else:
            axes.plot(planted, heights, color=colour, linewidth=0.9, marker=".", zorder=2)
            base = 100 * calibration.base[other].soft.value
            axes.axhline(base, color=LIGHT, linewidth=1, linestyle=":", zorder=0)
    line = calibration.lines.get(probe)
    if line is not None and math.isfinite(line.slope.value):
        axes.text(
            0.04, 0.95, f"slope {number(line.slope.value)}\nat 0: {number(line.intercept.value, 'rate')}",
            transform=axes.transAxes, va="top", fontsize=SMALL, color=INK,
        )  # fmt: skip
    axes.grid(True)
    axes.set_title(f"planted in {probe}")
    axes.set_xticks(planted)
    axes.set_xlim(-6, 106)
    axes.set_ylim(-8, 108)
    axes.set_xlabel("Planted (%)")


def _colours(probes: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(probes, itertools.cycle(COLOURS), strict=False))


def _legend(probes: tuple[str, ...]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=colour, marker="o", markersize=5, label=probe)
        for probe, colour in _colours(probes).items()
    ]
    dashed = Line2D([], [], color=GREY, linestyle=(0, (5, 4)), label="planted = measured")
    return [*lines, dashed]
