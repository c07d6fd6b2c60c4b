"""Strata: does a shift depend on whether the probe's question was seen in training?"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.forest import finish, forests
from analysis.figures.style import GREY, INK, SMALL, look, whiskers
from analysis.page.text import scale, with_interval
from analysis.records.strata import STRATA
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals.protocol import Measure

MARKERS = {"train": "s", "test": "^", "neither": "o"}
SAID = {"train": "in a training split", "test": "in a test split", "neither": "in neither"}


def split(results: Results) -> tuple[str, ...]:
    """The probes whose questions fall into more than one stratum."""
    found: dict[str, set[str]] = {}
    for _, evaluation, _, stratum in results.by_stratum:
        found.setdefault(evaluation, set()).add(stratum)
    return tuple(n for n in results.study.with_role("probe") if len(found.get(n, ())) > 1)


def draw(results: Results, doubt: Doubt) -> list[Figure]:
    """One panel per probe: the soft shift in each stratum, and seen minus unseen on the right."""
    names, adapters = split(results), results.study.adapters
    leads = results.leads("probe")
    figures, grid = forests(names, len(adapters))
    ends = [-1.0, 1.0]
    for axes, name in zip(grid, names, strict=True):
        for place, adapter in enumerate(adapters):
            ends += _row(axes, results, name, leads[name], adapter, place)
        labels = [f"{a}{doubt.of_shift(a, name)}" for a in adapters]
        axes.set_yticks(range(len(adapters)), labels)
        axes.set_title(name)
        axes.set_title(
            "seen minus unseen", loc="right", fontweight="normal", fontsize=9, color=GREY
        )
    handles = [
        Line2D([], [], marker=MARKERS[s], color=INK, linewidth=1.1, label=f"question {SAID[s]}")
        for s in STRATA
    ]
    finish(figures, ends, "Soft shift against the base (points)", handles)
    return figures


def _row(
    axes: Axes, results: Results, name: str, lead: Measure, adapter: str, place: int
) -> list[float]:
    colour, _ = look(adapter, results.study.adapters)
    ends: list[float] = []
    for stratum, offset in zip(STRATA, (-0.24, 0.0, 0.24), strict=True):
        found = results.by_stratum.get((adapter, name, lead.name, stratum))
        shift = found.shift if found else None
        if shift is None or not math.isfinite(shift.value):
            continue
        bars, x = whiskers(shift, lead.unit), shift.value * scale(lead.unit)
        axes.errorbar(
            x, place + offset, xerr=bars, fmt=MARKERS[stratum], color=colour, markersize=5,
            markerfacecolor="white" if stratum == "neither" else colour, linewidth=1.1,
        )  # fmt: skip
        ends += [x - bars[0][0], x + bars[1][0]]
    contrast = results.seen_minus_unseen.get((adapter, name, lead.name))
    if contrast is not None and math.isfinite(contrast.value):
        text = with_interval(contrast, lead.unit)
        axes.text(
            0.995, place, text, ha="right", va="center", fontsize=SMALL,
            transform=axes.get_yaxis_transform(), color=INK if contrast.excludes_zero else GREY,
            fontweight="bold" if contrast.excludes_zero else "normal",
        )  # fmt: skip
    return ends
