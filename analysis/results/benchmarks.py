"""The mean of the benchmarks' shifts, as a measure of its own: its seeds and its questions err as those of any shift."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records.load import BASE, Study
from analysis.results.comparisons import NOT_SCORED, Result, compare
from analysis.statistics import Estimate
from sycojax.evals.protocol import Measure


def mean_shifts(study: Study, leads: Mapping[str, Measure]) -> dict[str, Estimate]:
    """By configuration and by adapter, over the benchmarks of ``leads`` that it and the base were scored on.

    A sum of one row per benchmark over the questions of all of them, divided by their number. So a seed that moves all
    benchmarks counts as one seed, and the interval is unknown where that of one of them is.
    """
    scored: dict[tuple[str, ...], list[str]] = {}
    for adapter in study.adapters:
        names = [c.name for c in (*study.of_adapter(adapter), *study.of_adapter(BASE))]
        on = tuple(b for b, m in leads.items() if all(study.measure(n, b, m.name) for n in names))
        scored.setdefault(on, []).append(adapter)
    found: dict[str, Estimate] = {}
    for on, adapters in scored.items():
        if not on or not study.of_adapter(BASE):
            continue
        part = [c for c in study.configurations if c.adapter in (BASE, *adapters)]
        rows = {c.name: [study.measure(c.name, b, leads[b].name) for b in on] for c in part}
        compared = compare(
            study, {name: _joined([m for m in row if m], on) for name, row in rows.items()}
        )
        for group in (compared.by_configuration, compared.by_group):
            found |= {name: _mean(result, len(on)) for name, result in group.items()}
    return found


def _joined(measures: Sequence[Measure], names: Sequence[str]) -> Measure:
    """Their sum: a row of each over the items of all."""
    ends = np.cumsum([0, *(len(m.items) for m in measures)])

    def rows(each: Sequence[np.ndarray]) -> np.ndarray:
        out = np.zeros((sum(map(len, each)), ends[-1]))
        top = 0
        for part, start in zip(each, ends, strict=False):
            out[top : top + len(part), start : start + part.shape[1]] = part
            top += len(part)
        return out

    return dataclasses.replace(
        measures[0],
        items=tuple(f"{n} {i}" for n, m in zip(names, measures, strict=True) for i in m.items),
        clusters=tuple(c for m in measures for c in m.clusters),
        numerator=rows([m.numerator for m in measures]),
        denominator=rows([m.denominator for m in measures]),
        shares=all(m.shares for m in measures),
    )


def _mean(result: Result, benchmarks: int) -> Estimate:
    moved = result.shift or NOT_SCORED
    value, low, high = (x / benchmarks for x in (moved.value, moved.low, moved.high))
    return dataclasses.replace(moved, value=value, low=low, high=high)
