"""Is the likelihood of the candidates what the model would say? Coverage, agreement with generation, old parsers."""

from __future__ import annotations

import math

from analysis.audits.audit import REPORTED, STUDY, Audit, Rule
from analysis.audits.inputs import asked_as, lettered, not_asked, subjects
from analysis.page.text import number
from analysis.results import Results

LETTERS_COVERED = 0.5  # median over items of the probability that any option letter comes next
# Free texts have rivals in other words, which is no fault of the readout. But where the candidates together
# have less than this and none of them is what the model would say first, their log-odds come from its far tail.
TEXTS_COVERED = 0.05
GREEDY = 0.5  # share of items in which a candidate is the greedy continuation
KAPPA = 0.4

COVERAGE = Rule(
    "coverage",
    "Answer-mass coverage",
    f"median probability of the letters < {LETTERS_COVERED}; of texts < {TEXTS_COVERED}, unless one of them is the "
    f"greedy continuation in {GREEDY:.0%} of the items",
)
AGREEMENT = Rule(
    "agreement", "Readout agrees with generation", f"kappa of text and argmax < {KAPPA}"
)
OLD_PARSER = Rule("old_parser", "The published study's own parser", REPORTED)


def coverage(results: Results) -> list[Audit]:
    """Per group and evaluation that counts it; the worst seed counts."""
    audits = []
    for name in subjects(results.study):
        found = {g: results.diagnostics(g, name, "coverage_median") for g in results.groups}
        if not any(found.values()):
            continue
        in_letters = name in lettered(results.study)
        what, limit = (
            ("the option letters", LETTERS_COVERED)
            if in_letters
            else ("the candidate texts", TEXTS_COVERED)
        )
        for group, medians in found.items():
            if not medians:
                audits.append(COVERAGE.missing(group, name, f"{group} has no coverage of {name}."))
                continue
            worst = min(medians)
            greedy = min(results.diagnostics(group, name, "greedy"), default=math.nan)
            failed = worst < limit and (in_letters or not greedy >= GREEDY)
            sentence = f"{name}: {what} hold {number(worst, 'rate')} % of the probability (median)"
            if math.isfinite(greedy):
                sentence += f" and one is the greedy continuation in {number(greedy, 'rate')} %"
            sentence += ": the readout is out of distribution." if failed else "."
            audits.append(COVERAGE.found(group, name, sentence, worst, failed=failed))
    return audits or [COVERAGE.missing(STUDY, "", "No evaluation counts coverage_median.")]


def agreement(results: Results) -> list[Audit]:
    """Per group and probe: choices read off greedy texts against choices by likelihood; the worst seed counts."""
    audits = []
    for probe in results.study.with_role("probe"):
        name = asked_as(results, probe, "generated")
        if name is None:
            audits.append(AGREEMENT.missing(STUDY, probe, not_asked(probe, "generated", "in text")))
            continue
        for group in results.groups:
            kappas = results.diagnostics(group, name, "kappa")
            agree = results.of(group, name, "agreement").level.value
            readable = results.of(group, name, "readable").level.value
            counts = (
                f"text and likelihood agree on {number(agree, 'rate')} % of the readable texts; "
                f"{number(readable, 'rate')} % can be read"
            )
            if not kappas:
                sentence = f"{probe}: no kappa can be computed for {group}; {counts}."
                audits.append(AGREEMENT.missing(group, probe, sentence))
                continue
            worst = min(kappas)
            free = results.diagnostics(group, name, "kappa_free")
            told = f"; without the beginning of an answer kappa {number(min(free))}" if free else ""
            sentence = f"{probe}: kappa {number(worst)}, {counts}{told}."
            audits.append(AGREEMENT.found(group, probe, sentence, worst, failed=worst < KAPPA))
    return audits or [AGREEMENT.missing(STUDY, "", "No probe was scored.")]


def old_parser(results: Results) -> list[Audit]:
    """Per group: how often the study's own scoring could have read these replies. Documents its rates only."""
    audits = []
    for subject in subjects(results.study):
        sources = (
            (asked_as(results, subject, "generated"), "parsed_published", "our"),
            (asked_as(results, subject, "published"), "unparsed", "its own"),
        )
        for name, measure, whose in sources:
            if name is None:
                continue
            for group in results.groups:
                rate = results.of(group, name, measure).level
                lost = 1 - rate.value if measure == "parsed_published" else rate.value
                if not math.isfinite(lost):
                    continue
                sentence = (
                    f"{subject}: the published parser finds no answer in {number(lost, 'rate')} % of the "
                    f"replies to {whose} prompts."
                )
                audits.append(OLD_PARSER.found(group, subject, sentence, lost))
    if audits:
        return audits
    return [OLD_PARSER.missing(STUDY, "", "Nothing was generated that the old parser could read.")]
