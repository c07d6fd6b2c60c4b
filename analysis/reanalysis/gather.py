"""Put the evidence together: from a directory of the user, from the kept copy of the published figures, or from both."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from analysis.reanalysis.claims import Claim, read_claims
from analysis.reanalysis.counts import Counts, kept_counts, result_counts
from analysis.reanalysis.data import count_data, kept_data
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.scores import Scores, read_scores
from sycojax.errors import SycojaxError

PUBLISHED = "the published study"
SOURCE = "VenoStellar/sycophancy-in-lms, commit d55f26d, MIT licence"
CLAIMS = "claims.json"


def kept() -> Path:
    """The directory of the kept copy."""
    return Path(str(resources.files("analysis.reanalysis").joinpath("published_study")))


def gather(directory: Path | None) -> tuple[Evidence, tuple[Claim, ...]]:
    """The evidence in ``directory`` and the claims to check: its ``claims.json``, else those of the published note.

    ``None`` is the kept copy. Where ``directory`` holds the published tables, what it lacks (counts of undetected
    items at the base, splits, probes) is taken from the kept copy, and the sources say so. Raises ``SycojaxError``
    when there is no such directory, no table in it, or a file that cannot be read.
    """
    copy = kept()
    ours = read_scores(copy)
    if directory is None:
        sources = (
            ("tables, counts, positions and contamination", f"kept copy of {SOURCE}"),
            ("claims", "findings note of the same repository, restated as records"),
        )
        counts, data = kept_counts(copy / "counts.csv"), kept_data(copy / "data.json")
        return Evidence(PUBLISHED, ours, counts, data, sources), read_claims(copy / CLAIMS)
    scores = read_scores(directory)
    published = scores.rates == ours.rates
    counts, of_counts = _counts(directory, scores, kept_counts(copy / "counts.csv"), published)
    data, of_data = None, "not at hand: no splits/ or probes.json"
    if (directory / "splits").is_dir() or (directory / "probes.json").is_file():
        data = count_data(directory)
        of_data = data.source
    elif published:
        data = kept_data(copy / "data.json")
        of_data = data.source
    own = (directory / CLAIMS).is_file()
    sources = (
        ("tables", f"{directory}" + (" (equal to the published ones)" if published else "")),
        ("counts", of_counts),
        ("positions and contamination", of_data),
        ("claims", str(directory / CLAIMS) if own else f"findings note of {SOURCE}, as records"),
    )
    name = PUBLISHED if published else directory.resolve().name
    claims = read_claims(directory / CLAIMS if own else copy / CLAIMS)
    return Evidence(name, scores, counts, data, sources), claims


def _counts(directory: Path, scores: Scores, ours: Counts, published: bool) -> tuple[Counts, str]:
    """Counts of items, the best there are, and where they come from."""
    counts = dict(scores.counts)
    where = "the results table" if counts else "none: the rates are no counts of independent items"
    if (directory / "results").is_dir():
        found = result_counts(directory / "results")
        if unknown := sorted({c for c, _ in found} - set(scores.configurations)):
            raise SycojaxError(
                f"{directory / 'results'} has {unknown[0]!r}, which is not in the results table"
            )
        counts |= found
        where = f"{directory / 'results'}/*.json and the results table"
    if published:
        lacking = {
            key: count
            for key, count in ours.items()
            if key not in counts or (counts[key].no_detection is None and counts[key] != count)
        }
        if lacking:
            counts |= lacking
            names = sorted({c for c, _ in lacking})
            where += f"; for {', '.join(names)} completed from the kept copy of {SOURCE}"
    return counts, where
