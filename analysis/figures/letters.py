"""Letter prior: the probability each configuration gives a letter, whatever text stands behind it."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.figures.style import COLUMNS, GREY, ink_on, panels, parts, row_height, squares
from analysis.results import Results
from analysis.verdicts.doubt import Doubt

LETTERS = ("A", "B", "C", "D")
EVEN = 25.0  # of the four letters, in %
REACH = 25.0  # where the colours end, on either side


def lettered(results: Results) -> tuple[str, ...]:
    """The benchmarks and probes whose letter masses were measured."""
    names = (*results.study.with_role("benchmark"), *results.study.with_role("probe"))
    return tuple(n for n in names if results.study.measure_of(n, "letter_mass_A") is not None)


def draw(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per evaluation; rows are configurations, columns letters, squares the mean mass in %."""
    groups, figures = results.groups, []
    for names in parts(lettered(results), COLUMNS):
        height = max(1.8, 0.8 + len(groups) * row_height(len(groups), 0.36, 0.18, 0.8))
        figure, grid = panels(1, len(names), height)
        images = []
        for column, (axes, name) in enumerate(zip(grid[0], names, strict=True)):
            images.append(_map(axes, results, name, groups))
            marks = [doubt.of_level(group, name) for group in groups]
            labels = [f"{g}{m}" for g, m in zip(groups, marks, strict=True)]
            axes.set_yticks(range(len(groups)), labels if column == 0 else marks)
        label = "Mean P(letter), %"
        size = min(0.9, 3.5 / height)
        figure.colorbar(images[0], ax=grid[0], shrink=size, aspect=18, label=label, extend="both")
        figures.append(figure)
    return figures


def _map(axes: Axes, results: Results, name: str, groups: tuple[str, ...]):
    shown = np.array([[_mass(results, g, name, x) for x in LETTERS] for g in groups])
    colours, norm = matplotlib.colormaps["PuOr_r"], Normalize(EVEN - REACH, EVEN + REACH)
    image = axes.imshow(np.ma.masked_invalid(shown), cmap=colours, norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        known = math.isfinite(value)
        axes.text(
            column, row, f"{value:.0f}" if known else "n/a", ha="center", va="center", fontsize=9,
            color=ink_on(tuple(colours(norm(value)))) if known else GREY,
        )  # fmt: skip
    axes.set_xticks(range(len(LETTERS)), LETTERS)
    squares(axes, len(LETTERS), len(groups))
    axes.set_title(name)
    return image


def _mass(results: Results, group: str, evaluation: str, letter: str) -> float:
    return results.of(group, evaluation, f"letter_mass_{letter}").level.value * 100
