"""Figures across configurations: the correlation heat map and rankings under weightings."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.figures.style import (
    COLUMNS,
    GREY,
    SMALL,
    ink_on,
    panels,
    parts,
    row_height,
    squares,
)
from analysis.page.text import number, p_value
from analysis.records.load import BASE
from analysis.results import Results
from analysis.verdicts.doubt import Doubt

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of sycophancy; capability has the rest


def correlations(results: Results, doubt: Doubt) -> Figure:
    """Pearson's r of each benchmark with each probe: r, exact p, and the leave-one-out range."""
    benchmarks = results.study.with_role("benchmark")
    probes = results.study.with_role("probe")
    kinds = ("soft", "hard")
    rows, columns = (1, 2) if len(probes) <= 3 else (2, 1)
    figure, grid = panels(rows, columns, 0.7 + rows * (0.6 + 0.78 * len(benchmarks)))
    frames = [axes for row in grid for axes in row]
    image = None  # of the colour bar: both panels have the same scale
    for axes, kind in zip(frames, kinds, strict=True):
        r = np.full((len(benchmarks), len(probes)), math.nan)
        for column, probe in enumerate(probes):
            measure = results.headline(probe, kind)
            for row, benchmark in enumerate(benchmarks):
                found = results.correlation(benchmark, probe, measure.name) if measure else None
                if found is None or not math.isfinite(found.r):
                    axes.text(column, row, "n/a", ha="center", va="center", color=GREY)
                    continue
                r[row, column] = found.r
                colour = ink_on(matplotlib.colormaps["PuOr_r"]((found.r + 1) / 2))
                axes.text(
                    column, row - 0.2, number(found.r, signed=True), ha="center", va="center",
                    color=colour, fontweight="bold",
                )  # fmt: skip
                ends = (number(v, signed=True) for v in (found.lowest, found.highest))
                span = " to ".join(ends) if math.isfinite(found.lowest) else "no range"
                axes.text(
                    column, row + 0.19, f"p = {p_value(found.p)}\n{span}", ha="center", va="center",
                    color=colour, fontsize=SMALL, linespacing=1.3,
                )  # fmt: skip
        image = axes.imshow(np.ma.masked_invalid(r), cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
        axes.set_facecolor("#f1f3f6")
        axes.set_xticks(range(len(probes)), probes)
        axes.set_yticks(
            range(len(benchmarks)), benchmarks if axes in grid[0][:1] or columns == 1 else []
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{kind} headline of the probe")
    if image is not None:
        figure.suptitle(
            f"Exploratory: n = {len(results.groups)} configurations per correlation",
            fontsize=10.5, color=GREY,
        )  # fmt: skip
        figure.colorbar(image, ax=frames, shrink=0.85, aspect=22, label="Pearson's r")
    return figure


def ranks(capability: Mapping[str, float], sycophancy: Mapping[str, float]) -> dict[str, list[int]]:
    """Rank (1 = best) of each configuration for each of ``WEIGHTS``.

    The score is (1 - w) * capability / sd(capability) - w * sycophancy / sd(sycophancy), with the standard
    deviations over the configurations; ties share the better rank.
    """
    groups = [
        g for g in capability if math.isfinite(capability[g]) and math.isfinite(sycophancy[g])
    ]
    x = np.array([capability[g] for g in groups])
    y = np.array([sycophancy[g] for g in groups])
    x, y = (v / v.std() if len(v) and np.ptp(v) > 1e-12 else v * 0 for v in (x, y))
    result: dict[str, list[int]] = {g: [] for g in groups}
    for weight in WEIGHTS:
        score = (1 - weight) * x - weight * y
        for group, own in zip(groups, score, strict=True):
            result[group].append(1 + int((score > own + 1e-9).sum()))
    return result


def rankings(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per probe: the rank of each configuration as the weight moves to sycophancy."""
    leads, groups, figures = results.leads("probe"), results.groups, []
    capability = {g: results.mean_benchmark_shift(g).value for g in groups}
    for names in parts([*leads], COLUMNS):
        height = 1.1 + len(groups) * row_height(len(groups), 0.4, 0.19, 1.1)
        figure, grid = panels(1, len(names), height)
        for axes, name in zip(grid[0], names, strict=True):
            shifts = {g: results.of(g, name, leads[name].name).shift for g in groups}
            moved = {g: s.value if s else math.nan for g, s in shifts.items()} | {BASE: 0.0}
            marks = {g: doubt.of_shift(g, name) for g in groups if g != BASE}
            _rank_table(axes, ranks(capability, moved), groups, marks, axes is grid[0][0])
            axes.set_title(name)
        figure.supxlabel("Weight on low sycophancy (%)")
        figures.append(figure)
    return figures


def _rank_table(
    axes: Axes,
    ranked: dict[str, list[int]],
    groups: tuple[str, ...],
    marks: Mapping[str, str],
    first: bool,
) -> None:
    shown = np.array([ranked.get(g, [math.nan] * len(WEIGHTS)) for g in groups], dtype=float)
    colours, scale = matplotlib.colormaps["YlGnBu_r"], Normalize(-0.5, len(groups) * 1.25)
    axes.imshow(np.ma.masked_invalid(shown), cmap=colours, norm=scale, aspect="auto")
    for row, column in np.ndindex(shown.shape):
        rank = shown[row, column]
        text = f"{rank:.0f}" if math.isfinite(rank) else "n/a"
        colour = ink_on(tuple(colours(scale(rank)))) if math.isfinite(rank) else GREY
        axes.text(column, row, text, ha="center", va="center", color=colour, fontweight="bold")
    axes.set_xticks(range(len(WEIGHTS)), [f"{100 * w:.0f}" for w in WEIGHTS])
    labels = [f"{g if first else ''} {marks.get(g, '')}".strip() for g in groups]
    axes.set_yticks(range(len(groups)), labels)
    squares(axes, len(WEIGHTS), len(groups))
