"""Put the evidence together: the published study's, which the package holds a copy of, or the tables of another study."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from analysis.reanalysis.claims import Claim, read_claims
from analysis.reanalysis.data import read_data
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.scores import read_counts, read_scores

SOURCE = "VenoStellar/sycophancy-in-lms, commit d55f26d, MIT licence"
CLAIMS = "claims.json"


def published_study() -> Path:
    """The directory of the published study's tables, counts and claims; its README says where each comes from."""
    return Path(str(resources.files("analysis.reanalysis").joinpath("published_study")))


def gather(directory: Path | None) -> tuple[Evidence, tuple[Claim, ...]]:
    """The evidence in ``directory`` and the claims to check; ``None`` is the published study.

    The claims are those of ``directory/claims.json``, else those of the published findings note. Raises
    ``SycojaxError`` when there is no such directory, no table in it, or a file that cannot be read.
    """
    kept = published_study()
    if directory is None:
        sources = (
            ("tables, counts, positions and contamination", f"kept copy of {SOURCE}"),
            ("claims", "findings note of the same repository, restated as records"),
        )
        counts, data = read_counts(kept / "counts.csv"), read_data(kept / "data.json")
        evidence = Evidence("the published study", read_scores(kept), counts, data, sources)
        return evidence, read_claims(kept / CLAIMS)
    # Tables alone: where options are stored and what was trained on, the report of a study says itself.
    scores = read_scores(directory)
    counted = (
        "the results table" if scores.counts else "none: the rates are no counts of independent items"
    )  # fmt: skip
    own = directory / CLAIMS
    sources = (
        ("tables", f"{directory}"),
        ("counts", counted),
        ("claims", f"{own}" if own.is_file() else f"findings note of {SOURCE}, as records"),
    )
    evidence = Evidence(directory.resolve().name, scores, scores.counts, None, sources)
    return evidence, read_claims(own if own.is_file() else kept / CLAIMS)
