"""Figures of shifts against the base: against capability, and a profile per adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import GREY, INK, look, panels, whiskers, zero_line
from analysis.page.text import number, scale
from analysis.records.load import BASE
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.protocol import Measure


def trade_off(results: Results, doubt: Doubt) -> Figure:
    """Mean benchmark shift against the soft shift of each probe, with 2-D error bars.

    Large markers are adapters (mean over seeds), small ones their seeds, the cross is the base.
    """
    leads, adapters = results.leads("probe"), results.study.adapters
    figure, grid = panels(1, len(leads), 8.6, 3.5)
    for axes, (name, lead) in zip(grid[0], leads.items(), strict=True):
        for adapter in adapters:
            mark = doubt.of_shift(adapter, name)
            _trade_off_point(axes, results, adapter, name, lead.name, lead.unit, mark)
        zero_line(axes, vertical=True)
        zero_line(axes, vertical=False)
        axes.plot(0, 0, "x", color=INK, markersize=9, markeredgewidth=2, zorder=4)
        axes.grid()
        axes.margins(0.12)
        axes.set_title(f"{name}  (n = {len(lead.items):,})")
        axes.set_xlabel("Mean benchmark shift (points)")
    grid[0][0].set_ylabel("Soft shift of the probe (points)")
    handles = [Line2D([], [], marker="x", color=INK, linestyle="", label=BASE)]
    for adapter in adapters:
        colour, marker = look(adapter, adapters)
        handles.append(
            Line2D([], [], marker=marker, color=colour, linestyle="", markersize=7, label=adapter)
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _trade_off_point(
    axes: Axes, results: Results, adapter: str, probe: str, measure: str, unit: str, mark: str
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
        fmt=marker, color=colour, markersize=7.5, linewidth=1.2, zorder=3,
    )  # fmt: skip
    axes.annotate(
        mark,
        (x.value * 100, y.value * scale(unit)),
        (5, 3),
        textcoords="offset points",
        color=colour,
    )


def profile(results: Results, doubt: Doubt) -> Figure:
    """One panel per adapter: its shift on every benchmark and probe, on one axis of points."""
    study, adapters = results.study, results.study.adapters
    names = results.leads("benchmark") | results.leads("probe")
    columns = min(3, len(adapters))
    rows = math.ceil(len(adapters) / columns)
    figure, grid = panels(rows, columns, 8.6, (0.75 + 0.27 * len(names)) * rows + 0.35)
    frames = [axes for row in grid for axes in row]
    reach = 1.0
    for axes, adapter in zip(frames, adapters, strict=False):
        reach = max(reach, _profile_rows(axes, results, doubt, adapter, names))
    for place, (axes, adapter) in enumerate(zip(frames, adapters, strict=False)):
        axes.set_xlim(-1.08 * reach, 1.5 * reach)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), names if place % columns == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.set_title(adapter, color=look(adapter, adapters)[0])
        axes.set_xlabel("Shift (points)")
        benchmarks = len(study.with_role("benchmark"))
        axes.axhline(benchmarks - 0.5, color="#9aa1ad", linewidth=0.8, linestyle=(0, (3, 3)))
    for place, axes in enumerate(frames[len(adapters) :]):
        axes.set_axis_off()
        if place == 0:
            axes.legend(
                handles=_kinds(), loc="center left", title="Shift against base", alignment="left"
            )
    return figure


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
            0.99, place, text, ha="right", va="center", fontsize=8.5,
            transform=axes.get_yaxis_transform(), color=INK if text != "n/a" else GREY,
        )  # fmt: skip
    return reach
