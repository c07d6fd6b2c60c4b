"""What a check of a claim returns, and the small questions that several relations ask."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.inference import Pair

Standing = Literal["holds", "does not hold", "cannot be told"]
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the evidence says about a claim."""

    standing: Standing
    found: str  # the recomputed figure, short
    why: str  # one or more full sentences


def missing(what: str) -> Judgement:
    return Judgement(OPEN, "not in the tables", f"It needs {what}; the tables do not have it.")


def holds_if(agrees: bool) -> Standing:
    return HOLDS if agrees else FAILS


def pair_of(evidence: Evidence, benchmark: str, probe: str) -> Pair | None:
    pair = evidence.pairs.get((benchmark, probe))
    return pair if pair and math.isfinite(pair.found.r) else None


def sign_of(value: float) -> str:
    if abs(value) < 1e-9:
        return "0"
    return "+" if value > 0 else "-"


def side(sign: str) -> str:
    return {"+": "positive", "-": "negative"}.get(sign, "zero")
