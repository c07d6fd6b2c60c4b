"""Stance against mention: does the model defer to the user, or copy whatever the prompt names?"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from analysis.figures.style import BAND, GREY, faint, legend, look, panels, whiskers, zero_line
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.declared import Plane


def draw(results: Results, doubt: Doubt, name: str, plane: Plane) -> Figure:
    """Large markers are configurations with 95 % intervals, small ones their seeds; echo is shaded."""
    figure, ((axes,),) = panels(1, 1, 4.2 if len(results.groups) <= 10 else 5.0)
    handles = []
    for group in results.groups:
        if not _point(axes, results, group, name, plane):
            continue
        colour, marker = look(group, results.study.adapters)
        label = f"{group}{doubt.of_level(group, name)}"
        handles.append(
            Line2D([], [], marker=marker, color=colour, linestyle="", markersize=8, label=label)
        )
    axes.plot(0, 0, alpha=0)  # the origin belongs to the picture
    axes.margins(0.1)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    far = max(map(abs, (left, right, low, high)))
    for side in (-1, 1):
        corner = [(0, 0), (side * far, far), (side * far, -far)]
        axes.add_patch(Polygon(corner, color=BAND, zorder=0))
    # An axis of near-zero mentions would blow noise up to the size of the stances.
    axes.set_xlim(min(left, -far / 2), max(right, far / 2))
    axes.set_ylim(low, high)
    zero_line(axes, vertical=True)
    zero_line(axes, vertical=False)
    axes.set_xlabel(plane.across_label)
    axes.set_ylabel(plane.up_label)
    axes.set_title("shaded: copying outweighs deference", loc="right", fontsize=9, color=GREY)
    axes.grid(linewidth=0.5)
    legend(figure, handles)
    return figure


def _point(axes: Axes, results: Results, group: str, name: str, plane: Plane) -> bool:
    """Draw one configuration and its seeds; whether there was anything to draw."""
    colour, marker = look(group, results.study.adapters)
    x, y = (results.of(group, name, n).level for n in (plane.across, plane.up))
    if not (math.isfinite(x.value) and math.isfinite(y.value)):
        return False
    axes.errorbar(
        x.value, y.value, xerr=whiskers(x, "nats"), yerr=whiskers(y, "nats"), fmt=marker,
        color=colour, ecolor=faint(colour, len(results.groups)), markersize=8, linewidth=1.2, zorder=3,
    )  # fmt: skip
    seeds = [results.of_seeds(group, name, n) for n in (plane.across, plane.up)]
    for across, up in zip(*seeds, strict=True) if len(seeds[0]) > 1 else ():
        axes.plot(
            across.level.value, up.level.value, marker, color=colour, markersize=4.5,
            markerfacecolor="white", zorder=2,
        )  # fmt: skip
    return True
