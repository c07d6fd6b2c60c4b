"""The page of transcripts: a dozen items of every probe, what was asked and what base and adapters answered, side by side.

Read from WORKDIR/items, where the questions are, and from the records of the base and of each adapter's first seed.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from analysis.page.document import Block, Document, Folded, Paragraph, Section
from analysis.page.tables import Entry, Table
from analysis.page.text import NONE, number
from analysis.records.load import BASE, Study
from sycojax.evals.choices import sigmoid
from sycojax.evals.generated import FREE, GENERATED
from sycojax.evals.readouts import BIND, Instrument, in_arms, log_odds
from sycojax.records import Record, read_records
from sycojax.requests import Request, read_requests

_One = TypeVar("_One", Request, Record)

NAME = "transcripts"
ITEMS = 12  # of every probe
# Who holds x, by arm, in the order of the rows.
_WHO = {
    "neutral": "nobody holds either", "user": "the user is for {}", "other": "somebody else is for {}",
    "sides": "the user is for {}, somebody against", "others": "somebody is for {}, another against (floor)",
    "chance": "nobody is for {}, it is only said (floor)", "order": "an order for {}",
}  # fmt: skip
_READING = (
    "Each block is an item: the question, what was said to the model beside it, and the probability that base and adapters then "
    "give to x, of two answers x and y, in %. Small figures are the change against the base, in points. A model that follows the "
    "user goes up where the user is for x and down where the user is for y. An order has to move a readout, or it is blind; a floor "
    "should not. Adapters are shown with their first seed and remarks in their first wording; the report takes the mean over all."
)
_FEW = (
    "A dozen items prove nothing. They are here to show what is asked and how it is read. They are drawn by their names, which are "
    "made from the question, and not by what came out."
)
_NO_ITEMS = "What was asked is not here: items/{}.jsonl is missing."
_NO_ARMS = "{} was not asked in arms (docs/readouts.md), so there is nothing to set side by side."
_PROMPT = "One prompt as the model read it: the user is for x"
# By condition of a generated form: how the text came about.
_KINDS = {GENERATED: "goes on from the beginning of the answer", FREE: "answers freely"}


@dataclasses.dataclass(frozen=True)
class _Form:
    """What was asked of the drawn items under one name, and who answered what: both by item."""

    asked: Mapping[str, list[Request]]
    answers: Mapping[str, Mapping[str, list[Record]]]  # by column: base, then adapters


def document(study: Study) -> Document:
    """The page. Raises ``SycojaxError`` where a file of questions or records is damaged."""
    name = str(study.document.get("name") or study.directory.name)
    return Document(
        f"sycojax study: {name}",
        f"Transcripts: {ITEMS} items of each probe",
        (Paragraph(_FEW, "callout"), Paragraph(_READING)),
        tuple(Section(p, p, _probe(study, p)) for p in study.with_role("probe")),
    )


def _probe(study: Study, probe: str) -> tuple[Block, ...]:
    instrument, items = study.registry[probe].instrument, _drawn(study, probe)
    if not (instrument and items):
        known = (study.directory / "items" / f"{probe}.jsonl").is_file()
        text = _NO_ARMS.format(probe) if known else _NO_ITEMS.format(probe)
        return (Paragraph(text, "missing"),)
    names = [probe, *(f"{probe}_{readout}" for readout in instrument.readouts)]
    forms = [_form(study, name, items) for name in names]
    generated = _form(study, f"{probe}_generated", items)
    blocks = (_item(instrument, item, forms, generated) for item in items)
    return Paragraph(instrument.x_and_y), *blocks


def _item(instrument: Instrument, item: str, forms: Sequence[_Form], generated: _Form) -> Folded:
    """One item: a table for each readout that it was asked in, the texts, and one prompt as the model read it."""
    question, _ = _said(forms[0].asked[item])
    tables = [_scored(instrument, item, form) for form in forms if item in form.asked]
    if texts := _written(question, item, generated):
        tables.append(texts)
    prompt = _of_user(forms[0], item)[0].prompt
    title = f"{textwrap.shorten(question, 110, placeholder=' …')} ({item})"
    return Folded(title, question, tuple(tables), (Folded(_PROMPT, prompt),))


def _scored(instrument: Instrument, item: str, form: _Form) -> Table:
    """P(x) of an item under one readout, a row for each remark in its first wording."""
    asked, *more = _of_user(form, item)
    _, remarks = _said(form.asked[item])
    values = {c: _likely(instrument, found.get(item, ())) for c, found in form.answers.items()}
    base = values.get(BASE, {})
    rows = [
        (
            Entry(remarks[one], who.format(held)),
            *(_cell(of.get(one), None if c == BASE else base.get(one)) for c, of in values.items()),
        )
        for arm, who in _WHO.items()
        for one, held in ((f"{arm}+0", "x"), (f"{arm}-0", "y"))
        if one in remarks and one != "neutral-0"
    ]
    step = len(asked.candidates) if instrument.averaged == "probability" else 2
    x = asked.candidates[::step]
    y = [c for i, c in enumerate(asked.candidates) if i % step]
    prompts = f" in the first of {1 + len(more)} prompts" if more else ""
    caption = (
        f"Readout {asked.meta['readout']}: the probability of x and not y, in %. "
        f"x is read from {_quoted(x)}, y from {_quoted(y)}{prompts}."
    )
    return Table("", caption, ("said to the model", *values), tuple(rows), whole=True)


def _of_user(form: _Form, item: str) -> list[Request]:
    """The prompts in which the user is for x, in the first wording."""
    return [r for r in form.asked[item] if in_arms(r) and ",user+0," in r.condition]


def _likely(instrument: Instrument, records: Iterable[Record]) -> dict[str, float]:
    """P(x) by remark, of one item: the mean over its prompts, or of their weighted log-odds."""
    odds = log_odds(instrument, list(filter(in_arms, records)))
    return {one: float(np.mean(sigmoid(v))) for one, of in odds.items() for v in of.values()}


def _cell(value: float | None, base: float | None) -> Entry:
    if value is None:
        return Entry(NONE)
    return Entry(number(value, "rate"), "" if base is None else number(value - base, "rate", True))


def _written(question: str, item: str, form: _Form) -> Table | None:
    """What each column wrote, a row for each prompt; None where nothing was generated of the item."""
    said = {r.condition: r.turns[-1].removeprefix(question) for r in form.asked.get(item, ())}
    texts = {
        column: {r.condition: r.text for r in found.get(item, ()) if r.text is not None}
        for column, found in form.answers.items()
    }
    rows = []
    for condition in dict.fromkeys(condition for of in texts.values() for condition in of):
        kind, _, variant = condition.partition("=")
        remark = said.get(condition, variant).strip() or "nothing but the question"
        label = remark if len(remark) < 200 else variant  # a whole turn is no label
        cells = (of.get(condition, NONE) for of in texts.values())
        rows.append((Entry(label, _KINDS[f"{kind}="]), *cells))
    columns = ("said to the model", *texts)
    return Table("", "What they write", columns, tuple(rows), True, whole=True) if rows else None


def _said(asked: Sequence[Request]) -> tuple[str, dict[str, str]]:
    """The question of an item, and by remark ("user+0") what was said beside it in the first wording.

    Where both stand in one turn, what all turns have in common is the question and how to answer it, and what lies between is the remark.
    """
    turns: dict[str, tuple[str, ...]] = {}
    for request in filter(in_arms, asked):
        _, remark, prompt = request.condition.split(",")
        if prompt == "0" and remark.endswith("0") and not remark.startswith(BIND):
            turns[remark] = request.turns
    last = [of[-1] for of in turns.values()]
    before = _shared(last)
    behind = _shared([turn[len(before) :][::-1] for turn in last])[::-1]
    behind = re.sub(r"^[^.?]*[.?]", "", behind)  # the end of the sentence is still the remark's
    said = {r: of[-1][len(before) : len(of[-1]) - len(behind)] for r, of in turns.items()}
    one_turn = all(len(of) == 1 for of in turns.values())
    return before.strip() if one_turn else next(iter(turns.values()))[0], said


def _shared(texts: Sequence[str]) -> str:
    """What all begin with."""
    together = zip(*texts, strict=False)
    return "".join(c for c, *_ in itertools.takewhile(lambda cs: len(set(cs)) == 1, together))


def _drawn(study: Study, probe: str) -> list[str]:
    """The items that are shown, by their names: those asked in all arms, and generated, before others."""
    arms = collections.Counter(r.item for r in _asked(study, probe) if in_arms(r))
    texts = {r.item for r in _asked(study, f"{probe}_generated")}
    most = max(arms.values(), default=0)
    return sorted(arms, key=lambda i: (arms[i] < most, i not in texts, i))[:ITEMS]


def _form(study: Study, name: str, items: Collection[str]) -> _Form:
    """Of ``items`` alone; columns are the base and each adapter's first seed, where they were asked."""
    first = {c.adapter: c.name for c in reversed(study.configurations)}
    records = {
        adapter: study.directory / "records" / first[adapter] / f"{name}.jsonl"
        for adapter in (BASE, *study.adapters)
        if adapter in first and (first[adapter], name) in study.records
    }
    return _Form(
        _by_item(r for r in _asked(study, name) if r.item in items),
        {adapter: _by_item(read_records(path, items)) for adapter, path in records.items()},
    )


def _asked(study: Study, name: str) -> Iterator[Request]:
    """What was asked under a name; nothing where it is not written down."""
    path = study.directory / "items" / f"{name}.jsonl"
    return read_requests(path) if path.is_file() else iter(())


def _by_item(several: Iterable[_One]) -> dict[str, list[_One]]:
    found: dict[str, list[_One]] = {}
    for one in several:
        found.setdefault(one.item, []).append(one)
    return found


def _quoted(candidates: Iterable[str]) -> str:
    return ", ".join(f"“{candidate.strip()}”" for candidate in candidates)
