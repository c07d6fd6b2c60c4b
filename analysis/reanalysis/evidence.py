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
from analysis.records.load import BASE, COMBINED
from analysis.report.csvs import BENCHMARKS, PROBES

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

    @cached_property
    def pairs(self) -> dict[tuple[str, str], Pair]:
        """Every (benchmark, probe) with its correlation over the configurations."""
        return correlations(self.scores, self.counts)

    @cached_property
    def shifts(self) -> dict[tuple[str, str], Shift]:
        """Every (adapter, probe) with counts, tested against the base."""
        return shifts(self.scores.adapters, PROBES, self.counts)

    def strongest(self) -> Pair | None:
        """The pair with the smallest exact p; None where no correlation can be had."""
        known = [pair for pair in self.pairs.values() if math.isfinite(pair.found.p)]
        return min(known, key=lambda pair: pair.found.p) if known else None

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
        trained = [a for a in adapters if a in (SHARED, COMBINED)]
        if seen and seen.train and trained:
            found.append(
                f"{seen.train} of the {seen.rows} questions of {probe} are in the training split of "
                f"{listing(trained)}."
            )
        return found

    def always_first(self) -> list[tuple[str, str, int, int]]:
        """(adapter, benchmark, hits, items) where a score is exactly what always answering A gives.

        Only adapters of a task whose right option is always stored first are looked at, on the other
        lettered benchmark; on their own task the score cannot tell (always A is right there).
        """
        if self.data is None:
            return []
        found = []
        for (task, split), positions in self.data.label_positions.items():
            if (
                split != "train"
                or positions[0] < sum(positions)
                or task not in self.scores.adapters
            ):
                continue
            for benchmark in LETTERED:
                tested = self.data.label_positions.get((benchmark, "test"), ())
                count = self.counts.get((task, benchmark))
                if benchmark == task or not tested or count is None:
                    continue
                if (count.hits, count.items) == (tested[0], sum(tested)):
                    found.append((task, benchmark, count.hits, count.items))
        return found
