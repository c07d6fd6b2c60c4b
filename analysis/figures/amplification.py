"""Amplification: the combined adapter's shift against those of the adapters of its parts."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from analysis.figures.style import GREY, INK, panels, whiskers, zero_line
from analysis.page.text import scale, with_interval
from analysis.results import Results
from analysis.verdicts.doubt import Doubt


def draw(results: Results, doubt: Doubt) -> Figure:
    """Per probe its shift minus the mean, the largest and the sum of the others' shifts, with paired intervals."""
    found = results.amplification
    figure, grid = panels(1, len(found), 8.6, 2.2)
    for column, (axes, one) in enumerate(zip(grid[0], found, strict=True)):
        contrasts = (
            ("minus their mean", one.minus_mean),
            (f"minus the largest\n({one.largest_of})", one.minus_largest),
            ("minus their sum", one.minus_sum),
        )
        for place, (_, contrast) in enumerate(contrasts):
            if not math.isfinite(contrast.value):
                axes.text(0, place, "n/a", ha="center", va="center", color=GREY)
                continue
            solid = contrast.excludes_zero
            axes.errorbar(
                contrast.value * scale(one.unit), place, xerr=whiskers(contrast, one.unit), fmt="o",
                color=INK, markerfacecolor=INK if solid else "white", markersize=6, linewidth=1.4,
            )  # fmt: skip
            axes.text(
                contrast.value * scale(one.unit), place - 0.3,
                with_interval(contrast, one.unit),
                ha="center", va="center", fontsize=8, color=INK if solid else GREY,
            )  # fmt: skip
        zero_line(axes, vertical=True)
        axes.grid(axis="x")
        axes.margins(x=0.25)
        labels = [label for label, _ in contrasts]
        axes.set_yticks(range(3), labels if column == 0 else [""] * 2 + [""])
        if column:
            axes.set_yticks(range(3), ["", f"({one.largest_of})", ""], fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(2.5, -0.6)
        axes.set_title(f"{one.evaluation}{doubt.of_shift(one.adapter, one.evaluation)}")
        axes.set_xlabel("points" if one.unit == "rate" else one.unit)
    return figure
