"""The report as blocks, and its two renderings: one self-contained HTML page and Markdown."""

from __future__ import annotations

import base64
import dataclasses
import html
import re
from collections.abc import Sequence
from importlib import resources

from analysis.page.tables import Table, markdown_text, to_html, to_markdown


@dataclasses.dataclass(frozen=True)
class Paragraph:
    text: str
    kind: str = ""  # "", "lead", "meta", "callout", "missing", "heading"


@dataclasses.dataclass(frozen=True)
class Items:
    """A list; an item that is a pair starts with its first text in bold."""

    texts: tuple[str | tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Large numbers with a line of explanation each."""

    tiles: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A part of a figure that a printed page holds; the SVG goes into the page, Markdown links figures/NAME.png."""

    name: str
    svg: bytes
    png: bytes


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure on one sheet or several."""

    name: str
    title: str
    reading: str  # how to read it
    sheets: tuple[Sheet, ...]
    footnote: str = ""  # which of its numbers a failed audit puts in doubt


@dataclasses.dataclass(frozen=True)
class Folded:
    """Long text or tables behind a heading that opens on a click, and is open in print."""

    title: str
    text: str = ""  # printed as it is, line by line
    tables: tuple[Table, ...] = ()
    folds: tuple[Folded, ...] = ()  # behind the tables


@dataclasses.dataclass(frozen=True)
class Link:
    """To a page that lies beside this one, NAME.html and NAME.md; ``text`` says what is there."""

    name: str
    text: str


Block = Paragraph | Items | Tiles | Picture | Folded | Link | Table


@dataclasses.dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Document:
    eyebrow: str
    title: str
    opening: tuple[Block, ...]  # before the first heading
    sections: tuple[Section, ...]
    footer: str = (
        "Written by sycojax from the item records beside this report; every number can be recomputed "
        "from them."
    )


def render_html(document: Document) -> str:
    """One HTML file without scripts or outside references; all text is escaped.

    Figures are SVG images in data URIs: as images they can run nothing, and their ids don't collide.
    """
    css = resources.files("analysis.page").joinpath("report.css").read_text(encoding="utf-8")
    links = "".join(
        f'<a href="#{html.escape(s.anchor)}">{html.escape(s.title)}</a>' for s in document.sections
    )
    sections = "\n".join(
        f'<section id="{html.escape(s.anchor)}">\n<h2>{html.escape(s.title)}</h2>\n'
        f"{_html_blocks(s.blocks)}\n</section>"
        for s in document.sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{html.escape(f"{document.eyebrow}: {document.title}")}</title>
<style>
{css}</style>
</head>
<body>
<header>
<p class="eyebrow">{html.escape(document.eyebrow)}</p>
<h1>{html.escape(document.title)}</h1>
{_html_blocks(document.opening)}
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{sections}
</main>
<footer>{html.escape(document.footer)}</footer>
</body>
</html>
"""


def render_markdown(document: Document) -> str:
    """The same text and tables as Markdown; figures are links to figures/NAME.png."""
    parts = [f"# {markdown_text(document.title)}", markdown_text(document.eyebrow)]
    parts += [_markdown_block(block) for block in document.opening]
    for section in document.sections:
        parts.append(f"## {markdown_text(section.title)}")
        parts += [_markdown_block(block) for block in section.blocks]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _html_blocks(blocks: Sequence[Block]) -> str:
    return "\n".join(_html_block(block) for block in blocks)


def _html_block(block: Block) -> str:
    if isinstance(block, Table):
        return to_html(block)
    if isinstance(block, Paragraph):
        text = html.escape(block.text)
        if block.kind == "callout":
            return f'<div class="callout" role="note"><p>{text}</p></div>'
        if block.kind == "heading":
            return f"<h3>{text}</h3>"
        return f'<p class="{block.kind}">{text}</p>' if block.kind else f"<p>{text}</p>"
    if isinstance(block, Items):
        pairs = [("", text) if isinstance(text, str) else text for text in block.texts]
        items = "".join(
            f"<li>{f'<strong>{html.escape(term)}</strong> ' if term else ''}{html.escape(text)}</li>"
            for term, text in pairs
        )
        return f"<ul>{items}</ul>"
    if isinstance(block, Tiles):
        tiles = "".join(
            f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(what)}</span></div>'
            for value, what in block.tiles
        )
        return f'<div class="tiles">{tiles}</div>'
    if isinstance(block, Folded):
        text = f"<pre>{html.escape(block.text)}</pre>" if block.text else ""
        text += "".join(map(to_html, block.tables)) + _html_blocks(block.folds)
        return f"<details><summary>{html.escape(block.title)}</summary>{text}</details>"
    if isinstance(block, Link):
        return f'<p><a href="{html.escape(block.name)}.html">{html.escape(block.text)}</a></p>'
    alt = html.escape(f"{block.title}. {block.reading}")
    images = "".join(
        f'<img alt="{alt if sheet is block.sheets[0] else "continued"}" '
        f'src="data:image/svg+xml;base64,{base64.b64encode(sheet.svg).decode("ascii")}">'
        for sheet in block.sheets
    )
    footnote = (
        f' <span class="doubt">{html.escape(block.footnote)}</span>' if block.footnote else ""
    )
    return (
        f'<figure id="figure-{html.escape(block.name)}"><div class="sheet" tabindex="0">'
        f"{images}</div>"
        f"<figcaption><strong>{html.escape(block.title)}.</strong> {html.escape(block.reading)}"
        f"{footnote}</figcaption></figure>"
    )


def _markdown_block(block: Block) -> str:
    if isinstance(block, Table):
        return to_markdown(block)
    if isinstance(block, Paragraph):
        text = markdown_text(block.text)
        return {"callout": f"> **{text}**", "heading": f"### {text}"}.get(block.kind, text)
    if isinstance(block, Items):
        pairs = [("", text) if isinstance(text, str) else text for text in block.texts]
        return "\n".join(
            f"- {f'**{markdown_text(term)}** ' if term else ''}{markdown_text(text)}"
            for term, text in pairs
        )
    if isinstance(block, Tiles):
        return "\n".join(
            f"- **{markdown_text(value)}** {markdown_text(what)}" for value, what in block.tiles
        )
    if isinstance(block, Folded):
        parts = [f"**{markdown_text(block.title)}**"]
        if block.text:
            longest = max(map(len, re.findall("`+", block.text)), default=0)
            fence = "`" * max(3, 1 + longest)
            parts.append(f"{fence}\n{block.text}\n{fence}")
        return "\n\n".join(
            [*parts, *map(to_markdown, block.tables), *map(_markdown_block, block.folds)]
        )
    if isinstance(block, Link):
        return f"[{markdown_text(block.text)}]({block.name}.md)"
    images = "\n".join(
        f"![{markdown_text(block.title)}](figures/{sheet.name}.png)" for sheet in block.sheets
    )
    return f"{images}\n\n**{markdown_text(block.title)}.** {markdown_text(block.reading)} {markdown_text(block.footnote)}"
