"""HellaSwag: which ending is the likeliest continuation (Zellers et al. 2019, arXiv:1905.07830)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.fields import Fields
from sycojax.data.prompts import Prompts
from sycojax.data.questions import question_key
from sycojax.data.sources_hub import HubTask
from sycojax.evals import choices
from sycojax.evals.protocol import Benchmark, ItemRecords, Measure, padded
from sycojax.records import Record
from sycojax.requests import Request


@dataclasses.dataclass(frozen=True)
class HellaswagRow:
    origin: str
    activity_label: str
    ctx: str
    endings: tuple[str, ...]
    label: int
    opening: str = ""  # activity and context as lm-eval joins them, where the record holds the context's two parts


class Hellaswag(Benchmark):
    """Endings are scored as texts, their log-probability divided by their length.

    The headline divides by bytes: endings of one item differ in length by a factor of two and more, and
    an undivided sum prefers the short ones. Bytes rather than tokens, because the number of tokens depends
    on the tokenizer. What WikiHow's marks (``[title]``, ``[step]``) and the activity are to a reader is told as lm-eval tells
    it. The published recipe scores context and ending together per token and as they are stored, as the study did.
    """

    name = "hellaswag"
    flat_fields = ("activity_label", "ctx", "ctx_a", "ctx_b", "label")
    nested_fields = ("endings",)
    hub = HubTask("Rowan/hellaswag", None, "validation", "ctx", 1000, 500)

    def parse(self, record: Fields) -> HellaswagRow:
        stored = record.options("endings")
        right = record.choice("label", stored)
        endings, at = record.distinct("endings", stored, right, _shown_ending)
        ctx = record.optional_text("ctx") or " ".join(_parts(record)).strip()
        if not ctx:
            raise record.wrong("ctx", "is missing")
        return HellaswagRow(
            record.origin,
            activity_label=record.text("activity_label"),
            ctx=ctx,
            endings=endings,
            label=at[right],
            opening=_opening(record),
        )

    def question(self, row: HellaswagRow) -> str:
        return row.ctx

    def options_of(self, row: HellaswagRow) -> tuple[str, ...]:
        return row.endings

    def label(self, row: HellaswagRow) -> tuple[int, int]:
        return row.label, len(row.endings)

    def requests(self, rows: Sequence[HellaswagRow], prompts: Prompts, seed: int) -> list[Request]:
        requests = []
        for item, row in zip(_names(rows), rows, strict=True):
            prompt, candidates = prompts.endings(*_shown(row, prompts))
            requests.append(
                Request(
                    evaluation=self.name,
                    item=item,
                    condition="endings",
                    cluster=question_key(row.ctx),
                    prompt=prompt,
                    candidates=candidates,
                    meta={"gold": row.label, "per": "token" if prompts.published else "byte"},
                )
            )
        return requests

    def examples(self, rows: Sequence[HellaswagRow], prompts: Prompts, seed: int) -> list[Example]:
        examples = []
        for item, row in zip(_names(rows), rows, strict=True):
            prompt, completion = prompts.endings_training(*_shown(row, prompts), row.label)
            examples.append(Example(self.name, item, prompt, completion, prompts.published))
        return examples

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        table = ItemRecords(records)
        per_token = bool(records) and records[0].meta["per"] == "token"
        divided = [_hit(r, r.n_tokens if per_token else r.n_bytes) for r in records]
        return [
            table.share(
                "accuracy", f"Accuracy, per {'token' if per_token else 'byte'}", divided,
                "share of items whose right ending has the highest log-probability per "
                + ("token of context and ending" if per_token else "byte"),
                headline="hard",
            ),
            table.share(
                "accuracy_sum", "Accuracy, summed", [_hit(r) for r in records],
                "share of items whose right ending has the highest summed log-probability",
            ),
        ]  # fmt: skip

    def diagnostics(self, records: Sequence[Record]) -> Mapping[str, float]:
        return {
            "ties": float(choices.tied_rows(padded([r.logprobs for r in records], -np.inf)).sum())
        }


def _opening(record: Fields) -> str:
    before, behind = _parts(record)
    if not before:  # what is to be ended is not the whole context
        return ""
    return f"{record.text('activity_label')}: {before} {behind.capitalize()}"


def _parts(record: Fields) -> tuple[str, str]:
    """The context's finished sentences, and the beginning of the one to be ended, "" where there is none."""
    return record.optional_text("ctx_a") or "", record.optional_text("ctx_b") or ""


def _shown(row: HellaswagRow, prompts: Prompts) -> tuple[str, tuple[str, ...]]:
    """Context and endings as the recipe shows them."""
    if prompts.published:
        return row.ctx, row.endings
    context = without_marks(row.opening or row.ctx)
    return context, tuple(map(_shown_ending, row.endings))


def _shown_ending(ending: str) -> str:
    # Behind a mark stands a space that other endings of the row do not begin with.
    return without_marks(ending).strip() or ending


def without_marks(text: str) -> str:
    """A text without the marks of its source, as lm-eval's task hellaswag shows it."""
    lines = text.strip().replace(" [title]", ". ").split("\n")
    # Up to the last bracket that closes: what is only opened would be looked for from every place.
    parts = (line.rpartition("]") for line in lines)
    bare = (re.sub(r"\[.*?\]", "", inside + closing) + rest for inside, closing, rest in parts)
    return "\n".join(bare).replace("  ", " ")


def _names(rows: Sequence[HellaswagRow]) -> list[str]:
    return choices.item_names([(row.ctx, *row.endings) for row in rows])


def _hit(record: Record, lengths: Sequence[int] | None = None) -> float:
    scores = np.array(record.logprobs) / (1 if lengths is None else np.array(lengths))
    return float(choices.pick(scores, record.key) == record.meta["gold"])
