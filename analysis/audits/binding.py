"""Do the letters of a benchmark follow what is said of the options behind them?"""

from __future__ import annotations

import math

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import asked_as
from analysis.page.text import with_interval
from analysis.results import Results

RULE = Rule(
    "binding", "Letters follow what is told", "the interval of binding does not lie above zero"
)


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
            failed = not level.low > 0
            sentence = (
                f"{benchmark}: told that an option is right, its letter gains {with_interval(level, 'rate')} points over being told that another is"
                + (": letters are not bound to the options." if failed else ".")
            )
            audits.append(
                RULE.found(group, benchmark, sentence, level.value, level.low, level.high, failed)
            )
    return audits or [
        RULE.missing(STUDY, "", "No lettered benchmark was told its answers (config.score.audit_items).")
    ]  # fmt: skip
