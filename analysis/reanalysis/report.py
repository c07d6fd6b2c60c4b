"""Check the claims and write DIR/reanalysis: the page, its Markdown, figures and tables."""

from __future__ import annotations

from pathlib import Path

from analysis.page.publish import publish
from analysis.reanalysis import contents
from analysis.reanalysis.claims import check
from analysis.reanalysis.gather import gather


def write(data: Path | None, workdir: Path) -> tuple[Path, str]:
    """Check the claims against ``data`` (None: the published figures) and write ``workdir/reanalysis``.

    Returns the path of index.html and what is said: the sentences that count the verdicts, and in a second line what of
    the study lies outside the published one, where its claims are checked on another. An older folder is replaced in one step.
    Raises ``SycojaxError`` when the input is missing or damaged, or the disk refuses.
    """
    evidence, claims = gather(data)
    checked = check(claims, evidence)
    page = publish(contents.document(evidence, checked), {}, workdir / "reanalysis")
    said = contents.summary(checked)
    return page, f"{said}\n{evidence.beyond}" if evidence.beyond else said
