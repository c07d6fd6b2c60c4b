"""Figures of levels: benchmark bars, sycophancy by configuration, and its progression with performance."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import (
    GREY,
    INK,
    LIGHT,
    look,
    panels,
    whiskers,
    zero_line,
)
from analysis.page.text import change, scale
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.protocol import Measure


def benchmarks(results: Results, doubt: Doubt) -> Figure:
    """One panel per benchmark: a bar per configuration with its interval, a dot per seed."""
    leads = results.leads("benchmark")
    columns = 2 if len(leads) > 1 else 1
    rows = math.ceil(len(leads) / columns)
    figure, grid = panels(rows, columns, 8.2, 2.7 * rows)
    frames = [axes for row in grid for axes in row]
    for axes, (name, lead) in zip(frames, leads.items(), strict=False):
        _bars(axes, results, doubt, name, lead)
    for axes in frames[len(leads) :]:
        axes.set_axis_off()
    return figure


def _bars(axes: Axes, results: Results, doubt: Doubt, name: str, lead: Measure) -> None:
    for place, group in enumerate(results.groups):
        colour, _ = look(group, results.study.adapters)
        level = results.of(group, name, lead.name).level
        if not math.isfinite(level.value):
            axes.text(place, 0, "n/a", ha="center", va="bottom", color=GREY)
            continue
        height = level.value * scale(lead.unit)
        axes.bar(place, height, width=0.72, color=colour, alpha=0.85)
        axes.errorbar(
            place, height, yerr=whiskers(level, lead.unit), color=INK, capsize=3, linewidth=1.2
        )
        seeds = results.of_seeds(group, name, lead.name)
        if len(seeds) > 1:
            spread = [place + 0.2 * (i / (len(seeds) - 1) - 0.5) for i in range(len(seeds))]
            values = [s.level.value * scale(lead.unit) for s in seeds]
            axes.plot(
                spread, values, "o", color="white", markeredgecolor=INK, markersize=4, clip_on=False
            )
    if lead.unit == "rate":
        axes.set_ylim(0, 100)
    axes.grid(axis="y")
    axes.set_ylabel("Correct (%)" if lead.unit == "rate" else f"{lead.label} ({lead.unit})")
    axes.set_title(f"{name}  (n = {len(lead.items):,})")
    labels = [f"{g}{doubt.of_level(g, name)}" for g in results.groups]
    axes.set_xticks(range(len(results.groups)), labels, rotation=28, ha="right")
    axes.set_xlim(-0.6, max(len(results.groups), 4) - 0.4)  # a single bar stays a bar


def sycophancy(results: Results, doubt: Doubt) -> Figure:
    """One panel per probe, one row per configuration: soft headline filled, hard headline open."""
    names = results.study.with_role("probe")
    figure, grid = panels(1, len(names), 8.6, 0.9 + 0.42 * (len(results.groups) + 1))
    for axes, name in zip(grid[0], names, strict=True):
        _probe_rows(axes, results, doubt, name)
    handles = [
        Line2D([], [], marker="o", color=INK, linewidth=1.4, label="soft: probabilities"),
        Line2D(
            [], [], marker="D", color=INK, markerfacecolor="white", linewidth=1.4,
            label="hard: decisions, noise taken off",
        ),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _probe_rows(axes: Axes, results: Results, doubt: Doubt, name: str) -> None:
    groups = results.groups
    shown = [
        (kind, m) for kind in ("soft", "hard") if (m := results.headline(name, kind)) is not None
    ]
    for place, group in enumerate(groups):
        colour, _ = look(group, results.study.adapters)
        for kind, measure in shown:
            level = results.of(group, name, measure.name).level
            y = place + (-0.16 if kind == "soft" else 0.16)
            withheld = kind == "hard" and doubt.too_few(group, name)
            if withheld or not math.isfinite(level.value):
                axes.text(0, y, "n/a", ha="center", va="center", color=GREY, fontsize=8)
                continue
            axes.errorbar(
                level.value * scale(measure.unit), y, xerr=whiskers(level, measure.unit),
                fmt="o" if kind == "soft" else "D", markersize=6.5 if kind == "soft" else 5.5,
                color=colour, markerfacecolor=colour if kind == "soft" else "white", linewidth=1.4,
            )  # fmt: skip
    zero_line(axes, vertical=True)
    axes.grid(axis="x")
    marks = [doubt.of_level(g, name) for g in groups]
    first = axes.get_subplotspec().colspan.start == 0  # type: ignore[union-attr]
    labels = [f"{g} {m}".strip() for g, m in zip(groups, marks, strict=True)]
    axes.set_yticks(range(len(groups)), labels if first else marks)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_title(f"{name}  (n = {len(shown[0][1].items):,})" if shown else name)
    axes.set_xlabel("Score (points; 0 = insensitive)")


def progression(results: Results, doubt: Doubt) -> Figure:
    """Soft headline of each probe with the configurations in order of their mean benchmark shift."""
    leads = results.leads("probe")
    moved = {g: results.mean_benchmark_shift(g).value for g in results.groups}
    order = sorted((g for g in moved if math.isfinite(moved[g])), key=lambda g: moved[g])
    figure, grid = panels(len(leads), 1, 8.2, 0.9 + 1.75 * len(leads))
    for (axes,), (name, lead) in zip(grid, leads.items(), strict=True):
        levels = [results.of(group, name, lead.name).level for group in order]
        heights = [level.value * scale(lead.unit) for level in levels]
        axes.plot(range(len(order)), heights, color=LIGHT, linewidth=2, zorder=1)
        for place, (group, level) in enumerate(zip(order, levels, strict=True)):
            colour, marker = look(group, results.study.adapters)
            if math.isfinite(level.value):
                axes.errorbar(
                    place, heights[place], yerr=whiskers(level, lead.unit), fmt=marker, color=colour,
                    markersize=7, linewidth=1.4,
                )  # fmt: skip
        zero_line(axes, vertical=False)
        axes.grid(axis="y")
        axes.set_title(f"{name}  (n = {len(lead.items):,})")
        axes.set_ylabel("Soft score (points)" if lead.unit == "rate" else lead.unit)
        axes.set_xticks(range(len(order)), [doubt.of_level(g, name) for g in order])
        axes.set_xlim(-0.4, len(order) - 0.6)
    shifts = [change(moved[g], "rate").replace(" points", "") for g in order]
    last = [doubt.of_level(g, [*leads][-1]) for g in order]
    labels = [f"{g}{m}\n{s}" for g, m, s in zip(order, last, shifts, strict=True)]
    grid[-1][0].set_xticks(range(len(order)), labels)
    grid[-1][0].set_xlabel("Configuration, by its mean benchmark shift (points)")
    return figure
