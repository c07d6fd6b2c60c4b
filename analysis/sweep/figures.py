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

from analysis.figures.style import (
    COLUMNS,
    GREY,
    fitting,
    legend,
    look,
    panels,
    parts,
    row_height,
    unavailable,
    whiskers,
    zero_line,
)
from analysis.page.text import UNITS, scale
from analysis.results import Results
from analysis.statistics import Estimate
from analysis.sweep.audits import Audited
from analysis.sweep.curves import Dose, Series
from analysis.sweep.load import Point
from analysis.sweep.tables import leading
from analysis.verdicts.doubt import Doubt

GAIN = "benchmark gain"  # the mean over benchmarks
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
) -> list[Figure]:
    """A row per adapter, a panel per outcome, a line per series; x is the dose."""
    adapters = list(dict.fromkeys(line.adapter for line in lines))
    labels = list(dict.fromkeys(line.label for line in lines))
    names = [textwrap.fill(label, 100) for label in labels]  # what fits beside the marker
    handles = [_handle(label, labels, name) for label, name in zip(labels, names, strict=True)]
    figures = []
    for columns in parts(outcomes(results), COLUMNS):
        for part in parts(adapters, fitting(2.6, 0.8 + 0.19 * len(labels))):
            figure, grid = panels(len(part), len(columns), 2.6 * len(part) + 0.6)
            for row, adapter in zip(grid, part, strict=True):
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
                        )  # fmt: skip
                    _dose_axis(axes, amounts)
                    zero_line(axes, vertical=False)
                    axes.grid(True, axis="y")
                    named = textwrap.wrap(adapter, 18) if len(adapters) > 1 else []
                    axes.set_title("\n".join([*named, outcome]), fontsize=9.5)
                    unit = effect(results[mine[0].family], mine[0].points[0].group, outcome)[1]
                    if axes is row[0] or unit != "rate":
                        axes.set_ylabel(f"Shift ({_unit(unit)})")
            figure.supxlabel(dose.title)
            if len(labels) > 1:
                legend(figure, handles)
            figures.append(figure)
    return figures


def side_by_side(
    results: Sequence[Results], audited: Audited, points: Sequence[tuple[int, Point]]
) -> list[Figure]:
    """A row per point, a panel per outcome; ``points`` with the number of their family."""
    shown = outcomes(results)
    if not shown:
        figure, grid = panels(1, 1, 2.0)
        unavailable(grid[0][0], "Neither a benchmark nor a probe was scored.")
        return [figure]
    names = {point.group: textwrap.fill(point.group, 34) for _, point in points}
    tight = 0.05 + 0.15 * max(name.count("\n") + 1 for name in names.values())
    figures = []
    for columns in parts(shown, COLUMNS):
        drawn = []
        for part in parts(points, fitting(tight, 1.3)):
            height = row_height(len(part), max(0.34, tight), tight, 1.3)
            figure, (row,) = panels(1, len(columns), height * max(len(part), 2) + 1.3)
            _rows(row, results, audited, points, part, columns)
            row[0].set_yticks(range(len(part)), [names[p.group] for _, p in part])
            drawn.append(row)
            figures.append(figure)
        for axes in zip(*drawn, strict=True):  # one outcome on all sheets
            ends = [end for one in axes for end in one.get_xlim()]
            for one in axes:
                one.set_xlim(min(ends), max(ends))
    return figures


def _rows(
    row: Sequence[Axes], results: Sequence[Results], audited: Audited, points: Sequence[tuple[int, Point]],
    part: Sequence[tuple[int, Point]], columns: Sequence[str],
) -> None:  # fmt: skip
    """Draw ``part`` of ``points``, an outcome of ``columns`` in each of the axes."""
    adapters = list(dict.fromkeys(point.adapter for _, point in points))
    for axes, outcome in zip(row, columns, strict=True):
        for y, (family, point) in enumerate(part):
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
        axes.set_ylim(max(len(part), 2) - 0.4, -0.6)
        axes.set_yticks([])
        axes.grid(True, axis="x")
        axes.set_title(outcome, fontsize=9.5)
        zero_line(axes, vertical=True)


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
