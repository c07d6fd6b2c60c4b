"""Measured against planted deference: one panel per planted probe, one line per contrast."""

from __future__ import annotations

import itertools
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.calibration import Calibrated, Calibration
from analysis.figures.style import GREY, INK, SMALL, legend, panels, whiskers
from analysis.page.text import number

# Colour and marker of the contrasts in their order; the same in every panel.
LOOKS = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"))
TITLE = "Measured against planted deference"
READING = (
    "Each panel plants deference in one probe at the rates along the bottom. Markers are what its contrasts read, net of their "
    "floors, with 95 % intervals; on the dashed diagonal they would read exactly what was planted. The short lines on the left are the base's."
)


def draw(calibration: Calibration) -> Figure:
    """One panel per planted probe; both axes in points."""
    figure, grid = panels(1, len(calibration.probes), 3.5)
    looks = dict(
        zip(dict.fromkeys(c.contrast for c in calibration.contrasts), itertools.cycle(LOOKS), strict=False)
    )  # fmt: skip
    for axes, probe in zip(grid[0], calibration.probes, strict=True):
        _panel(axes, [c for c in calibration.contrasts if c.probe == probe], looks)
        axes.set_title(f"planted in {probe}")
    grid[0][0].set_ylabel("Measured: net contrast (points)")
    lines = [
        Line2D([], [], color=colour, marker=marker, markersize=5, label=contrast)
        for contrast, (colour, marker) in looks.items()
    ]
    dashed = Line2D([], [], color=GREY, linestyle=(0, (5, 4)), label="planted = measured")
    legend(figure, [*lines, dashed])
    return figure


def _panel(
    axes: Axes, contrasts: list[Calibrated], looks: dict[str, tuple[str, str]]
) -> None:  # fmt: skip
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    said = []
    for one in contrasts:
        colour, marker = looks[one.contrast]
        for rate, reading in one.readings.items():
            axes.errorbar(
                100 * rate, 100 * reading.net.value, yerr=whiskers(reading.net, "rate"), fmt=marker, color=colour,
                markersize=6, capsize=3, linewidth=1.4, zorder=4,
            )  # fmt: skip
        heights = [100 * reading.net.value for reading in one.readings.values()]
        axes.plot([100 * r for r in one.readings], heights, color=colour, linewidth=1.8, zorder=3)
        axes.plot([-6, -1], [100 * one.base.net.value] * 2, color=colour, linewidth=2.4, zorder=2)
        if math.isfinite(one.slope.value):
            said.append(
                f"{one.contrast}: slope {number(one.slope.value)}, at 0 {number(one.intercept.value, 'rate')}"
            )
    axes.text(
        0.04, 0.97, "\n".join(said), transform=axes.transAxes, va="top", fontsize=SMALL, color=INK
    )  # fmt: skip
    axes.grid(True)
    axes.set_xticks([100 * r for r in contrasts[0].readings])
    axes.set_xlim(-6, 106)
    axes.set_ylim(-15, 125)
    axes.set_xlabel("Planted (%)")
