"""Figures of a sweep: effects against a dose, and all points side by side."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from analysis.figures.style import GREY, look, panels, unavailable, whiskers, zero_line
from analysis.page.text import UNITS, scale
from analysis.results import Results
from analysis.statistics import Estimate
from analysis.sweep.audits import Audited
from analysis.sweep.curves import Dose, Series
from analysis.sweep.load import Point
from analysis.sweep.tables import leading
from analysis.verdicts.doubt import Doubt

GAIN = "benchmark gain"  # the mean over benchmarks
_LETTER = 0.07  # inches of a letter in the legend
_WIDE = 4.0  # doses whose ends differ by this factor get a logarithmic axis


def outcomes(results: Sequence[Results]) -> tuple[str, ...]:
    """What is drawn per point: the mean gain where there are benchmarks, then the probes."""
    return (*((GAIN,) if leading(results, "benchmark") else ()), *leading(results, "probe"))


def effect(results: Results, group: str, outcome: str) -> tuple[Estimate, str, list[float]]:
    """The shift of a point against its base, the unit, and the shifts of its single seeds."""
    if outcome == GAIN:
        seeds = [value for _, value in results.mean_benchmark_shift_by_seed(group)]
        return results.mean_benchmark_shift(group), "rate", seeds
    lead = results.leading(outcome)
    if lead is None:
        return Estimate(math.nan), "rate", []
    found = results.of(group, outcome, lead.name).shift or Estimate(math.nan)
    by_seed = results.of_seeds(group, outcome, lead.name)
    return found, lead.unit, [r.shift.value for r in by_seed if r.shift]


def curves(
    results: Sequence[Results], audited: Audited, lines: Sequence[Series], dose: Dose
) -> Figure:
    """A row per adapter, a panel per outcome, a line per series; x is the dose."""
    adapters = list(dict.fromkeys(line.adapter for line in lines))
    labels = list(dict.fromkeys(line.label for line in lines))
    columns = outcomes(results)
    width, height = max(8.6, 2.6 * len(columns) + 0.4), 2.5 * len(adapters) + 0.7
    names = [textwrap.fill(label, int(width / _LETTER) - 10) for label in labels]
    wide = _LETTER * max(len(line) for name in names for line in name.split("\n")) + 0.7
    abreast = max(1, min(4, int(width / wide)))
    above = 0.17 * (math.ceil(len(labels) / abreast) - 1) if len(labels) > 1 else 0.0
    figure, grid = panels(len(adapters), len(columns), width, height + above)
    for row, adapter in zip(grid, adapters, strict=True):
        mine = [line for line in lines if line.adapter == adapter]
        amounts = sorted({dose.of(point) for line in mine for point in line.points})
        for axes, outcome in zip(row, columns, strict=True):
            for line in mine:
                shift = min(0.035, 0.12 / len(labels)) * (
                    labels.index(line.label) - (len(labels) - 1) / 2
                )
                doubt = audited.families[line.family]
                _line(
                    axes, results[line.family], doubt, line, dose, outcome, labels, shift, amounts
                )
            _dose_axis(axes, amounts)
            zero_line(axes, vertical=False)
            axes.grid(True, axis="y")
            axes.set_title(outcome if len(adapters) == 1 else f"{adapter}: {outcome}", fontsize=9.5)
            unit = effect(results[mine[0].family], mine[0].points[0].group, outcome)[1]
            axes.set_ylabel(f"Shift ({_unit(unit)})" if axes is row[0] or unit != "rate" else "")
    for axes in grid[-1]:
        axes.set_xlabel(dose.title)
    if len(labels) > 1:
        handles = [_handle(label, labels, name) for label, name in zip(labels, names, strict=True)]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(abreast, len(labels)))
    return figure


def side_by_side(
    results: Sequence[Results], audited: Audited, points: Sequence[tuple[int, Point]]
) -> Figure:
    """A row per point, a panel per outcome; ``points`` with the number of their family."""
    columns = outcomes(results)
    if not columns:
        figure, grid = panels(1, 1, 8.6, 2.0)
        unavailable(grid[0][0], "Neither a benchmark nor a probe was scored.")
        return figure
    longest = max(len(point.group) for _, point in points)
    figure, grid = panels(
        1, len(columns), max(8.6, 1.7 * len(columns) + 0.075 * longest), 0.34 * len(points) + 1.3
    )
    adapters = list(dict.fromkeys(point.adapter for _, point in points))
    for axes, outcome in zip(grid[0], columns, strict=True):
        for y, (family, point) in enumerate(points):
            found, unit, seeds = effect(results[family], point.group, outcome)
            colour, marker = look(point.adapter, adapters)
            factor = scale(unit)
            _seeds(axes, [factor * v for v in seeds], [y] * len(seeds), GREY, (0.0, -6.5))
            axes.errorbar(
                factor * found.value, y, xerr=whiskers(found, unit), fmt=marker, color=colour, markersize=5.5,
                markerfacecolor=_face(audited.families[family], results[family], point.group, outcome, colour),
                capsize=2.5, linewidth=1.3, zorder=4,
            )  # fmt: skip
            axes.set_xlabel(_unit(unit))
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_yticks(
            range(len(points)), [p.group for _, p in points] if axes is grid[0][0] else []
        )
        axes.grid(True, axis="x")
        axes.set_title(outcome, fontsize=9.5)
        zero_line(axes, vertical=True)
    return figure


def _line(
    axes: Axes, results: Results, doubt: Doubt, line: Series, dose: Dose, outcome: str, labels: Sequence[str],
    shift: float, amounts: Sequence[float],
) -> None:  # fmt: skip
    colour, marker = look(line.label, labels)
    xs, ys = [], []
    for point in line.points:
        found, unit, seeds = effect(results, point.group, outcome)
        x, factor = _beside(dose.of(point), shift, amounts), scale(unit)
        _seeds(axes, [x] * len(seeds), [factor * v for v in seeds], colour, (5.0, 0.0))
        axes.errorbar(
            x, factor * found.value, yerr=whiskers(found, unit), fmt=marker, color=colour, markersize=5.5, capsize=2.5,
            markerfacecolor=_face(doubt, results, point.group, outcome, colour), linewidth=1.3, zorder=4,
        )  # fmt: skip
        xs.append(x)
        ys.append(factor * found.value)
    axes.plot(xs, ys, color=colour, linewidth=1.2, zorder=3)


def _seeds(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], colour: str, aside: tuple[float, float]
) -> None:
    """A dot per seed, moved by ``aside`` (points), since the interval of their mean would hide it; none for a lone seed."""
    if len(xs) > 1:
        moved = ScaledTranslation(aside[0] / 72, aside[1] / 72, axes.figure.dpi_scale_trans)
        axes.plot(
            xs, ys, ".", color=colour, markersize=4, alpha=0.8, transform=axes.transData + moved
        )


def _face(doubt: Doubt, results: Results, group: str, outcome: str, colour: str) -> str:
    """Hollow where an audit failed that the number rests on."""
    names = results.study.with_role("benchmark") if outcome == GAIN else (outcome,)
    return "white" if any(doubt.of_shift(group, name) for name in names) else colour


def _logarithmic(amounts: Sequence[float]) -> bool:
    return amounts[0] > 0 and amounts[-1] / amounts[0] >= _WIDE


def _beside(amount: float, shift: float, amounts: Sequence[float]) -> float:
    """A little to the side, so that intervals of several series do not hide each other."""
    if _logarithmic(amounts):
        return amount * (amounts[-1] / amounts[0]) ** shift
    return amount + shift * (amounts[-1] - amounts[0])


def _dose_axis(axes: Axes, amounts: Sequence[float]) -> None:
    if _logarithmic(amounts):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    chosen = list(amounts) if len(amounts) <= 5 else [*amounts[:: math.ceil(len(amounts) / 5)]]
    axes.set_xticks(chosen, [f"{amount:g}" for amount in chosen])


def _handle(label: str, labels: Sequence[str], name: str) -> Line2D:
    colour, marker = look(label, labels)
    return Line2D([], [], color=colour, marker=marker, markersize=5.5, label=name)


def _unit(unit: str) -> str:
    return "points" if unit == "rate" else UNITS[unit] or "score"
