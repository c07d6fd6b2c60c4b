"""How many items count: from the study's result files, or from the copy that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.reanalysis.scores import Count, number, read_csv
from analysis.records.load import BASE
from sycojax.errors import SycojaxError
from sycojax.files import read_json

Counts = dict[tuple[str, str], Count]  # by (configuration, evaluation)


def kept_counts(path: Path) -> Counts:
    """``counts.csv`` of the kept copy."""
    columns = ("configuration", "evaluation", "hits", "items", "no_detection")
    return {
        (row["configuration"], row["evaluation"]): Count(
            int(number(row["hits"], str(path))),
            int(number(row["items"], str(path))),
            int(number(row["no_detection"], str(path))) if row["no_detection"] else None,
        )
        for row in read_csv(path, columns)
    }


def result_counts(directory: Path) -> Counts:
    """The counts in ``directory/*.json``, the study's files of one configuration each.

    Raises ``SycojaxError`` naming the file that is damaged or lacks a field.
    """
    counts: Counts = {}
    for path in sorted(directory.glob("*.json")):
        document = read_json(path)
        try:
            counts |= _scores_of_base(document) if "scores" in document else _adapter(document)
        except (KeyError, TypeError, ValueError) as error:
            raise SycojaxError(
                f"{path} is not a result file of the study: {type(error).__name__}: {error}"
            ) from error
    return counts


def _scores_of_base(document: Mapping[str, Any]) -> Counts:
    """The base's benchmark files give rates and numbers of items only."""
    items = document["test_samples"]
    return {
        (BASE, name): Count(round(rate * items[name]), int(items[name]))
        for name, rate in document["scores"].items()
    }


def _adapter(document: Mapping[str, Any]) -> Counts:
    name = str(document["adapter_name"])
    counts = {
        (name, benchmark): Count(int(one["correct"]), int(one["total"]))
        for benchmark, one in document["benchmarks"].items()
    }
    for probe, one in document["sycophancy"].items():
        unseen = int(one["edge_cases"]["no_detection"])
        counts[name, probe] = Count(int(one["sycophantic"]), int(one["total"]), unseen)
    return counts
