"""What a check of a claim returns."""

from __future__ import annotations

import dataclasses
from typing import Literal

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
