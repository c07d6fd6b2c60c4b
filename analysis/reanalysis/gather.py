"""Put the evidence together: the published study's, which the package holds a copy of, or the tables of another study."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

from analysis.page.text import count, listing, number
from analysis.reanalysis.claims import Claim, read_claims
from analysis.reanalysis.data import read_data
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.scores import Scores, read_counts, read_scores
from analysis.report.csvs import BENCHMARKS, PROBES

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
    beyond = "" if own.is_file() else _beyond(scores, gather(None)[0])
    sources = (
        ("tables", f"{directory}"),
        ("counts", counted),
        ("claims", f"{own}" if own.is_file() else f"findings note of {SOURCE}, as records"),
    )
    evidence = Evidence(directory.resolve().name, scores, scores.counts, None, sources, beyond)
    return evidence, read_claims(own if own.is_file() else kept / CLAIMS)


def _beyond(scores: Scores, published: Evidence) -> str:
    """What of a study lies outside the published one, whose claims are checked on it; "" where nothing does."""
    known = published.scores
    found = []
    if new := [c for c in scores.configurations if c not in known.configurations]:
        found.append(f"{count(len(new), 'configuration')} that it has not ({_some(new)})")
    if lacking := [c for c in known.configurations if c not in scores.configurations]:
        found.append(f"without its {_some(lacking)}")
    sizes = {key[1]: one.items for key, one in published.counts.items()}
    items = {
        f"{e} {one.items}": None for (_, e), one in scores.counts.items() if one.items != sizes[e]
    }
    if items:
        found.append(f"other numbers of items ({_some([*items])})")
    outside = []
    for evaluation in (*BENCHMARKS, *PROBES):
        low, high = _range(known, evaluation)
        own_low, own_high = _range(scores, evaluation)
        if own_low < low or own_high > high:
            span, its = (
                f"{number(a, digits=3)} to {number(b, digits=3)}"
                for a, b in ((own_low, own_high), (low, high))
            )
            outside.append(f"{evaluation} {span}, there {its}")
    if outside:
        found.append(f"rates outside its range ({'; '.join(outside)})")
    if not found:
        return ""
    return f"Outside the published study, whose claims are checked: {'; '.join(found)}."


def _range(scores: Scores, evaluation: str) -> tuple[float, float]:
    """The lowest and the highest rate; nan where none was measured."""
    known = [rate for rate in scores.column(evaluation) if math.isfinite(rate)]
    return min(known, default=math.nan), max(known, default=math.nan)


def _some(names: list[str], most: int = 5) -> str:
    """The names, or the first of them and how many more there are."""
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return listing([*names[:most], *more])
