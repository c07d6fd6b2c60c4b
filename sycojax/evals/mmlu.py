"""MMLU: lettered multiple choice, scored by the likelihood of the letters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from sycojax.data.examples import Example
from sycojax.data.fields import Fields
from sycojax.data.prompts import PUBLISHED_KNOWLEDGE, Prompts
from sycojax.data.sources_hub import HubTask
from sycojax.evals import choices, letters, published_tasks
from sycojax.evals.protocol import Benchmark, Form, Measure
from sycojax.evals.told import Told
from sycojax.records import Record
from sycojax.requests import Request


@dataclasses.dataclass(frozen=True)
class MmluRow:
    origin: str  # "file:line" (or "dataset[index]"), for error messages and provenance
    question: str
    subject: str
    choices: tuple[str, ...]
    answer: int  # index of the right choice


class Mmlu(Benchmark):
    """Asks in rotated and stored order; trains on the letter."""

    name = "mmlu"
    flat_fields = ("question", "subject", "answer")
    nested_fields = ("choices",)
    hub = HubTask("cais/mmlu", "all", "test", "question", 1000, 500)
    stands_alone = True

    def parse(self, record: Fields) -> MmluRow:
        stored = record.options("choices")
        right = record.choice("answer", stored)
        found, at = record.distinct("choices", stored, right)
        return MmluRow(
            record.origin,
            question=record.text("question"),
            subject=record.text("subject"),
            choices=found,
            answer=at[right],
        )

    def options_of(self, row: MmluRow) -> tuple[str, ...]:
        return row.choices

    def label(self, row: MmluRow) -> tuple[int, int]:
        return row.answer, len(row.choices)

    def forms(self) -> tuple[Form, ...]:
        return published_tasks.mmlu(self), Told(self, _questions, PUBLISHED_KNOWLEDGE)

    def requests(self, rows: Sequence[MmluRow], prompts: Prompts, seed: int) -> list[Request]:
        return choices.lettered_requests(
            self.name, _questions(rows), PUBLISHED_KNOWLEDGE, prompts, seed
        )

    def examples(self, rows: Sequence[MmluRow], prompts: Prompts, seed: int) -> list[Example]:
        return choices.lettered_examples(self.name, _questions(rows), prompts, seed)

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return letters.lettered_measures(records)

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        return letters.lettered_diagnostics(records)


def _questions(rows: Sequence[MmluRow]) -> list[choices.LetteredQuestion]:
    return [choices.LetteredQuestion(r.question.strip(), r.choices, r.answer) for r in rows]
