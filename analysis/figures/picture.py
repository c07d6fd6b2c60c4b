"""A figure drawn once and saved as SVG and PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from analysis.figures.style import SETTINGS
from analysis.page.document import Picture


def picture(
    name: str,
    title: str,
    reading: str,
    draw: Callable[..., Figure],
    *arguments: Any,
    footnote: str = "",
) -> Picture:
    """The picture that ``draw`` makes of ``arguments``; equal figures give equal bytes."""
    with matplotlib.rc_context(SETTINGS):
        figure = draw(*arguments)
        # The layout is found once; left in place it would be found again for each format.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        svg, png = io.BytesIO(), io.BytesIO()
        # Without a date and a creator the same numbers give the same file.
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    return Picture(name, title, reading, svg.getvalue(), png.getvalue(), footnote)
