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
    return _published() if directory is None else _another(directory)


def _published() -> tuple[Evidence, tuple[Claim, ...]]:
    files = published_study()
    sources = (
        ("tables, counts, positions and contamination", f"kept copy of {SOURCE}"),
        ("claims", "findings note of the same repository, restated as records"),
    )
    evidence = Evidence(
        "the published study",
        read_scores(files),
        read_counts(files / "counts.csv"),
        read_data(files / "data.json"),
        sources,
    )
    return evidence, read_claims(files / CLAIMS)


def _another(directory: Path) -> tuple[Evidence, tuple[Claim, ...]]:
    """Tables alone: where options are stored and what was trained on, the report of a study says itself."""
    scores = read_scores(directory)
    counts = (
        "the results table" if scores.counts else "none: the rates are no counts of independent items"
    )  # fmt: skip
    own = (directory / CLAIMS).is_file()
    sources = (
        ("tables", f"{directory}"),
        ("counts", counts),
        ("claims", str(directory / CLAIMS) if own else f"findings note of {SOURCE}, as records"),
    )
    evidence = Evidence(directory.resolve().name, scores, scores.counts, None, sources)
    return evidence, read_claims((directory if own else published_study()) / CLAIMS)
