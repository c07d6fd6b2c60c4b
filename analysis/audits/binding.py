"""Do the letters of a benchmark follow what is said of the options behind them?

Never a failure: letters may be bound to their options in a model that does not believe, or understand, what it is told.
"""

from __future__ import annotations

import math

from analysis.audits.audit import REPORTED, STUDY, Audit, Rule
from analysis.audits.inputs import asked_as
from analysis.page.text import with_interval
from analysis.results import Results

RULE = Rule("binding", "Letters follow what is told", REPORTED)


def binding(results: Results) -> list[Audit]:
    """Per group and lettered benchmark that was told its answers."""
    audits = []
    for benchmark in results.study.with_role("benchmark"):
        name = asked_as(results, benchmark, "told")
        if name is None:
            continue
        for group in results.groups:
            level = results.of(group, name, "binding").level
            if not math.isfinite(level.value):
                audits.append(RULE.missing(group, benchmark, f"{group} lacks records of {name}."))
                continue
            follows = "letters follow it" if level.low > 0 else "letters do not follow it"
            sentence = (
                f"{benchmark}: told that an option is right, its letter gains {with_interval(level, 'rate')} points over being told "
                f"that another is: {follows}."
            )
            audits.append(
                RULE.found(group, benchmark, sentence, level.value, level.low, level.high)
            )
    return audits or [
        RULE.missing(STUDY, "", "No lettered benchmark was told its answers (config.score.audit_items).")
    ]  # fmt: skip
