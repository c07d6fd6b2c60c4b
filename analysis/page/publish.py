"""Write a page into its directory: HTML, Markdown, its figures, its tables as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from analysis.page.document import (
    Block,
    Document,
    Folded,
    Picture,
    render_html,
    render_markdown,
)
from analysis.page.tables import Table, to_csv
from sycojax.files import atomic_directory, atomic_write


def publish(document: Document, files: Mapping[str, str | bytes], directory: Path) -> Path:
    """Write ``document`` into ``directory`` and ``files``, by their path below it, beside it.

    The document becomes index.html, report.md, figures/NAME.svg and .png, where a figure has several sheets NAME_2 and so on, and tables/NAME.csv of every table with
    rows. An older directory is replaced in one step. Returns the path of index.html. Raises ``SycojaxError`` when the
    disk refuses.
    """
    written = {
        **files,
        "index.html": render_html(document),
        "report.md": render_markdown(document),
    }
    for block in _blocks(document):
        if isinstance(block, Picture):
            for sheet in block.sheets:
                written[f"figures/{sheet.name}.svg"] = sheet.svg
                written[f"figures/{sheet.name}.png"] = sheet.png
        elif isinstance(block, Table) and block.rows:
            written[f"tables/{block.name}.csv"] = to_csv(block)
    with atomic_directory(directory) as temporary:
        for name, content in written.items():
            atomic_write(temporary / name, content)
    return directory / "index.html"


def _blocks(document: Document) -> Iterator[Block]:
    """All blocks of all sections, the tables inside folded ones included."""
    for section in document.sections:
        for block in section.blocks:
            yield block
            if isinstance(block, Folded):
                yield from block.tables
