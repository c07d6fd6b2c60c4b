"""Draw the embedded sample of real rows: ``python -m pretraining.sample --rows=DIR --out=sycojax/data/sample``.

DIR holds the published study's splits and probes in the layout of ``data.source="files"``. The draw is seeded, and goes by
questions: rows that ask the same question come once into a benchmark, and with all their templates into a probe.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sycojax.data.questions import question_key
from sycojax.data.sources import Source, open_source
from sycojax.evals import BUILTIN
from sycojax.files import atomic_write

SEED = 42
# Rows of a benchmark to train on: those of `combined`'s other two tasks are long, and the whole is kept below 1.5 MB.
TRAIN = {"gsm8k": 400, "mmlu": 400, "hellaswag": 300, "truthfulqa": 300}
TEST, PROBE = 60, 60  # questions of a benchmark, and of a probe

Raw = Mapping[str, Any]


def main() -> None:
    """Write one JSON lines file per data set and split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="directory to draw from")
    parser.add_argument("--out", type=Path, required=True, help="directory of the sample")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, rows in draw(open_source("files", str(arguments.rows), BUILTIN)).items():
        lines = (json.dumps(raw, ensure_ascii=False, separators=(",", ":")) for raw in rows)
        text = "".join(f"{line}\n" for line in lines)
        atomic_write(arguments.out / f"{name}.jsonl", text.encode())


def draw(source: Source) -> dict[str, list[Raw]]:
    """Records by file name, without the fields that nothing reads.

    No training row asks what any probe row of the source asks, drawn or not; no test row asks what a training row asks.
    """
    files, asked = {}, set()
    for name in BUILTIN.probes:
        of_question = _by_question(source, name, "probe")
        asked |= set(of_question)
        drawn = [of_question[key] for key in _some(of_question, PROBE, f"{name} probe")]
        # Every question once before any comes in another template: the first N rows ask N questions.
        rounds = range(max(map(len, drawn)))
        files[f"{name}_probe"] = [rows[i] for i in rounds for rows in drawn if i < len(rows)]
    for name in BUILTIN.benchmarks:
        taken = asked
        for split, count in (("train", TRAIN[name]), ("test", TEST)):
            of_question = _by_question(source, name, split)
            left = [key for key in of_question if key not in taken]
            keys = _some(left, count, f"{name} {split}")
            files[f"{name}_{split}"] = [of_question[key][0] for key in keys]
            taken = set(keys)
    return files


def _by_question(source: Source, name: str, split: Any) -> dict[str, list[Raw]]:
    """Records by the question they ask, in the order of their first rows."""
    one, found = BUILTIN[name], {}
    fields = (*one.flat_fields, *one.nested_fields)
    for row, raw in zip(source.rows(name, split), source.raw(name, split), strict=True):
        key = question_key(one.question(row))
        kept = {field: raw[field] for field in fields if field in raw}
        if "ctx_a" in kept:
            del kept["ctx"]  # its two parts say it
        found.setdefault(key, []).append(kept)
    return found


def _some(keys: Iterable[str], count: int, what: str) -> Sequence[str]:
    """``count`` of them, in their own order; ``what`` makes draws independent of each other."""
    listed = list(keys)
    generator = np.random.default_rng([SEED, *what.encode()])
    return [listed[i] for i in sorted(generator.choice(len(listed), count, replace=False))]


if __name__ == "__main__":
    main()
