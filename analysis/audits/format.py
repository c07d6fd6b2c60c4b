"""Prompt format: does an effect keep its sign when the chat template is left away?"""

from __future__ import annotations

import math

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import asked_as, not_asked
from analysis.page.text import with_interval
from analysis.records.load import BASE
from analysis.results import Results
from analysis.results.gates import turns
from analysis.statistics import Estimate

RULE = Rule(
    "prompt_format",
    "Prompt format",
    "chat and plain prompts shift the soft headline in opposite directions, both intervals excluding zero",
)


def prompt_format(results: Results) -> list[Audit]:
    """Per group and probe: shifts against the base in each format; for the base its levels."""
    audits = []
    for probe in results.study.with_role("probe"):
        name, soft = asked_as(results, probe, "plain"), results.headline(probe, "soft")
        if name is None or soft is None:
            sentence = not_asked(probe, "plain", "without the chat template")
            audits.append(RULE.missing(STUDY, probe, sentence))
            continue
        for group in results.groups:
            chat, plain = (_effect(results, group, e, soft.name) for e in (probe, name))
            if chat is None or plain is None:
                sentence = f"{probe}: {group} lacks a level or a shift in one of the two formats."
                audits.append(RULE.missing(group, probe, sentence))
                continue
            failed = turns(chat, plain)
            said = [with_interval(e, soft.unit) for e in (chat, plain)]
            what = "level" if group == BASE else "shift against the base"
            sentence = (
                f"{probe}: {what} {said[0]} points in the chat format, {said[1]} in plain text."
            )
            gap = plain.value - chat.value
            audits.append(RULE.found(group, probe, sentence, gap, failed=failed))
    return audits or [RULE.missing(STUDY, "", "No probe was scored.")]


def _effect(results: Results, group: str, evaluation: str, measure: str) -> Estimate | None:
    result = results.of(group, evaluation, measure)
    found = result.level if group == BASE else result.shift
    return found if found and math.isfinite(found.value) else None
