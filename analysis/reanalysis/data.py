"""What the questions themselves show: where right options are stored, and which probe questions were trained on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sycojax.data.contamination import question_key, question_strata, row_question
from sycojax.data.schemas import AnswerRow, AreYouSureRow, HellaswagRow, MmluRow, Row, TruthfulqaRow
from sycojax.data.sources import PROBES, open_source
from sycojax.errors import SycojaxError
from sycojax.files import read_json

OPTIONS = ("mmlu", "truthfulqa", "hellaswag")  # the tasks with stored options
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
    """Counts over a study's splits and probes; ``source`` says where they come from."""

    source: str
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


def count_data(directory: Path) -> DataCounts:
    """Count everything from the splits and probes in ``directory``. Raises ``SycojaxError`` on bad data."""
    source = open_source("files", str(directory))
    positions = {
        (task, split): _positions(source.rows(task, split))
        for task in OPTIONS
        for split in ("train", "test")
    }
    strata = question_strata(source.rows(SHARED, "train"), source.rows(SHARED, "test"))
    contamination = {}
    for probe in PROBES:
        keys = [question_key(row_question(row)) for row in source.rows(probe, "probe")]
        found = Counter(strata.get(key, "neither") for key in keys)
        contamination[probe] = Contamination(
            len(keys), found["train"], found["test"], len(set(keys))
        )
    prompts = Counter(
        row.prompt_template for row in source.rows("answer", "probe") if isinstance(row, AnswerRow)
    )
    options = [
        row for row in source.rows("are_you_sure", "probe") if isinstance(row, AreYouSureRow)
    ]
    return DataCounts(
        f"counted from the splits and probes in {directory}",
        positions,
        contamination,
        dict(prompts.most_common()),
        sum(len(row.options) > 5 for row in options),
        sum(row.answer >= 5 for row in options),
    )


def kept_data(path: Path) -> DataCounts:
    """``data.json`` of the kept copy: the same counts, made once from the study's repository."""
    document = read_json(path)
    return DataCounts(
        "taken from the kept copy of the published figures, not counted here",
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


def _positions(rows: Sequence[Row]) -> tuple[int, ...]:
    """How often each index holds the right option, up to the last that ever does (at least four)."""
    found = Counter(map(_right, rows))
    return tuple(found[i] for i in range(max(4, 1 + max(found))))


def _right(row: Row) -> int:
    if isinstance(row, MmluRow):
        return row.answer
    if isinstance(row, HellaswagRow):
        return row.label
    if isinstance(row, TruthfulqaRow):
        return row.mc1_labels.index(1)
    raise SycojaxError(f"{row.origin}: a row without stored options")
