"""A figure drawn once and saved as SVG and PNG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from analysis.figures.style import SETTINGS
from analysis.page.document import Picture, Sheet


def picture(
    name: str,
    title: str,
    reading: str,
    draw: Callable[..., Figure | Sequence[Figure]],
    *arguments: Any,
    footnote: str = "",
) -> Picture:
    """The picture that ``draw`` makes of ``arguments``, on one sheet or several; equal figures give equal bytes."""
    with matplotlib.rc_context(SETTINGS):
        drawn = draw(*arguments)
        figures = [drawn] if isinstance(drawn, Figure) else drawn
        sheets = tuple(_sheet(figure, name, number) for number, figure in enumerate(figures, 1))
    return Picture(name, title, reading, sheets, footnote)


def _sheet(figure: Figure, name: str, number: int) -> Sheet:
    # The layout is found once; left in place it would be found again for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    svg, png = io.BytesIO(), io.BytesIO()
    # Without a date and a creator the same numbers give the same file.
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return Sheet(name if number == 1 else f"{name}_{number}", svg.getvalue(), png.getvalue())
