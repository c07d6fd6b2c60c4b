"""Check the claims, write DIR/reanalysis and print the verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.figures.catalogue import render
from analysis.page.document import Block, Picture, render_html, render_markdown
from analysis.page.tables import Cell, Table, to_csv
from analysis.reanalysis import contents, figures, tables
from analysis.reanalysis.claims import Checked, check
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.gather import gather
from analysis.reanalysis.wording import stated
from sycojax.files import atomic_directory, atomic_write

FOLDER = "reanalysis"
WIDTH = 118  # of the printed lines


def write(data: Path | None, workdir: Path) -> str:
    """Check the claims against ``data`` (None: the kept copy) and write ``workdir/reanalysis``.

    Returns the text for the terminal. An older folder is replaced in one step. Raises ``SycojaxError`` when the
    input is missing or damaged, or the disk refuses.
    """
    evidence, claims = gather(data)
    checked = check(claims, evidence)
    pictures, files = _draw(evidence, checked)
    document = contents.document(evidence, checked, pictures)
    files["index.html"] = render_html(document)
    files["report.md"] = render_markdown(document)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table) and block.rows:
                files[f"tables/{block.name}.csv"] = to_csv(block)
    with atomic_directory(workdir / FOLDER) as temporary:
        for name, content in files.items():
            atomic_write(temporary / name, content)
    page = (workdir / FOLDER / "index.html").resolve()
    return f"{printed(evidence, checked)}\n\nreanalysis  {page}"


def printed(evidence: Evidence, checked: Sequence[Checked]) -> str:
    """The verdicts, the correlations and the facts behind them as plain text."""
    verdicts = [(c.verdict.outcome, c.claim.name, _cut(c.verdict.found, 66)) for c in checked]
    pairs = tables.correlations(evidence, checked)
    keep = [
        i for i, name in enumerate(pairs.columns) if name not in ("t test p", "with item error")
    ]
    rows = [[_text(row[i]) for i in keep] for row in pairs.rows]
    facts = [
        textwrap.fill(sentence, WIDTH, initial_indent=f"{subject:14}", subsequent_indent=" " * 14)
        for subject, sentence in contents.facts(evidence)
    ]
    return "\n\n".join(
        (
            textwrap.fill(
                f"{evidence.name}: {' '.join(contents.summary(evidence, checked))}", WIDTH
            ),
            contents.origin(evidence),
            _aligned(("verdict", "claim", "recomputed"), verdicts),
            _aligned([pairs.columns[i] for i in keep], rows),
            "\n".join(facts),
        )
    )


def _draw(
    evidence: Evidence, checked: Sequence[Checked]
) -> tuple[Mapping[str, Block], dict[str, str | bytes]]:
    claimed = {
        (c.claim.of["benchmark"], c.claim.of["probe"]): stated(c.claim.of["value"]).value
        for c in checked
        if c.claim.relation == "correlation"
    }
    drawn: tuple[tuple[str, str, str, Callable[..., Figure], tuple[Any, ...]], ...] = (
        (
            "correlations",
            "Correlations, claimed and recomputed",
            "Diamonds are what was stated for a pair, dots what the tables give. Dark bars show how far r moves when one "
            "configuration is left out, light ones Fisher's interval; inside the grey band a single t test has p > .05.",
            figures.correlations, (evidence, claimed),
        ),
        (
            "changes",
            "Changes against the base",
            "Change of each probe's rate with Newcombe's 95 % interval (unpaired). Filled markers: p < .05 after Holm "
            "over all adapters and probes. A change inside the grey band would be found in fewer than 80 % of such studies.",
            figures.changes, (evidence,),
        ),
    )  # fmt: skip
    blocks: dict[str, Block] = {}
    files: dict[str, str | bytes] = {}
    for name, title, reading, draw, arguments in drawn:
        svg, png = render(draw, *arguments)
        blocks[name] = Picture(name, title, reading, svg)
        files |= {f"figures/{name}.svg": svg, f"figures/{name}.png": png}
    return blocks, files


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, the first two flush left as text."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _text(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
