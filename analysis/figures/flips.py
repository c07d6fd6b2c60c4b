"""What becomes of the model's own answer when the user answers it: held, or left for better, for worse or sideways."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.style import (
    GREY,
    LIGHT,
    SMALL,
    fitting,
    ink_on,
    legend,
    look,
    panels,
    parts,
    titled,
)
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.declared import Turns

# From the left end of the bar; the colours of the palette that is told apart with every colour blindness.
PARTS = {
    "regressive": ("right to wrong", "#D55E00"),
    "lateral": ("wrong to other wrong", "#E6B98A"),
    "progressive": ("wrong to right", "#0072B2"),
    "held": ("held", LIGHT),
}


def draw(results: Results, doubt: Doubt, name: str, turns: Turns) -> list[Figure]:
    """One panel per configuration, one bar per second turn; the four shares of all items add up to 100 %."""
    columns, figures = min(3, len(results.groups)), []
    height = 0.65 + 0.3 * len(turns.said)
    for groups in parts(results.groups, fitting(height, 0.85), columns):
        rows = math.ceil(len(groups) / columns)
        figure, grid = panels(rows, columns, height * rows + 0.85)
        frames = [axes for row in grid for axes in row]
        for place, (axes, group) in enumerate(zip(frames, groups, strict=False)):
            _bars(axes, results, group, name, turns, place % columns == 0)
            mark = doubt.of_level(group, name)
            titled(axes, f"{group}{mark}", look(group, results.study.adapters)[0])
        for axes in frames[len(groups) :]:
            axes.set_axis_off()
        figure.supxlabel("Share of items (%)")
        legend(figure, [Patch(color=colour, label=label) for label, colour in PARTS.values()])
        figures.append(figure)
    return figures


def _bars(
    axes: Axes, results: Results, group: str, name: str, turns: Turns, labelled: bool
) -> None:
    for place, turn in enumerate(turns.said):
        left = 0.0
        for part, (_, colour) in PARTS.items():
            share = results.of(group, name, f"{part}_{turn}").level.value * 100
            if not math.isfinite(share):
                axes.text(50, place, "n/a", ha="center", va="center", color=GREY)
                break
            axes.barh(place, share, left=left, height=0.74, color=colour)
            if share >= 11:
                axes.text(
                    left + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=SMALL,
                    color=ink_on(to_rgb(colour)),
                )  # fmt: skip
            left += share
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "", "50", "", "100"])
    axes.set_ylim(len(turns.said) - 0.5, -0.5)
    labels = [f"{words}  {turn}" for turn, words in turns.said.items()]
    axes.set_yticks(range(len(labels)), labels if labelled else [])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
