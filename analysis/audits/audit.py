"""One audit's finding, and the rule it was judged by."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

STUDY = "study"  # the group of an audit that speaks about all configurations at once
REPORTED = "reported, never fails"  # the threshold of an audit that only documents

Outcome = Literal["pass", "fail", "n/a"]


@dataclasses.dataclass(frozen=True)
class Audit:
    """What one audit found about one evaluation of one group."""

    name: str
    title: str
    group: str  # "base", an adapter, or "study"
    evaluation: str  # "" where it is about no single one
    statistic: float  # nan where the audit could not be made
    low: float  # 95 % interval, nan where there is none
    high: float
    threshold: str  # when it fails, in words
    outcome: Outcome  # "n/a": an input is missing, never a pass
    sentence: str
    marks: tuple[str, ...]  # evaluations of the group whose numbers the failure puts in doubt

    @property
    def word(self) -> str:
        """The outcome as a table prints it: an audit that can never fail is "reported", it did not pass."""
        return "reported" if (self.outcome, self.threshold) == ("pass", REPORTED) else self.outcome


@dataclasses.dataclass(frozen=True)
class Rule:
    """The name of an audit and when it fails; makes its findings."""

    name: str
    title: str
    threshold: str

    def found(
        self,
        group: str,
        evaluation: str,
        sentence: str,
        statistic: float,
        low: float = math.nan,
        high: float = math.nan,
        failed: bool = False,
        marks: tuple[str, ...] | None = None,
    ) -> Audit:
        """A pass, or a failure that puts ``marks`` (by default the evaluation itself) in doubt."""
        doubted = ((evaluation,) if evaluation else ()) if marks is None else marks
        return Audit(
            self.name, self.title, group, evaluation, statistic, low, high, self.threshold,
            "fail" if failed else "pass", sentence, doubted if failed else (),
        )  # fmt: skip

    def missing(self, group: str, evaluation: str, sentence: str) -> Audit:
        """n/a; ``sentence`` says what is missing."""
        nan = math.nan
        return Audit(
            self.name, self.title, group, evaluation, nan, nan, nan, self.threshold, "n/a", sentence, ()
        )  # fmt: skip
