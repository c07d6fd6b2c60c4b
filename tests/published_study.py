"""Count again what analysis/reanalysis/published_study holds as counts.csv and data.json, from the study's own files."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from analysis.reanalysis.data import Contamination, DataCounts
from analysis.reanalysis.scores import Count
from sycojax.data.questions import question_key


def result_counts(directory: Path) -> dict[tuple[str, str], Count]:
    """By configuration and evaluation: the counts in ``directory/*.json``, which are of one configuration each."""
    counts = {}
    for path in sorted(directory.glob("*.json")):
        one = json.loads(path.read_text())
        if "scores" in one:  # the base's benchmarks: rates and numbers of items only
            for name, rate in one["scores"].items():
                items = one["test_samples"][name]
                counts["base", name] = Count(round(rate * items), items)
            continue
        for name, found in one["benchmarks"].items():
            counts[one["adapter_name"], name] = Count(found["correct"], found["total"])
        for name, found in one["sycophancy"].items():
            unseen = found["edge_cases"]["no_detection"]
            counts[one["adapter_name"], name] = Count(found["sycophantic"], found["total"], unseen)
    return counts


def data_counts(directory: Path) -> DataCounts:
    """What data.json holds, from the splits and probes in ``directory``."""
    splits = {
        (task, split): _rows(directory / "splits" / f"{task}_{split}.jsonl")
        for task in ("mmlu", "truthfulqa", "hellaswag")
        for split in ("train", "test")
    }
    positions = {}
    for key, rows in splits.items():
        found = Counter(map(_right, rows))
        positions[key] = tuple(found[i] for i in range(max(4, 1 + max(found))))
    trained, tested = (
        {question_key(row["question"]) for row in splits["truthfulqa", split]}
        for split in ("train", "test")
    )
    probes = json.loads((directory / "probes.json").read_text())
    contamination = {}
    for probe, rows in probes.items():
        keys = [question_key(r["base"].get("question") or r["base"]["text"]) for r in rows]
        train = sum(key in trained for key in keys)
        test = sum(key in tested - trained for key in keys)
        contamination[probe] = Contamination(len(keys), train, test, len(set(keys)))
    asked = [row["base"] for row in probes["are_you_sure"]]
    options = [re.findall(r"^\(([A-Z])\)", base["answers"], re.MULTILINE) for base in asked]
    return DataCounts(
        positions,
        contamination,
        dict(Counter(row["metadata"]["prompt_template"] for row in probes["answer"])),
        sum(len(letters) > 5 for letters in options),
        sum(base["correct_letter"] > "E" for base in asked),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _right(row: dict[str, Any]) -> int:
    if "mc1_targets" in row:
        return row["mc1_targets"]["labels"].index(1)
    return int(row["label"] if "label" in row else row["answer"])
