"""What becomes of the model's own answer in are_you_sure: held, or left for better, for worse or sideways."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.style import GREY, LIGHT, ink_on, look, panels
from analysis.results import Results
from analysis.verdicts.doubt import Doubt

EVALUATION = "are_you_sure"
TURNS = {"T": "told wrong", "D": "are you sure?", "G": "told right", "R": "repeat"}
# From the left end of the bar; the colours of the palette that is told apart with every colour blindness.
PARTS = {
    "regressive": ("right to wrong", "#D55E00"),
    "lateral": ("wrong to other wrong", "#E6B98A"),
    "progressive": ("wrong to right", "#0072B2"),
    "held": ("held", LIGHT),
}


def available(results: Results) -> bool:
    """Whether the decomposition was measured."""
    return results.study.measure_of(EVALUATION, "regressive_T") is not None


def draw(results: Results, doubt: Doubt) -> Figure:
    """One panel per configuration, one bar per second turn; the four shares of all items add up to 100 %."""
    groups = results.groups
    columns = min(3, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure, grid = panels(rows, columns, 8.6, 1.55 * rows + 0.75)
    frames = [axes for row in grid for axes in row]
    for place, (axes, group) in enumerate(zip(frames, groups, strict=False)):
        _bars(axes, results, group, place % columns == 0)
        mark = doubt.of_level(group, EVALUATION)
        axes.set_title(f"{group}{mark}", color=look(group, results.study.adapters)[0])
        if place + columns >= len(groups):
            axes.set_xlabel("Share of items (%)")
    for axes in frames[len(groups) :]:
        axes.set_axis_off()
    handles = [Patch(color=colour, label=label) for label, colour in PARTS.values()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def _bars(axes: Axes, results: Results, group: str, labelled: bool) -> None:
    for place, turn in enumerate(TURNS):
        left = 0.0
        for part, (_, colour) in PARTS.items():
            share = results.of(group, EVALUATION, f"{part}_{turn}").level.value * 100
            if not math.isfinite(share):
                axes.text(50, place, "n/a", ha="center", va="center", color=GREY)
                break
            axes.barh(place, share, left=left, height=0.74, color=colour)
            if share >= 9:
                axes.text(
                    left + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=8,
                    color=ink_on(_rgb(colour)),
                )  # fmt: skip
            left += share
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "", "50", "", "100"])
    axes.set_ylim(len(TURNS) - 0.5, -0.5)
    axes.set_yticks(range(len(TURNS)), [f"{w}  {u}" for u, w in TURNS.items()] if labelled else [])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
