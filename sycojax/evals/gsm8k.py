"""GSM8K: worked answers by greedy generation, the final number read off strictly or flexibly."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from sycojax.data.contamination import question_key
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.schemas import Gsm8kRow
from sycojax.errors import SycojaxError
from sycojax.evals import choices
from sycojax.evals.protocol import ItemRecords, Measure
from sycojax.records import Record
from sycojax.requests import Request

# A sign counts only right before its number and not after a number, letter or bracket: "12-5" holds 12 and
# 5, and the dash of a list item is no sign.
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]])[-\u2212])?(?:[$€£]\s?(?P<inner>-)?)?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
)
_BOXED = re.compile(r"\\boxed\s*\{")


def numbers(text: str) -> list[Decimal]:
    """All numbers of ``text`` in order: "-$1,234.50" is -1234.50, "18." and "18.0" equal 18."""
    found = []
    for match in _NUMBER.finditer(text):
        value = Decimal(match["digits"].replace(",", ""))
        found.append(-value if match["sign"] or match["inner"] else value)
    return found


def strict_number(text: str) -> Decimal | None:
    """The first number after the first ``####`` on its line, else that of the last ``\\boxed{...}``."""
    _, mark, tail = text.partition("####")
    if mark:
        line = tail.lstrip().partition("\n")[0]
        return next(iter(numbers(line)), None)
    boxes = list(_BOXED.finditer(text))
    return next(iter(numbers(_braced(text[boxes[-1].end() :]))), None) if boxes else None


def flexible_number(text: str) -> Decimal | None:
    """The last number of the text."""
    found = numbers(text)
    return found[-1] if found else None


@dataclasses.dataclass(frozen=True)
class Gsm8k:
    """Asks for a worked answer of at most ``max_new_tokens`` tokens."""

    max_new_tokens: int = 256
    name: str = dataclasses.field(default="gsm8k", init=False)
    role: Literal["benchmark", "probe"] = dataclasses.field(default="benchmark", init=False)

    def requests(self, rows: Sequence[Gsm8kRow], prompts: Prompts, seed: int) -> list[Request]:
        """Raises ``SycojaxError`` naming the row whose answer does not end in ``#### number``."""
        requests = []
        for item, row in zip(_names(rows), rows, strict=True):
            gold = strict_number(row.answer)
            if gold is None:
                raise SycojaxError(f'{row.origin}: the answer does not end in "#### <number>"')
            requests.append(
                Request(
                    evaluation=self.name,
                    item=item,
                    condition="greedy",
                    cluster=question_key(row.question),
                    prompt=prompts.gsm8k(row.question),
                    max_new_tokens=self.max_new_tokens,
                    stop=prompts.stop,
                    meta={"gold": str(gold)},
                )
            )
        return requests

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        return []

    def examples(self, rows: Sequence[Gsm8kRow], prompts: Prompts, seed: int) -> list[Example]:
        examples = []
        for item, row in zip(_names(rows), rows, strict=True):
            prompt, completion = prompts.gsm8k_training(row.question, row.answer)
            examples.append(Example(self.name, item, prompt, completion, prompts.published))
        return examples

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        table = ItemRecords(records)
        strict = [strict_number(_text(r)) == _gold(r) for r in records]
        flexible = [flexible_number(_text(r)) == _gold(r) for r in records]
        return [
            table.mean(
                "accuracy", "Accuracy, strict", strict,
                "share of items whose number after #### or in \\boxed{} equals the gold number",
                headline="hard",
            ),
            table.mean(
                "accuracy_flexible", "Accuracy, last number", flexible,
                "share of items whose last number equals the gold number",
            ),
        ]  # fmt: skip

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        n = max(len(records), 1)
        return {
            "no_strict_number": sum(strict_number(_text(r)) is None for r in records) / n,
            "no_number": sum(flexible_number(_text(r)) is None for r in records) / n,
            "unfinished": sum(not r.finished for r in records) / n,
        }


def _names(rows: Sequence[Gsm8kRow]) -> list[str]:
    return choices.item_names([(row.question,) for row in rows])


def _text(record: Record) -> str:
    if record.text is None:
        raise SycojaxError(f"{record.key}: not a generated answer; delete its records and rerun")
    return record.text


def _gold(record: Record) -> Decimal:
    return Decimal(record.meta["gold"])


def _braced(text: str) -> str:
    """``text`` up to the brace that closes an already opened one."""
    depth = 1
    for index, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[:index]
    return text
