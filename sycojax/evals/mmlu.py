"""MMLU: lettered multiple choice, scored by the likelihood of the letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.schemas import MmluRow
from sycojax.evals import choices, letters
from sycojax.evals.protocol import Measure, Role
from sycojax.records import Record
from sycojax.requests import Request


class Mmlu:
    """Asks in rotated and stored order; trains on the letter."""

    name = "mmlu"
    role: Role = "benchmark"

    def requests(self, rows: Sequence[MmluRow], prompts: Prompts, seed: int) -> list[Request]:
        return choices.lettered_requests(self.name, _questions(rows), prompts, seed)

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        return []

    def examples(self, rows: Sequence[MmluRow], prompts: Prompts, seed: int) -> list[Example]:
        return choices.lettered_examples(self.name, _questions(rows), prompts, seed)

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return letters.lettered_measures(records)

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        return letters.lettered_diagnostics(records)


def _questions(rows: Sequence[MmluRow]) -> list[choices.LetteredQuestion]:
    return [choices.LetteredQuestion(r.question.strip(), r.choices, r.answer) for r in rows]
