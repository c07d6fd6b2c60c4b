"""Two figures: the correlations as claimed and as recomputed, and the changes with what could have been found."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.figure import Figure

from analysis.figures.style import (
    GREY,
    LIGHT,
    SMALL,
    legend,
    look,
    panels,
    row_height,
    unavailable,
    zero_line,
)
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.inference import critical_r
from analysis.report.csvs import PROBES
from analysis.statistics import ALPHA

CLAIMED, FOUND = "#D55E00", "#0072B2"  # Okabe and Ito's vermilion and blue


def correlations(evidence: Evidence, claimed: Mapping[tuple[str, str], float]) -> Figure:
    """One line per pair: recomputed r, leave-one-out range, Fisher's interval, and the claimed r."""
    pairs = list(evidence.pairs.values())
    figure, grid = panels(1, 1, 1.5 + 0.34 * len(pairs))
    axes = grid[0][0]
    limit = critical_r(evidence.points)
    if math.isfinite(limit):
        axes.axvspan(
            -limit, limit, color="#f3f5f8", zorder=0, label=f"p > .05 by t, |r| < {limit:.2f}"
        )
    zero_line(axes, vertical=True)
    for row, pair in enumerate(pairs):
        found = pair.found
        if not math.isfinite(found.r):
            why = "does not vary" if evidence.points > 2 else "needs three configurations"
            axes.text(0, row, why, ha="center", va="center", color=GREY, fontsize=SMALL)
            continue
        first = row == 0
        if math.isfinite(found.low):
            axes.plot(
                [found.low, found.high], [row, row], color=LIGHT, linewidth=2.5, zorder=1.5,
                label="Fisher's 95 % interval" if first else None,
            )  # fmt: skip
        if math.isfinite(found.lowest):
            axes.plot(
                [found.lowest, found.highest], [row, row], color=FOUND, linewidth=5, alpha=0.35, zorder=2,
                solid_capstyle="butt", label="one configuration left out" if first else None,
            )  # fmt: skip
        axes.plot(found.r, row, "o", color=FOUND, zorder=4, label="recomputed" if first else None)
    stated = [
        (value, row) for row, p in enumerate(pairs)
        if (value := claimed.get((p.benchmark, p.probe))) is not None
    ]  # fmt: skip
    for i, (value, row) in enumerate(stated):
        axes.plot(
            value, row, "D", color=CLAIMED, fillstyle="none", markersize=7.5, markeredgewidth=1.8, zorder=5,
            label="claimed" if i == 0 else None,
        )  # fmt: skip
    axes.set_yticks(range(len(pairs)), [f"{p.benchmark} x {p.probe}" for p in pairs])
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(-1.02, 1.02)
    axes.set_xlabel(f"Pearson's r over {evidence.points} configurations")
    axes.tick_params(axis="y", length=0)
    legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def changes(evidence: Evidence) -> Figure:
    """One panel per probe: each adapter's change with its interval over the band of what is too small to be found."""
    adapters = evidence.scores.adapters
    rows = max(len(adapters), 2)
    height = 1.0 + rows * row_height(rows, 0.42, 0.19, 1.0)
    figure, grid = panels(1, len(PROBES), height)
    for column, (axes, probe) in enumerate(zip(grid[0], PROBES, strict=True)):
        found = {a: s for a in adapters if (s := evidence.shifts.get((a, probe)))}
        if not found:
            unavailable(axes, f"{probe}: no counts of independent items")
            continue
        one = next(iter(found.values()))
        rise, fall = (edge if math.isfinite(edge) else 0.0 for edge in (one.rise, one.fall))
        axes.axvspan(-fall, rise, color="#eef1f5", zorder=0)
        zero_line(axes, vertical=True)
        for row, adapter in enumerate(adapters):
            if adapter in found:
                s, (colour, marker) = found[adapter], look(adapter, adapters)
                axes.errorbar(
                    s.value, row, xerr=[[max(0.0, s.value - s.low)], [max(0.0, s.high - s.value)]], fmt=marker,
                    color=colour, markersize=7, elinewidth=1.8, capsize=2.5,
                    fillstyle="full" if s.p_holm < ALPHA else "none", markeredgewidth=1.6,
                )  # fmt: skip
        axes.set_yticks(range(len(adapters)), adapters if column == 0 else [])
        axes.set_ylim(rows - 0.4, -0.6)
        axes.set_title(probe)
        axes.tick_params(axis="y", length=0)
    figure.supxlabel("Change of the rate")
    return figure
