"""A table as rows of entries, and its three forms: HTML, Markdown, CSV."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from analysis.page.text import finite

Tone = Literal["", "good", "bad", "open"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a table shows in one place; ``note`` goes below it in small type; one of them can be bold.

    ``tone`` colours a verdict; the word itself says the same, for print and for readers who see no colours.
    """

    text: str
    note: str = ""
    strong: Literal["", "text", "note"] = ""
    tone: Tone = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """Column names and rows; the first column names the row. ``prose`` columns are set flush left."""

    name: str  # of its CSV file
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry | str, ...], ...]
    prose: bool = False
    footnote: str = ""  # what the marks in it mean
    whole: bool = False  # shown in full however long it is; others scroll in their box
    stacked: bool = False  # on a narrow screen every row becomes a card


def to_html(table: Table) -> str:
    """A caption and a table inside a box that scrolls on its own; every text is escaped."""
    if not table.rows:
        return f'<p class="missing">{html.escape(table.caption)}: not available.</p>'
    head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in table.columns)
    body = "\n".join(
        "<tr>" + "".join(map(_td, map(_entry, row), table.columns, range(len(row)))) + "</tr>"
        for row in table.rows
    )
    kind = ("prose" if table.prose else "figures") + (" stacked" if table.stacked else "")
    caption = html.escape(table.caption)
    footnote = f'<p class="footnote">{html.escape(table.footnote)}</p>' if table.footnote else ""
    # The caption stays outside the part that scrolls, so it is never cut off on a narrow screen.
    return (
        f'<div class="table"><p class="caption">{caption}</p>'
        f'<div class="scroll{" whole" if table.whole else ""}" tabindex="0" role="region" aria-label="{caption}">'
        f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>{footnote}</div>'
    )


def to_markdown(table: Table) -> str:
    """A pipe table; HTML and pipes in texts are escaped."""
    if not table.rows:
        return f"*{markdown_text(table.caption)}: not available.*\n"
    align = "|".join([":--", *(["--" if table.prose else "--:"] * (len(table.columns) - 1))])
    lines = [_pipes([Entry(c) for c in table.columns]), f"|{align}|"]
    lines += [_pipes([_entry(c) for c in row]) for row in table.rows]
    footnote = f"\n{markdown_text(table.footnote)}\n" if table.footnote else ""
    return f"*{markdown_text(table.caption)}*\n\n" + "\n".join(lines) + "\n" + footnote


def to_csv(table: Table) -> str:
    """Comma-separated, one line per row, notes behind their text."""
    rows = [[f"{c.text} {c.note}".strip() for c in map(_entry, row)] for row in table.rows]
    return csv_text(table.columns, rows)


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A CSV document; floats in full precision, nan and None as empty fields."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            ["" if v is None or (isinstance(v, float) and not finite(v)) else v for v in row]
        )
    return stream.getvalue()


def matrix(name: str, caption: str, corner: str, values: Mapping[str, Any]) -> Table:
    """A table of a mapping of mappings, whichever way round it is: the longer side becomes the rows.

    A value that is no mapping goes into a column "value" of its own row.
    """
    nested = {k: v if isinstance(v, Mapping) else {"value": v} for k, v in values.items()}
    inner = list(dict.fromkeys(k for v in nested.values() for k in v))
    if len(inner) > len(nested) and all(isinstance(v, Mapping) for v in values.values()):
        flipped = {k: {o: v[k] for o, v in nested.items() if k in v} for k in inner}
        nested, inner = flipped, list(nested)
    rows = tuple(
        (str(k), *(Entry(brief(v[c])) if c in v else "" for c in inner)) for k, v in nested.items()
    )
    return Table(name, caption, (corner, *map(_words, inner)), rows)


def markdown_text(text: str) -> str:
    """Text that Markdown and any HTML behind it leave alone."""
    escaped = html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")
    return escaped.replace("*", "\\*").replace("[", "\\[").replace("_", "\\_").replace("`", "\\`")


def _td(entry: Entry, column: str, place: int) -> str:
    text, note = html.escape(entry.text), html.escape(entry.note)
    text = f"<strong>{text}</strong>" if entry.strong == "text" else text
    note = f"<strong>{note}</strong>" if entry.strong == "note" else note
    text += f"<small>{note}</small>" if note else ""
    if place == 0:
        return f'<th scope="row">{text}</th>'
    kind = f' class="{entry.tone}"' if entry.tone else ""
    # The name of the column, for cards: there is no head above them.
    return f'<td{kind} data-column="{html.escape(column)}">{text}</td>'


def _pipes(entries: Sequence[Entry]) -> str:
    texts = []
    for entry in entries:
        text, note = markdown_text(entry.text), markdown_text(entry.note)
        text = f"**{text}**" if entry.strong == "text" else text
        note = f"**{note}**" if entry.strong == "note" else note
        texts.append(f"{text} {note}".strip())
    return f"| {' | '.join(texts)} |"


def _entry(value: Entry | str) -> Entry:
    return value if isinstance(value, Entry) else Entry(value)


def _words(key: str) -> str:
    return str(key).replace("_", " ")


def brief(value: Any) -> str:
    """Any JSON value as the short text of an entry."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "n/a"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if finite(value) else "n/a"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 72 else f"{text[:71]}…"
