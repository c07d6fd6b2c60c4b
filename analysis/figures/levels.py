"""Figures of levels, a row per configuration: benchmark bars, sycophancy, and its progression with performance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import (
    COLUMNS,
    GREY,
    INK,
    LIGHT,
    SMALL,
    legend,
    look,
    panels,
    parts,
    row_height,
    whiskers,
    zero_line,
)
from analysis.page.text import change, scale
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.protocol import Measure


def benchmarks(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per benchmark: a bar per configuration with its interval, a dot per seed."""
    leads = results.leads("benchmark")

    def bars(axes: Axes, name: str) -> None:
        _bars(axes, results, name, leads[name])

    unit = "Correct (%)" if all(lead.unit == "rate" for lead in leads.values()) else "Score"
    return _rows(results, doubt, [*leads], results.groups, results.groups, bars, unit)


def sycophancy(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per probe: soft headline filled, hard headline open."""

    def markers(axes: Axes, name: str) -> None:
        _probe_rows(axes, results, doubt, name)

    figures = _rows(
        results, doubt, results.study.with_role("probe"), results.groups, results.groups, markers,
        "Score (points; 0 = insensitive)", roomy=0.42,
    )  # fmt: skip
    for figure in figures:
        legend(figure, [
            Line2D([], [], marker="o", color=INK, linewidth=1.4, label="soft: probabilities"),
            Line2D(
                [], [], marker="D", color=INK, markerfacecolor="white", linewidth=1.4,
                label="hard: decisions, noise taken off",
            ),
        ])  # fmt: skip
    return figures


def progression(results: Results, doubt: Doubt) -> list[Figure]:
    """Soft headline of each probe with the configurations in order of their mean benchmark shift, the best on top."""
    leads = results.leads("probe")
    moved = {g: results.mean_benchmark_shift(g).value for g in results.groups}
    order = sorted((g for g in moved if math.isfinite(moved[g])), key=lambda g: -moved[g])
    labels = [f"{g} ({change(moved[g], 'rate').replace(' points', '')})" for g in order]

    def line(axes: Axes, name: str) -> None:
        _line(axes, results, name, leads[name], order)

    return _rows(results, doubt, [*leads], order, labels, line, "Soft score (points)")


def _rows(
    results: Results, doubt: Doubt, names: Sequence[str], groups: Sequence[str], labels: Sequence[str],
    fill: Callable[[Axes, str], None], unit: str, roomy: float = 0.3,
) -> list[Figure]:  # fmt: skip
    """A panel per evaluation that ``fill`` draws into, a row per group, named by ``labels``; the unit stands below."""
    height = row_height(len(groups), roomy, 0.19, 1.5)
    figures = []
    for part in parts(names, COLUMNS):
        figure, (frames,) = panels(1, len(part), 1.3 + height * max(len(groups), 2))
        for axes, name in zip(frames, part, strict=True):
            fill(axes, name)
            axes.grid(axis="x")
            marks = [doubt.of_level(g, name) for g in groups]
            named = [f"{label} {m}".strip() for label, m in zip(labels, marks, strict=True)]
            axes.set_yticks(range(len(groups)), named if axes is frames[0] else marks)
            axes.set_ylim(max(len(groups), 2) - 0.5, -0.5)  # a single bar stays a bar
            axes.tick_params(axis="y", length=0)
            lead = results.leading(name)
            axes.set_title(f"{name}\nn = {len(lead.items):,}" if lead else name)
        figure.supxlabel(unit)
        figures.append(figure)
    return figures


def _bars(axes: Axes, results: Results, name: str, lead: Measure) -> None:
    for place, group in enumerate(results.groups):
        colour, _ = look(group, results.study.adapters)
        level = results.of(group, name, lead.name).level
        if not math.isfinite(level.value):
            axes.text(0, place, " n/a", ha="left", va="center", color=GREY, fontsize=SMALL)
            continue
        length = level.value * scale(lead.unit)
        axes.barh(place, length, height=0.74, color=colour, alpha=0.85)
        axes.errorbar(length, place, xerr=whiskers(level, lead.unit), color=INK, linewidth=1.2)
        seeds = results.of_seeds(group, name, lead.name)
        if len(seeds) > 1:
            spread = [place + 0.3 * (i / (len(seeds) - 1) - 0.5) for i in range(len(seeds))]
            values = [s.level.value * scale(lead.unit) for s in seeds]
            axes.plot(
                values,
                spread,
                "o",
                color="white",
                markeredgecolor=INK,
                markersize=3.5,
                clip_on=False,
            )
    if lead.unit == "rate":
        axes.set_xlim(0, 100)
        axes.set_xticks([0, 50, 100])
    else:
        axes.set_xlabel(f"{lead.label} ({lead.unit})")


def _probe_rows(axes: Axes, results: Results, doubt: Doubt, name: str) -> None:
    shown = [
        (kind, m) for kind in ("soft", "hard") if (m := results.headline(name, kind)) is not None
    ]
    missing: dict[int, list[float]] = {}  # heights by row
    for place, group in enumerate(results.groups):
        colour, _ = look(group, results.study.adapters)
        for kind, measure in shown:
            level = results.of(group, name, measure.name).level
            withheld = kind == "hard" and doubt.too_few(group, name)
            y = place + (-0.16 if kind == "soft" else 0.16)
            if withheld or not math.isfinite(level.value):
                missing.setdefault(place, []).append(y)
                continue
            axes.errorbar(
                level.value * scale(measure.unit), y, xerr=whiskers(level, measure.unit),
                fmt="o" if kind == "soft" else "D", markersize=6 if kind == "soft" else 5,
                color=colour, markerfacecolor=colour if kind == "soft" else "white", linewidth=1.4,
            )  # fmt: skip
    zero_line(axes, vertical=True)
    if missing:  # to the right of all that is drawn
        low, high = axes.get_xlim()
        axes.set_xlim(low, high + 0.18 * (high - low))
    across = axes.get_yaxis_transform()
    for heights in missing.values():
        axes.text(
            0.99, sum(heights) / len(heights), "n/a", ha="right", va="center", color=GREY, fontsize=SMALL,
            transform=across,
        )  # fmt: skip


def _line(axes: Axes, results: Results, name: str, lead: Measure, order: Sequence[str]) -> None:
    levels = [results.of(group, name, lead.name).level for group in order]
    values = [level.value * scale(lead.unit) for level in levels]
    axes.plot(values, range(len(order)), color=LIGHT, linewidth=2, zorder=1)
    for place, (group, level) in enumerate(zip(order, levels, strict=True)):
        colour, marker = look(group, results.study.adapters)
        if math.isfinite(level.value):
            axes.errorbar(
                values[place], place, xerr=whiskers(level, lead.unit), fmt=marker, color=colour,
                markersize=6.5, linewidth=1.4,
            )  # fmt: skip
    zero_line(axes, vertical=True)
    if lead.unit != "rate":
        axes.set_xlabel(lead.unit)
