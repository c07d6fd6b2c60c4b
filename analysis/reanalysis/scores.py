"""A study's three tables, with the published column names, as scores by configuration."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from analysis.records.load import BASE
from analysis.report.csvs import BENCHMARKS, CHANGE, PROBES
from sycojax.errors import SycojaxError
from sycojax.files import reading

COMPLETE, CHANGES, CORRELATIONS = (
    "complete_results.csv", "performance_changes.csv", "correlation_analysis.csv",
)  # fmt: skip
BY_SEED = "complete_results_by_seed.csv"  # only sycojax writes it
FOLDERS = ("", "report")  # where the tables may be inside a directory


@dataclasses.dataclass(frozen=True)
class Count:
    """How many of how many items count as right (benchmarks) or sycophantic (probes)."""

    hits: int
    items: int
    no_detection: int | None = None  # items in which the scorer detected nothing, where known

    @property
    def rate(self) -> float:
        return self.hits / self.items


@dataclasses.dataclass(frozen=True)
class Scores:
    """Rates in [0, 1] by (configuration, evaluation); nan or absent where nothing was measured."""

    configurations: tuple[str, ...]  # the base, if there, first
    rates: Mapping[tuple[str, str], float]
    counts: Mapping[tuple[str, str], Count]
    stated_changes: Mapping[tuple[str, str], float]  # as performance_changes.csv has them
    stated_correlations: Mapping[tuple[str, str], float]  # as correlation_analysis.csv has them

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(c for c in self.configurations if c != BASE)

    def rate(self, configuration: str, evaluation: str) -> float:
        return self.rates.get((configuration, evaluation), math.nan)

    def change(self, configuration: str, evaluations: str | Sequence[str]) -> float:
        """Mean over ``evaluations`` of (configuration - base); nan where one of them is missing."""
        names = (evaluations,) if isinstance(evaluations, str) else evaluations
        return math.fsum(self.rate(configuration, e) - self.rate(BASE, e) for e in names) / len(
            names
        )

    def column(self, evaluation: str) -> list[float]:
        """The rates of all configurations in their order."""
        return [self.rate(c, evaluation) for c in self.configurations]


def read_scores(directory: Path) -> Scores:
    """The tables in ``directory`` or its ``report/``.

    ``complete_results.csv`` must be there; the other two are compared with it where they are. Raises
    ``SycojaxError`` when it is missing, lacks a column, or holds what is no number or cannot be: a rate above 1,
    more hits than items.
    """
    folder = _folder(directory)
    rows = read_csv(folder / COMPLETE, ("adapter_name", *BENCHMARKS, *map(_score, PROBES)))
    names = [BASE if row["adapter_name"] == "baseline" else row["adapter_name"] for row in rows]
    if repeated := {n for n in names if names.count(n) > 1}:
        raise SycojaxError(f"{folder / COMPLETE}: more than one row for {sorted(repeated)[0]!r}")
    rates, counts = {}, {}
    # Mean rates over seeds are no counts of independent items.
    seeds = (folder / BY_SEED).is_file()
    for name, row in zip(names, rows, strict=True):
        for evaluation in (*BENCHMARKS, *PROBES):
            column = evaluation if evaluation in BENCHMARKS else _score(evaluation)
            place = f"{folder / COMPLETE}, {row['adapter_name']}"
            rate = number(row[column], f"{place}, {column}", 0, 1)
            rates[name, evaluation] = rate
            items = number(row.get("total_examples") or "", f"{place}, total_examples", 1)
            counted = f"{evaluation}_sycophantic"
            hits = number(row.get(counted) or "", f"{place}, {counted}", 0, items)
            if not seeds and math.isfinite(hits) and math.isfinite(items):
                count = Count(int(hits), int(items))
                if abs(count.rate - rate) < 0.5 / count.items:
                    counts[name, evaluation] = count
    ordered = tuple(sorted(names, key=lambda n: n != BASE))
    return Scores(ordered, rates, counts, _changes(folder), _correlations(folder))


def read_counts(path: Path) -> dict[tuple[str, str], Count]:
    """``counts.csv``: the counts by configuration and evaluation."""
    columns = ("configuration", "evaluation", "hits", "items", "no_detection")
    return {
        (row["configuration"], row["evaluation"]): Count(
            int(row["hits"]),
            int(row["items"]),
            int(row["no_detection"]) if row["no_detection"] else None,
        )
        for row in read_csv(path, columns)
    }


def read_csv(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV file as strings. Raises ``SycojaxError`` when it or one of ``columns`` is missing."""
    try:
        with reading(path):
            text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SycojaxError(f"{path} is not UTF-8 text: convert the file") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [c for c in columns if c not in (reader.fieldnames or ())]
    if missing:
        raise SycojaxError(f"{path} has no column {missing[0]!r} (it has {reader.fieldnames})")
    rows = list(reader)
    if not rows:
        raise SycojaxError(f"{path} has no rows")
    if any(None in row.values() or None in row for row in rows):
        raise SycojaxError(f"{path}: a row has more or fewer fields than the header")
    return rows


def number(text: str, place: str, low: float, high: float = math.inf) -> float:
    """A field as a float, nan where it is empty.

    Raises ``SycojaxError`` naming ``place`` where it is no number, or none from ``low`` to ``high``.
    """
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError as error:
        raise SycojaxError(f"{place}: {text!r} is not a number") from error
    slack = 1e-9  # a correlation of 1 may come out a rounding error above it
    if value < low - slack or value > high + slack or math.isinf(value):
        percent = ": rates are shares of 1, not percent" if (low, high) == (0, 1) else ""
        above = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise SycojaxError(f"{place}: {text} is not {above}{percent}")
    return value


def _folder(directory: Path) -> Path:
    if not directory.is_dir():
        raise SycojaxError(f"--data={directory} is not a directory")
    for name in FOLDERS:
        if (directory / name / COMPLETE).is_file():
            return directory / name
    places = ", ".join(str(directory / name / COMPLETE) for name in FOLDERS)
    raise SycojaxError(f"--data={directory} holds no results table (looked for {places})")


def _changes(folder: Path) -> dict[tuple[str, str], float]:
    path = folder / CHANGES
    if not path.is_file():
        return {}
    return {
        (row["adapter_name"], e): number(row[c], f"{path}, {row['adapter_name']}, {c}", -1, 1)
        for row in read_csv(path, ("adapter_name", *CHANGE.values()))
        for e, c in CHANGE.items()
    }


def _correlations(folder: Path) -> dict[tuple[str, str], float]:
    path = folder / CORRELATIONS
    if not path.is_file():
        return {}
    rows = read_csv(path, ("benchmark", "sycophancy_dataset", "correlation"))
    return {
        (row["benchmark"], row["sycophancy_dataset"]): number(
            row["correlation"], f"{path}, {row['benchmark']}, {row['sycophancy_dataset']}", -1, 1
        )
        for row in rows
    }


def _score(probe: str) -> str:
    return f"{probe}_score"
