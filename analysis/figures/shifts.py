"""Figures of shifts against the base: against capability, and a profile per adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import (
    COLUMNS,
    GREY,
    INK,
    SMALL,
    faint,
    fitting,
    legend,
    look,
    panels,
    parts,
    titled,
    whiskers,
    zero_line,
)
from analysis.page.text import number, scale
from analysis.records.load import BASE
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.protocol import Measure


def trade_off(results: Results, doubt: Doubt) -> list[Figure]:
    """Mean benchmark shift against the soft shift of each probe, with 2-D error bars.

    Large markers are adapters (mean over seeds), small ones their seeds, the cross is the base.
    """
    leads, adapters, figures = results.leads("probe"), results.study.adapters, []
    for names in parts([*leads], COLUMNS):
        figure, grid = panels(1, len(names), 3.7 if len(adapters) <= 10 else 4.6)
        for axes, name in zip(grid[0], names, strict=True):
            lead = leads[name]
            for adapter in adapters:
                _trade_off_point(axes, results, adapter, name, lead.name, lead.unit)
            zero_line(axes, vertical=True)
            zero_line(axes, vertical=False)
            axes.plot(0, 0, "x", color=INK, markersize=9, markeredgewidth=2, zorder=4)
            axes.grid()
            axes.margins(0.12)
            axes.set_title(f"{name}\nn = {len(lead.items):,}")
        figure.supxlabel("Mean benchmark shift (points)")
        grid[0][0].set_ylabel("Soft shift of the probe (points)")
        handles = [Line2D([], [], marker="x", color=INK, linestyle="", label=BASE)]
        for adapter in adapters:
            colour, marker = look(adapter, adapters)
            # One of several panels, which the caption names: marks beside the points would hide each other.
            mark = max((doubt.of_shift(adapter, name) for name in names), key=len)
            handles.append(
                Line2D(
                    [], [], marker=marker, color=colour, linestyle="", markersize=7,
                    label=f"{adapter} {mark}".strip(),
                )
            )  # fmt: skip
        legend(figure, handles)
        figures.append(figure)
    return figures


def _trade_off_point(
    axes: Axes, results: Results, adapter: str, probe: str, measure: str, unit: str
) -> None:
    colour, marker = look(adapter, results.study.adapters)
    x = results.mean_benchmark_shift(adapter)
    y = results.of(adapter, probe, measure).shift
    if y is None or not (math.isfinite(x.value) and math.isfinite(y.value)):
        return
    seeds = results.mean_benchmark_shift_by_seed(adapter)
    for name, mean in seeds if len(seeds) > 1 else ():
        of_seed = results.by_configuration.get((name, probe, measure))
        if of_seed and of_seed.shift and math.isfinite(mean):
            axes.plot(
                mean * 100, of_seed.shift.value * scale(unit), marker, color=colour, markersize=4.5,
                markerfacecolor="white", zorder=2,
            )  # fmt: skip
    axes.errorbar(
        x.value * 100, y.value * scale(unit), xerr=whiskers(x, "rate"), yerr=whiskers(y, unit),
        fmt=marker, color=colour, ecolor=faint(colour, len(results.study.adapters)), markersize=7.5,
        linewidth=1.2, zorder=3,
    )  # fmt: skip


def profile(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per adapter: its shift on every benchmark and probe, on one axis of points."""
    adapters, names = results.study.adapters, results.leads("benchmark") | results.leads("probe")
    columns, height = min(3, len(adapters)), 0.75 + 0.27 * len(names)
    figures, drawn, reach = [], [], 1.0
    for part in parts(adapters, fitting(height, 0.75), columns):
        rows = math.ceil(len(part) / columns)
        figure, grid = panels(rows, columns, height * rows + 0.75)
        frames = [axes for row in grid for axes in row]
        for place, (axes, adapter) in enumerate(zip(frames, part, strict=False)):
            reach = max(reach, _profile_rows(axes, results, doubt, adapter, names))
            axes.set_yticks(range(len(names)), names if place % columns == 0 else [])
            titled(axes, adapter, look(adapter, adapters)[0])
        for axes in frames[len(part) :]:
            axes.set_axis_off()
        figure.supxlabel("Shift against the base (points)")
        legend(figure, _kinds())
        figures.append(figure)
        drawn += frames[: len(part)]
    for axes in drawn:
        axes.set_xlim(-1.08 * reach, 1.5 * reach)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        between = len(results.leads("benchmark")) - 0.5
        axes.axhline(between, color="#9aa1ad", linewidth=0.8, linestyle=(0, (3, 3)))
    return figures


def _kinds() -> list[Line2D]:
    return [
        Line2D([], [], marker="o", color=INK, linewidth=1.4, label="benchmark (right: better)"),
        Line2D(
            [], [], marker="D", color=INK, linewidth=1.4, label="probe (right: more sycophantic)"
        ),
    ]


def _profile_rows(
    axes: Axes, results: Results, doubt: Doubt, adapter: str, leads: Mapping[str, Measure]
) -> float:
    """Draw the rows; return the farthest end of an interval, in points."""
    colour, _ = look(adapter, results.study.adapters)
    reach = 0.0
    zero_line(axes, vertical=True)
    axes.grid(axis="x")
    for place, (name, lead) in enumerate(leads.items()):
        shift = results.of(adapter, name, lead.name).shift
        text = "n/a"
        if shift and math.isfinite(shift.value):
            bars = whiskers(shift, lead.unit)
            x = shift.value * scale(lead.unit)
            probe = name in results.study.with_role("probe")
            axes.errorbar(
                x, place, xerr=bars, fmt="D" if probe else "o", markersize=6, color=colour,
                linewidth=1.4,
            )  # fmt: skip
            reach = max(reach, abs(x - bars[0][0]), abs(x + bars[1][0]))
            text = number(shift.value, lead.unit, signed=True) + doubt.of_shift(adapter, name)
        axes.text(
            0.99, place, text, ha="right", va="center", fontsize=SMALL,
            transform=axes.get_yaxis_transform(), color=INK if text != "n/a" else GREY,
        )  # fmt: skip
    return reach
