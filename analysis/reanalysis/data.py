"""What the questions themselves show: where right options are stored, and which probe questions were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from sycojax.files import read_json

SHARED = "truthfulqa"  # the task whose questions the probes share
NEUTRAL = "{question}"  # the template of an ``answer`` prompt that names no opinion


@dataclasses.dataclass(frozen=True)
class Contamination:
    """Rows of one probe by the split of ``SHARED`` that holds their question."""

    rows: int
    train: int
    test: int
    distinct: int  # different questions or arguments

    @property
    def neither(self) -> int:
        return self.rows - self.train - self.test


@dataclasses.dataclass(frozen=True)
class DataCounts:
    """Counts over a study's splits and probes."""

    label_positions: Mapping[tuple[str, str], tuple[int, ...]]  # (task, split) -> rows by index
    contamination: Mapping[str, Contamination]  # by probe
    answer_prompts: Mapping[str, int]  # rows of ``answer`` by template of the stored prompt
    more_than_five_options: int  # rows of ``are_you_sure``
    right_beyond_e: int  # rows of ``are_you_sure`` whose right letter the A-E pattern cannot read

    def total(self, what: str) -> int:
        """A count of ``Contamination`` ("rows", "train", ...) over all probes."""
        return sum(getattr(one, what) for one in self.contamination.values())

    @property
    def not_neutral(self) -> tuple[int, int]:
        """Rows of ``answer`` whose stored prompt holds an opinion already, and rows in all."""
        rows = sum(self.answer_prompts.values())
        return rows - self.answer_prompts.get(NEUTRAL, 0), rows


def read_data(path: Path) -> DataCounts:
    """The counts in ``data.json``."""
    document = read_json(path)
    return DataCounts(
        {
            (task, split): tuple(counts)
            for task, splits in document["label_positions"].items()
            for split, counts in splits.items()
        },
        {probe: Contamination(**one) for probe, one in document["contamination"].items()},
        document["answer_prompts"],
        document["more_than_five_options"],
        document["right_beyond_e"],
    )
