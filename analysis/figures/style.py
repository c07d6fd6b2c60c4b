"""What the figures share: colours, fonts, axes and error bars."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from analysis.page.text import scale
from analysis.records.load import BASE
from analysis.statistics import Estimate
from sycojax.evals import BUILTIN
from sycojax.records import COMBINED, PLACEBO

# Okabe and Ito's palette: told apart with every common colour blindness. The base is grey.
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D1F")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# An adapter of the package's own tasks has the same colour in every study.
_FIXED = {name: place for place, name in enumerate((*BUILTIN.benchmarks, COMBINED, PLACEBO))}
GREY = "#5f6673"
LIGHT = "#d5d9e0"
INK = "#1d2430"
BAND = "#eef1f5"  # what is too small to be seen, or not the question

# On paper a figure is as wide as the text of an A4 page, 182 mm, and at most 215 mm high (page/report.css). From this
# width that is 0.83 of what is written here, so SMALL is 7.1 points there.
WIDTH = 8.6  # inches
TALLEST = 10.1  # inches
SMALL = 8.5  # points; nothing is smaller
COLUMNS = 4  # panels that stand side by side

SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa1ad",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.labelsize": 9.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.color": "#e4e7ec",
    "grid.linewidth": 0.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "sycojax",  # the same figure gives the same file
}


def look(group: str, adapters: Sequence[str]) -> tuple[str, str]:
    """(colour, marker) of a configuration or adapter; the same in every figure. No two of 49 look alike."""
    if group == BASE:
        return GREY, "X"
    place = _FIXED.get(group)
    if place is None:
        others = [a for a in adapters if a not in _FIXED]
        place = len(_FIXED) + others.index(group)
    again, colour = divmod(place, len(_PALETTE))
    return _PALETTE[colour], _MARKERS[(colour + again) % len(_MARKERS)]


def panels(rows: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns axes, WIDTH wide and ``height`` inches high."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.04)  # type: ignore[union-attr]
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(row) for row in grid]


def row_height(rows: int, roomy: float, tight: float, rest: float) -> float:
    """Inches of one of ``rows`` rows beside ``rest`` inches: ``roomy`` where a page has the room, never below ``tight``."""
    return min(roomy, max(tight, (TALLEST - rest) / max(rows, 1)))


def fitting(height: float, rest: float) -> int:
    """How many things of ``height`` inches a page holds beside ``rest`` inches; at least one."""
    return max(1, int((TALLEST - rest) / height))


def parts(things: Sequence[Any], most: int, columns: int = 1) -> list[Sequence[Any]]:
    """``things`` in as few parts of at most ``most`` full rows of ``columns`` as can be, even but for the last."""
    rows = math.ceil(len(things) / columns)
    each = math.ceil(rows / max(math.ceil(rows / most), 1)) * columns
    return [things[i : i + each] for i in range(0, len(things), max(each, 1))]


def faint(colour: str, many: int) -> tuple[str, float]:
    """The colour of error bars that cross each other: light where there are ``many``, so that markers stay in sight."""
    return colour, 1.0 if many <= 10 else 0.35


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend above the panels in as many columns as fit; the figure grows by its rows beyond the first."""
    if not handles:
        return
    names = [str(handle.get_label()) for handle in handles]
    inches = [_width(name) + 0.65 for name in names]  # with marker and gaps

    def fits(columns: int) -> bool:
        return sum(max(column) for column in np.array_split(inches, columns)) < WIDTH

    columns = next((n for n in range(len(names), 1, -1) if fits(n)), 1)
    rows = math.ceil(len(names) / columns)
    lines = max(name.count("\n") + 1 for name in names)
    figure.set_figheight(figure.get_figheight() + (0.05 + 0.14 * lines) * rows - 0.19)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _width(text: str) -> float:
    """Inches of the longest line, at the size of a legend's letters."""
    lines = [line for line in text.split("\n") if line.strip()]
    size = SETTINGS["legend.fontsize"]
    extents = [TextPath((0, 0), line, size=size).get_extents() for line in lines]
    return max((box.width for box in extents), default=0.0) / 72


def titled(axes: Axes, name: str, colour: str) -> None:
    """A name above one of three panels side by side; a long one takes two lines."""
    axes.set_title("\n".join(textwrap.wrap(name, 22)), color=colour)


def whiskers(estimate: Estimate, unit: str) -> list[list[float]]:
    """Error-bar lengths in shown units, [[below], [above]]; zero where there is no interval."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return [[0.0], [0.0]]
    # A score interval can end a rounding error short of the value itself.
    below = max(0.0, estimate.value - estimate.low) * scale(unit)
    above = max(0.0, estimate.high - estimate.value) * scale(unit)
    return [[below], [above]]


def ink_on(background: Sequence[float]) -> str:
    """White or dark text, whichever has more contrast on an RGB(A) background (WCAG 2 luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if luminance < 0.2 else INK


def squares(axes: Axes, columns: int, rows: int) -> None:
    """White lines between the squares of a heat map, and nothing else around them."""
    axes.set_facecolor("#f1f3f6")  # of squares without a number
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def unavailable(axes: Axes, message: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, message, ha="center", va="center", wrap=True, color=GREY, transform=axes.transAxes
    )


def zero_line(axes: Axes, vertical: bool) -> None:
    draw = axes.axvline if vertical else axes.axhline
    draw(0, color="#9aa1ad", linewidth=1, zorder=1)
