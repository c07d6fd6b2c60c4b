"""Check the claims and write DIR/reanalysis: the page, its Markdown, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.picture import picture
from analysis.page.document import Picture
from analysis.page.publish import publish
from analysis.reanalysis import contents, figures
from analysis.reanalysis.claims import Checked, check, claimed_correlations
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.gather import gather
from analysis.reanalysis.wording import stated


def write(data: Path | None, workdir: Path) -> tuple[Path, str]:
    """Check the claims against ``data`` (None: the published figures) and write ``workdir/reanalysis``.

    Returns the path of index.html and the sentences that count the verdicts. An older folder is replaced in one step.
    Raises ``SycojaxError`` when the input is missing or damaged, or the disk refuses.
    """
    evidence, claims = gather(data)
    checked = check(claims, evidence)
    document = contents.document(evidence, checked, _pictures(evidence, checked))
    page = publish(document, {}, workdir / "reanalysis")
    return page, contents.summary(checked)


def _pictures(evidence: Evidence, checked: Sequence[Checked]) -> dict[str, Picture]:
    """The pictures of the page by name."""
    claimed = {pair: stated(r).value for pair, r in claimed_correlations(checked).items()}
    drawn = (
        picture(
            "correlations",
            "Correlations, claimed and recomputed",
            "Diamonds are what was stated for a pair, dots what the tables give. Dark bars show how far r moves when one "
            "configuration is left out, light ones Fisher's interval; inside the grey band a single t test has p > .05.",
            figures.correlations, evidence, claimed,
        ),
        picture(
            "changes",
            "Changes against the base",
            "Change of each probe's rate with Newcombe's 95 % interval (unpaired). Filled markers: p < .05 after Holm "
            "over all adapters and probes. A change inside the grey band would be found in fewer than 80 % of such studies.",
            figures.changes, evidence,
        ),
    )  # fmt: skip
    return {one.name: one for one in drawn}
