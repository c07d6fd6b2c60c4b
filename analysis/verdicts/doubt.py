"""Numbers that a failed audit puts in doubt carry a mark wherever the report prints or draws them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from analysis import audits
from analysis.audits import Audit
from analysis.page.text import listing
from analysis.records.load import BASE
from analysis.results import Results

OWN = "\u2020"  # dagger: an audit of this very group failed
OF_BASE = "\u2021"  # double dagger: the base's did, and a shift is a comparison with the base
MEANING = (
    f"{OWN} an audit that failed puts this number in doubt; {OF_BASE} the same for the base it is compared with. "
    "Which audit it was stands under Audits."
)


@dataclasses.dataclass(frozen=True)
class Doubt:
    """The audits of a study and the (group, evaluation) pairs whose numbers they put in doubt."""

    audits: tuple[Audit, ...]
    marked: frozenset[tuple[str, str]]

    def of_level(self, group: str, evaluation: str) -> str:
        """The mark of a group's own number, or ""."""
        return OWN if (group, evaluation) in self.marked else ""

    def of_shift(self, group: str, evaluation: str) -> str:
        """The mark of a shift against the base; the adapter's own doubt is said before the base's."""
        return self.of_level(group, evaluation) or (
            OF_BASE if (BASE, evaluation) in self.marked else ""
        )

    def too_few(self, group: str, evaluation: str) -> str:
        """How many items the group's hard rate rests on where they are too few to print it, else ""."""
        for audit in self.audits:
            if (audit.name, audit.group, audit.evaluation) == ("ceiling", group, evaluation):
                return f"{audit.statistic:.0f} eligible items" if audit.outcome == "fail" else ""
        return ""

    def too_few_of_shift(self, group: str, evaluation: str) -> str:
        """The same for the shift of a hard rate, which rests on the base's items as well."""
        return self.too_few(group, evaluation) or self.too_few(BASE, evaluation)

    def footnote(self, groups: Sequence[str], evaluations: Sequence[str]) -> str:
        """What the marks mean, for a table that shows these; "" where it has none."""
        shown = any((g, e) in self.marked for g in groups for e in evaluations)
        return MEANING if shown else ""

    def caption(self, groups: Sequence[str], evaluations: Sequence[str]) -> str:
        """The numbers of a figure that are in doubt, by name; "" where there are none."""
        parts = []
        for evaluation in evaluations:
            doubted = [g for g in groups if (g, evaluation) in self.marked]
            if doubted:
                every = len(doubted) == len(groups) > 1
                parts.append(
                    f"{evaluation} ({'every configuration' if every else listing(doubted)})"
                )
        return f"{OWN} In doubt after a failed audit: {listing(parts)}." if parts else ""


def of(results: Results) -> Doubt:
    """Audit a study."""
    found = audits.run(results)
    return Doubt(found, audits.marked(found))
