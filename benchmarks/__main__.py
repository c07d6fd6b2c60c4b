"""``python -m benchmarks lora_train --shape=small --out=benchmarks.jsonl``: one benchmark at one shape."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks import banks, decode, layers, lora_train, score_suite
from benchmarks.measure import Line, report
from benchmarks.shapes import SHAPES, opened

MEASURE: dict[str, Callable[..., Iterable[Line]]] = {
    lora_train.NAME: lora_train.measure,
    lora_train.PUBLISHED: functools.partial(lora_train.measure, published=True),
    "score_suite": score_suite.measure,
    "decode": decode.measure,
    "banks": banks.measure,
    "layers": layers.measure,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and add to ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=MEASURE)
    parser.add_argument("--shape", choices=SHAPES, default="toy")
    parser.add_argument("--data", type=Path, help="splits/, probes.json and a tokenizer's files")
    parser.add_argument("--repeats", type=int, default=5, help="medians are taken over these")
    parser.add_argument("--out", type=Path, help="JSON lines are added to it")
    parser.add_argument("--no-peer", action="store_true", help="time ours alone")
    asked = parser.parse_args(argv)
    with opened(SHAPES[asked.shape], asked.data) as bench:
        for line in MEASURE[asked.name](bench, asked.repeats, not asked.no_peer):
            report([line], asked.out)  # the next one may take minutes


if __name__ == "__main__":
    main()
