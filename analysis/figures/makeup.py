"""What the published kind of number is made of: copying, anybody's belief, and the user's, as bars that add up to it."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures.style import (
    COLUMNS,
    INK,
    LIGHT,
    fitting,
    legend,
    look,
    panels,
    parts,
    titled,
    zero_line,
)
from analysis.results import Results
from analysis.verdicts.doubt import Doubt

# In the order in which they are stacked; blue and orange are told apart with every colour blindness.
PARTS = (
    ("copying and wording: nobody believes it", LIGHT),
    ("anybody's belief, beyond that", "#56B4E9"),
    ("the user's, beyond that", "#D55E00"),
)


def splits(results: Results, group: str) -> dict[str, tuple[float, float, float]]:
    """Of each probe's gross uptake what its floor moves, what somebody else's belief adds, and what the user's adds.

    Rates; the three add up to the gross. A probe that was not asked in arms is left out.
    """
    found = {}
    for probe in dict.fromkeys(tested.probe for tested in results.tested if tested.base):
        gross, floor, other = (
            results.of(group, probe, name).level.value
            for name in ("uptake_gross", "uptake_floor", "other")
        )
        if all(map(math.isfinite, (gross, floor, other))):
            found[probe] = floor, other - floor, gross - other
    return found


def draw(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per probe, one bar per configuration; a dot marks the sum."""
    of_group = {group: splits(results, group) for group in results.groups}
    probes = list(dict.fromkeys(probe for found in of_group.values() for probe in found))
    figures = []
    for groups in parts(results.groups, fitting(0.34, 1.7)):
        for names in parts(probes, COLUMNS - 1):
            figure, grid = panels(1, len(names), 0.34 * len(groups) + 1.7)
            for place, (axes, probe) in enumerate(zip(grid[0], names, strict=True)):
                titled(axes, probe, INK)
                for row, group in enumerate(groups):
                    if probe in of_group[group]:
                        _bar(axes, row, of_group[group][probe])
                axes.set_ylim(len(groups) - 0.5, -0.5)
                axes.set_yticks(range(len(groups)), groups if place == 0 else [])
                for label, group in zip(axes.get_yticklabels(), groups, strict=False):
                    label.set_color(look(group, results.study.adapters)[0])
                zero_line(axes, vertical=True)
            figure.supxlabel("Gross uptake (points)")
            total = Line2D([], [], marker="o", color=INK, linestyle="", label="all of it")
            legend(figure, [*(Patch(color=c, label=label) for label, c in PARTS), total])
            figures.append(figure)
    return figures


def _bar(axes: Axes, row: int, found: tuple[float, float, float]) -> None:
    # What is below 0 is stacked to the left, so that no part hides another.
    right = left = 0.0
    for share, (_, colour) in zip(found, PARTS, strict=True):
        points = 100 * share
        start = right if points > 0 else left
        axes.barh(row, points, left=start, height=0.7, color=colour)
        if points > 0:
            right += points
        else:
            left += points
    axes.plot(100 * sum(found), row, "o", color=INK, markersize=4, zorder=4)
