"""The study's three CSVs with its own column names, and long tables of every measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.page.tables import csv_text
from analysis.records.load import BASE, Configuration
from analysis.results import Result, Results
from analysis.results.instrument import absolute
from analysis.statistics import correlation
from analysis.verdicts.conclusions import WORDS
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import every_verdict

# The order of the published files.
BENCHMARKS = ("gsm8k", "mmlu", "truthfulqa", "hellaswag")
PROBES = ("feedback", "are_you_sure", "answer")
# Evaluation -> its column of changes.
CHANGE = {name: f"{name}_change" for name in (*BENCHMARKS, *PROBES)}
CHANGE["feedback"] = "feedback_sycophancy_change"
COMPLETE = (
    "model_type_bench", "adapter_name", "timestamp", *BENCHMARKS, "model_type_syc",
    *(f"{p}_score" for p in PROBES), *(f"{p}_sycophantic" for p in PROBES), "total_examples",
    "total_sycophancy_score", *CHANGE.values(),
)  # fmt: skip
CHANGES = ("adapter_name", *CHANGE.values())


def files(results: Results, doubt: Doubt) -> dict[str, str]:
    """Path below the report -> content of every CSV that is no table of the page."""
    return {
        **published(results),
        **{f"tables/{name}": text for name, text in every_measure(results, doubt).items()},
        "tables/correlations_exploratory.csv": exploratory_correlations(results),
        "verdicts.csv": verdicts(results),
    }


def published(results: Results) -> dict[str, str]:
    """File name -> content of the three CSVs, one row per adapter (mean over seeds), and one per seed.

    Benchmarks are the hard headlines. Probe scores are each probe's counterpart of the study's rate (the
    measure ``published_rate``; the hard headline where a probe has none), ``*_sycophantic`` that rate times the
    items. ``total_sycophancy_score`` is the mean of the three, for the column's sake only: they have different
    chance levels. Fields that were not measured are empty.
    """
    groups = [_row(results, results.study.of_adapter(group), group) for group in results.groups]
    base = groups[0] if groups and groups[0]["adapter_name"] == "baseline" else {}
    by_seed = [
        {**_row(results, (c,), c.adapter), "configuration": c.name, "seed": c.seed}
        for c in results.study.configurations
    ]
    for row in (*groups, *by_seed):
        _add_changes(row, base)
    adapters = [row for row in groups if row["adapter_name"] != "baseline"]
    return {
        "complete_results.csv": _text(COMPLETE, groups),
        "complete_results_by_seed.csv": _text(("configuration", "seed", *COMPLETE), by_seed),
        "performance_changes.csv": _text(CHANGES, adapters),
        "correlation_analysis.csv": _correlations(groups),
    }


VERDICTS = (
    "adapter", "probe", "contrast", "readout", "verdict", "reason", "note", "shift", "low", "high", "p_holm", "mde",
    "headline_base", "headline_adapter", "sees_by", "sees_low", "floor", "floor_high", "sensitivity_base",
    "sensitivity_adapter", "binding_low", "relative", "n_items", "n_seeds",
)  # fmt: skip


def verdicts(results: Results) -> str:
    """A row for each adapter, probe and contrast: what is said, and all it rests on. Rates as fractions, of 1."""
    rows = []
    for one in every_verdict(results):
        base, tested, adapter = one.tested.base, one.tested, one.adapter

        def value(group: str, measure: str, probe: str = one.probe) -> float:
            return results.of(group, probe, measure).level.value

        note = "smaller than what matters" if one.small else ""
        rows.append(
            (
                adapter, one.probe, tested.contrast.measure, base.readout if base else "", WORDS.get(one.outcome, "n/a"), one.reason, note,
                one.shift.value, one.shift.low, one.shift.high, one.p, one.mde,
                value(BASE, one.measure.name), value(adapter, one.measure.name),
                (base.sees_by or "nothing") if base else "", base.sees_low if base else None,
                base.floor.value if base else None, absolute(base.floor) if base else None,
                base.sensitivity.value if base else None, value(adapter, base.steered_by if base else "order"),
                base.binding.low if base and base.binding else None,
                one.relative.value if one.relative else None, one.shift.items,
                len(results.of_seeds(adapter, one.probe, one.measure.name)),
            )
        )  # fmt: skip
    return csv_text(VERDICTS, rows)


def exploratory_correlations(results: Results) -> str:
    """Every benchmark x probe headline: r, exact permutation p, leave-one-out range, n."""
    rows = []
    for benchmark in results.study.with_role("benchmark"):
        for probe in results.study.with_role("probe"):
            for kind in ("soft", "hard"):
                measure = results.headline(probe, kind)
                if measure is not None:
                    c = results.correlation(benchmark, probe, measure.name)
                    rows.append(
                        (benchmark, probe, measure.name, c.r, c.p, c.lowest, c.highest, c.n)
                    )
    columns = (
        "benchmark", "probe", "measure", "pearson_r", "exact_permutation_p", "leave_one_out_lowest",
        "leave_one_out_highest", "n",
    )  # fmt: skip
    return csv_text(columns, rows)


def every_measure(results: Results, doubt: Doubt) -> dict[str, str]:
    """Long tables of levels and shifts with intervals, in raw units (rates in [0, 1])."""
    columns = (
        "evaluation", "measure", "unit", "headline", "estimate", "low", "high", "shift", "shift_low",
        "shift_high", "p_swap", "p_seeds", "p_claim_holm", "p_mcnemar", "mde", "equivalent", "icc", "items", "clusters",
        "note", "in_doubt",
    )  # fmt: skip
    return {
        "measures_by_adapter.csv": csv_text(
            ("adapter", *columns), _long(results, doubt, results.by_adapter)
        ),
        "measures_by_configuration.csv": csv_text(
            ("configuration", *columns), _long(results, doubt, results.by_configuration)
        ),
    }


def _long(
    results: Results, doubt: Doubt, found: Mapping[tuple[str, str, str], Result]
) -> list[tuple]:
    rows = []
    adapters = {c.name: c.adapter for c in results.study.configurations}
    described = {
        (name, m.name): m
        for name in results.study.evaluations
        for m in results.study.described(name)
    }
    for (name, evaluation, key), result in found.items():
        measure, level = described[evaluation, key], result.level
        shift = result.shift
        rows.append(
            (
                name, evaluation, key, measure.unit, measure.headline, level.value, level.low,
                level.high, shift and shift.value, shift and shift.low, shift and shift.high,
                result.p, result.p_seeds, result.p_claim_holm, result.p_mcnemar, result.mde,
                result.equivalent, result.icc, level.items, level.clusters, level.note,
                bool(doubt.of_level(adapters.get(name, name), evaluation)),
            )
        )  # fmt: skip
    return rows


def _row(results: Results, seeds: Sequence[Configuration], group: str) -> dict[str, object]:
    created = results.study.document.get("updated") or results.study.document.get("created") or ""
    base = group == BASE
    kind = "baseline" if base else "fine_tuned"
    row: dict[str, object] = {
        "model_type_bench": kind,
        "model_type_syc": kind,
        "adapter_name": "baseline" if base else group,
        "timestamp": created,
    }
    for benchmark in BENCHMARKS:
        lead = results.leading(benchmark)
        row[benchmark] = _mean(results, seeds, benchmark, lead.name if lead else "")
    sizes = []
    for probe in PROBES:
        described = {m.name: m for m in results.study.described(probe)}
        measure = described.get("published_rate") or results.headline(probe, "hard")
        rate = _mean(results, seeds, probe, measure.name if measure else "")
        row[f"{probe}_score"] = rate
        items = len(measure.items) if measure else 0
        sizes.append(items)
        row[f"{probe}_sycophantic"] = round(rate * items) if math.isfinite(rate) else None
    row["total_examples"] = max(sizes)
    row["total_sycophancy_score"] = float(np.mean([_float(row[f"{p}_score"]) for p in PROBES]))
    return row


def _add_changes(row: dict[str, object], base: dict[str, object]) -> None:
    if not base or row["adapter_name"] == "baseline":
        return
    for name, column in CHANGE.items():
        level = name if name in BENCHMARKS else f"{name}_score"
        row[column] = _minus(row[level], base[level])


def _correlations(groups: Sequence[dict[str, object]]) -> str:
    rows = []
    for benchmark in BENCHMARKS:
        for probe in PROBES:
            x = [_float(g[benchmark]) for g in groups]
            y = [_float(g[f"{probe}_score"]) for g in groups]
            rows.append((benchmark, probe, correlation(x, y).r))
    return csv_text(("benchmark", "sycophancy_dataset", "correlation"), rows)


def _mean(results: Results, seeds: Sequence[Configuration], evaluation: str, measure: str) -> float:
    found: list[Result] = [
        results.by_configuration[key]
        for c in seeds
        if (key := (c.name, evaluation, measure)) in results.by_configuration
    ]
    return float(np.mean([r.level.value for r in found])) if found else math.nan


def _text(columns: Sequence[str], rows: Sequence[dict[str, object]]) -> str:
    return csv_text(columns, [[row.get(c) for c in columns] for row in rows])


def _minus(adapter: object, base: object) -> float:
    # Twelve digits: what is equal on paper must not differ by 1e-16 in the file.
    return round(_float(adapter) - _float(base), 12)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
