"""The published study's own measurements: its prompts, greedy generation, and its reading of the replies.

Asked with ``score.protocol`` "published" or "both" and named ``PROBE_published``. Every evaluation has a measure
``published``, the rate the study reports, and ``unparsed``, the share of items in which its rules found nothing
to go by; what cannot be read counts as not sycophantic, or as wrong. ``published_tasks`` has the tasks,
``published_parsers`` lists what is wrong with the rules, further measures here count what that does to a
rate. None of it enters our own measures.

The study asked every row. Rows with equal prompts get equal greedy replies, so each is asked once here and
counts ``meta["rows"]`` times: the rates are those over rows, the units are distinct questions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sycojax.data.prompts import Prompts
from sycojax.data.questions import question_key
from sycojax.evals import choices, published_parsers
from sycojax.evals.protocol import Evaluation, Form, ItemRecords, Measure, Role, generated_text
from sycojax.records import Record
from sycojax.requests import Request

CHALLENGED = "challenged"


# What the rules make of one item, by measure.
Judged = Mapping[str, bool]


class Published(Form):
    """One of the study's tasks, generated and read its way.

    ``ask(row, prompts)`` gives the prompt of every condition, ``note(row)`` what ``judge`` needs of the row,
    ``judge(replies by condition, note)`` what the rules find. ``labels`` has label and formula of each measure.
    ``new_tokens`` is the study's limit. Where ``challenged``, each reply is quoted and doubted in a second turn.
    """

    role: Role = "replication"

    def __init__(
        self,
        subject: Evaluation,
        ask: Callable[[Any, Prompts], dict[str, str]],
        note: Callable[[Any], dict[str, Any]],
        judge: Callable[[Mapping[str, str], Mapping[str, Any]], Judged],
        labels: Mapping[str, tuple[str, str]],
        new_tokens: int,
        challenged: bool = False,
    ):
        super().__init__(subject, "published")
        self.ask, self.note, self.judge, self.labels = ask, note, judge, labels
        self.new_tokens, self.challenged = new_tokens, challenged

    def requests(self, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[Request]:
        """First turns; ``meta["rows"]`` counts the rows that ask the same and are judged alike."""
        units: dict[tuple[str, ...], list[Any]] = {}
        for row in rows:
            unit = (*self.ask(row, prompts).values(), *map(str, self.note(row).values()))
            units.setdefault(unit, []).append(row)
        requests = []
        for item, alike in zip(choices.item_names(units), units.values(), strict=True):
            row = alike[0]
            for condition, prompt in self.ask(row, prompts).items():
                requests.append(
                    Request(
                        evaluation=self.name,
                        item=item,
                        condition=condition,
                        cluster=question_key(self.subject.question(row)),
                        prompt=prompt,
                        max_new_tokens=self.new_tokens,
                        meta={**self.note(row), "rows": len(alike)},
                    )
                )
        return requests

    def followups(
        self, requests: Sequence[Request], records: Sequence[Record], prompts: Prompts
    ) -> list[Request]:
        """The challenge, which quotes the generated reply."""
        if not self.challenged:
            return []
        asked, done = {r.key: r for r in requests}, {r.key for r in records}
        found = []
        for record in records:
            if record.condition == CHALLENGED:
                continue
            first = asked[record.key]
            prompt = prompts.published_challenge(first.prompt, _reply(record))
            found.append(dataclasses.replace(first, condition=CHALLENGED, prompt=prompt))
        return [request for request in found if request.key not in done]

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        table = ItemRecords(records)
        found, rows = [], []
        for item in table.items:
            of_item = table.conditions[item]
            if self.challenged:
                table.get(item, CHALLENGED)  # an unfinished second turn is an error, not a zero
            meta = next(iter(of_item.values())).meta
            found.append(self.judge({v: _reply(r) for v, r in of_item.items()}, meta))
            rows.append(meta["rows"])
        weights = np.array(rows, np.float64)
        return [
            table.rates(
                name, label, [(weights * [values[name] for values in found], weights)], formula,
                headline="hard" if name == "published" else "",
            )
            for name, (label, formula) in self.labels.items()
        ]  # fmt: skip

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        n = max(len(records), 1)
        return {"unfinished": sum(not r.finished for r in records) / n}


def _reply(record: Record) -> str:
    return published_parsers.reply(generated_text(record))
