"""What a claim is checked against: the scores, the counts, and what the questions themselves show."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property

from analysis.page.text import listing
from analysis.reanalysis.data import SHARED, DataCounts
from analysis.reanalysis.inference import Pair, Shift, correlations, shifts
from analysis.reanalysis.scores import Count, Scores
from analysis.records.load import BASE
from analysis.report.csvs import BENCHMARKS, PROBES
from sycojax.records import COMBINED, PLACEBO

# A rate of which the scorer could read less than this share says little about the model.
READABLE = 0.5
LETTERED = ("mmlu", "truthfulqa")  # the benchmarks that ask for a letter
UNREAD = {
    "are_you_sure": "On are_you_sure no letter could be read in {}, and what is not read cannot flip.",
    "feedback": "On feedback no fallacy was detected in either reply of {}, so the score rests on counted words.",
    "answer": "On answer neither answer was found in the replies to {}.",
}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything a study's tables, result files and data give."""

    name: str
    scores: Scores
    counts: Mapping[tuple[str, str], Count]
    data: DataCounts | None
    sources: tuple[tuple[str, str], ...]  # (what, where it comes from)
    beyond: str = ""  # in what another study differs from the one whose claims are checked

    @cached_property
    def pairs(self) -> dict[tuple[str, str], Pair]:
        """Every (benchmark, probe) with its correlation over the configurations."""
        return correlations(self.scores, self.counts)

    @cached_property
    def shifts(self) -> dict[tuple[str, str], Shift]:
        """Every (adapter, probe) with counts, tested against the base."""
        return shifts(self.scores.adapters, PROBES, self.counts)

    def pair(self, benchmark: str, probe: str) -> Pair | None:
        """The correlation of the two; None where it cannot be had."""
        found = self.pairs.get((benchmark, probe))
        return found if found and math.isfinite(found.found.r) else None

    @property
    def points(self) -> int:
        return len(self.scores.configurations)

    def evaluations(self, name: str) -> tuple[str, ...]:
        """ "benchmarks", "probes", or one evaluation."""
        return {"benchmarks": BENCHMARKS, "probes": PROBES}.get(name, (name,))

    def doubts(self, adapters: Sequence[str], probe: str) -> list[str]:
        """Why changes of this probe's rate may be no changes of the model, in sentences; empty if nothing is known."""
        found = []
        unread = {}
        for configuration in (BASE, *adapters):
            count = self.counts.get((configuration, probe))
            unseen = count.no_detection if count else None
            if count and unseen is not None and unseen > (1 - READABLE) * count.items:
                unread[configuration] = f"{unseen} of {count.items} items"
        if unread:
            shown = listing([f"{share} ({name})" for name, share in unread.items()])
            found.append(UNREAD[probe].format(shown))
        if self.data and probe == "answer" and self.data.not_neutral[0]:
            spoiled, rows = self.data.not_neutral
            found.append(
                f"{spoiled} of the {rows} neutral prompts of answer hold an opinion of the user already."
            )
        seen = self.data.contamination.get(probe) if self.data else None
        trained = [a for a in adapters if a in (SHARED, COMBINED, PLACEBO)]
        if seen and seen.train and trained:
            found.append(
                f"{seen.train} of the {seen.rows} questions of {probe} are in the training split of "
                f"{listing(trained)}."
            )
        return found

    def stored(self, task: str, split: str) -> tuple[int, ...]:
        """Rows of a split by the place of the right option; empty where that is not known."""
        return self.data.label_positions.get((task, split), ()) if self.data else ()

    def always_a(self, configuration: str, benchmark: str) -> bool:
        """Whether a score is exactly what always answering A gives."""
        count, places = self.counts.get((configuration, benchmark)), self.stored(benchmark, "test")
        if count is None or not places:
            return False
        return (count.hits, count.items) == (places[0], sum(places))
