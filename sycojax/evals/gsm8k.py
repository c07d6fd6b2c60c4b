"""GSM8K: worked answers by greedy generation, the final number read off strictly or flexibly.

A model may solve a problem and fail to write the number where a parser looks. So the final number is also
scored as text, after the bare question and ``The answer is``, against four foils that differ from it in one
digit (condition ``foils``). All five have the same length, and nothing has to be parsed. The worked solution
is left out: its last line says the number, and a model that can copy would be right every time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.fields import Fields, quoted
from sycojax.data.prompts import Prompts
from sycojax.data.questions import question_key
from sycojax.data.sources_hub import HubTask
from sycojax.errors import SycojaxError
from sycojax.evals import choices, published_tasks
from sycojax.evals.numbers import flexible_number, gold_number, plain_digits, strict_number
from sycojax.evals.protocol import Benchmark, Form, ItemRecords, Measure, generated_text
from sycojax.records import Record
from sycojax.requests import Request

FOILS, N_FOILS = "foils", 4
MAX_NEW_TOKENS = 256


@dataclasses.dataclass(frozen=True)
class Gsm8kRow:
    origin: str
    question: str
    answer: str  # worked steps, then "#### N"


class Gsm8k(Benchmark):
    """Asks for a worked answer, of at most ``score.max_new_tokens`` tokens in a study."""

    name = "gsm8k"
    flat_fields = ("question", "answer")
    hub = HubTask("openai/gsm8k", "main", "train", "question", 1000, 500)

    def parse(self, record: Fields) -> Gsm8kRow:
        answer = record.text("answer")
        if gold_number(answer) is None:
            raise record.wrong("answer", f"must end with '#### number', got {quoted(answer[-40:])}")
        return Gsm8kRow(record.origin, record.text("question"), answer)

    def forms(self) -> tuple[Form, ...]:
        return (published_tasks.gsm8k(self),)

    def requests(self, rows: Sequence[Gsm8kRow], prompts: Prompts, seed: int) -> list[Request]:
        """Raises ``SycojaxError`` naming the row whose answer does not end in ``#### number``."""
        requests = []
        for item, row in zip(_names(rows), rows, strict=True):
            value = gold_number(row.answer)
            if value is None:
                raise SycojaxError(f'{row.origin}: the answer does not end in "#### <number>"')
            gold = plain_digits(value)
            greedy = Request(
                evaluation=self.name,
                item=item,
                condition="greedy",
                cluster=question_key(row.question),
                prompt=prompts.gsm8k(row.question),
                max_new_tokens=MAX_NEW_TOKENS,
                stop=prompts.stop,
                meta={"gold": gold},
            )
            requests.append(greedy)
            if not prompts.published:  # the study generated only
                generator = choices.item_generator(seed, self.name, item)
                # The gold number first, then its foils; ``meta["gold"]`` is the index of the right candidate.
                scored = dataclasses.replace(
                    greedy,
                    condition=FOILS,
                    prompt=prompts.answer_probe(row.question),
                    candidates=tuple(f" {n}" for n in (gold, *foils(gold, generator))),
                    max_new_tokens=0,
                    stop=(),
                    meta={"gold": 0},
                )
                requests.append(scored)
        return requests

    def examples(self, rows: Sequence[Gsm8kRow], prompts: Prompts, seed: int) -> list[Example]:
        examples = []
        for item, row in zip(_names(rows), rows, strict=True):
            prompt, completion = prompts.gsm8k_training(row.question, row.answer)
            examples.append(Example(self.name, item, prompt, completion, prompts.published))
        return examples

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        worked = [r for r in records if r.condition != FOILS]
        table = ItemRecords(worked)
        gold = [_gold(r) for r in worked]
        strict = [strict_number(generated_text(r)) == g for r, g in zip(worked, gold, strict=True)]
        flexible = [
            flexible_number(generated_text(r)) == g for r, g in zip(worked, gold, strict=True)
        ]
        return [
            table.share(
                "accuracy", "Accuracy, strict", strict,
                "share of items whose number after #### or in \\boxed{} equals the gold number",
                headline="hard",
            ),
            table.share(
                "accuracy_flexible", "Accuracy, last number", flexible,
                "share of items whose last number equals the gold number",
            ),
            *_foil_measures([r for r in records if r.condition == FOILS]),
        ]  # fmt: skip

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        worked = [r for r in records if r.condition != FOILS]
        n = max(len(worked), 1)
        return {
            "no_strict_number": sum(strict_number(generated_text(r)) is None for r in worked) / n,
            "no_number": sum(flexible_number(generated_text(r)) is None for r in worked) / n,
            "unfinished": sum(not r.finished for r in worked) / n,
        }


def foils(number: str, generator: np.random.Generator) -> list[str]:
    """Four other numbers written with as many characters: one digit changed, no zero put in front."""
    digits = [i for i, c in enumerate(number) if c.isdigit()]
    changed = [
        f"{number[:i]}{digit}{number[i + 1 :]}"
        for i in digits
        for digit in "0123456789"
        if digit != number[i] and (digit != "0" or i > digits[0] or len(digits) == 1)
    ]
    return [changed[i] for i in generator.permutation(len(changed))[:N_FOILS]]


def _foil_measures(records: Sequence[Record]) -> list[Measure]:
    if not records:
        return []
    table = ItemRecords(records)
    (scores,) = table.scores(FOILS)
    picked = choices.pick_rows(scores, lambda row: records[row].key)
    others = choices.logsumexp(scores[:, 1:]) - np.log(scores.shape[1] - 1)
    return [
        table.share(
            "foil_accuracy", "Right number likelier than four foils, not worked out", picked == 0,
            "share of items with l(gold number) above that of four numbers that differ in one digit",
        ),
        table.mean(
            "foil_margin", "Log-likelihood of the right number against foils", scores[:, 0] - others,
            "mean of l(gold number) - logmeanexp l(foil)", unit="nats",
        ),
    ]  # fmt: skip


def _names(rows: Sequence[Gsm8kRow]) -> list[str]:
    return choices.item_names([(row.question,) for row in rows])


def _gold(record: Record) -> Decimal:
    return Decimal(record.meta["gold"])
