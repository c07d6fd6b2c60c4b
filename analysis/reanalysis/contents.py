"""The page: what is claimed, what holds, and why, in the blocks of ``analysis.page.document``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.figures.picture import picture
from analysis.page.document import Document, Items, Paragraph, Picture, Section
from analysis.page.text import count, listing, number, p_value
from analysis.reanalysis import figures, tables
from analysis.reanalysis.claims import Checked, claimed_correlations
from analysis.reanalysis.data import DataCounts
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.inference import critical_r, paired_mde
from analysis.reanalysis.judgement import FAILS, HOLDS, OPEN
from analysis.reanalysis.wording import stated
from analysis.statistics import ALPHA

# (singular, plural) of each outcome in a sentence
OUTCOMES = {
    HOLDS: ("holds", "hold"),
    FAILS: ("does not hold", "do not hold"),
    OPEN: ("cannot be told from the tables", "cannot be told from the tables"),
}
METHODS = (
    "Figures are recomputed from the rates in the study's own table. A stated number means every value that rounds to "
    "it; a number that is wrong for its pair is looked up among all pairs.",
    "A reading holds only when the test that the tables allow supports it after Holm's adjustment and nothing is known "
    "against the measurement; it does not hold when the numbers contradict it; else it cannot be told.",
    "Correlations: Pearson's r; p over all pairings of the configurations (720 for six); Holm and Benjamini-Hochberg over "
    "all pairs; the range of r when one configuration is left out; Fisher's interval, which takes normal columns and is "
    "unreliable at such n; and an interval that adds the error of the rates (binomial draws, then Fisher's error on the "
    "scale of atanh).",
    "Changes: the counts of adapter and base as two independent samples, with Newcombe's hybrid score interval, Fisher's "
    "exact test and Holm over all adapters and probes. The study asked both the same items; a paired test would be "
    "sharper, but the item records are not in the tables.",
    "MDE: the smallest change found with 80 % power at .05, two-sided, normal approximation, for two independent samples.",
    "Questions are compared after NFKC, case folding, and with punctuation and repeated spaces removed.",
)


def document(evidence: Evidence, checked: Sequence[Checked]) -> Document:
    """The whole page."""
    shared = [Paragraph(_shared_questions(evidence.data))] if evidence.data else []
    return Document(
        f"Re-examined: {evidence.name}",
        "Which of the claims do the study's own numbers carry?",
        (
            Paragraph(" · ".join(map(": ".join, evidence.sources)), "meta"),
            Paragraph(summary(checked), "lead"),
            Paragraph(_warning(evidence), "callout"),
            *([Paragraph(evidence.beyond, "callout")] if evidence.beyond else []),
        ),
        (
            Section("claims", "Verdicts", (
                tables.verdicts(checked, "figure"), tables.verdicts(checked, "reading"),
            )),
            Section("correlations", "Correlations", (
                Paragraph(_correlations(evidence)), _correlations_drawn(evidence, checked),
                tables.correlations(evidence, checked),
            )),
            Section("changes", "Changes of the probes", (
                Paragraph(_changes(evidence)), _changes_drawn(evidence), tables.changes(evidence),
            )),
            Section("positions", "Answering by position", (
                tables.positions(evidence.data), tables.always_a(evidence),
            )),
            Section("unread", "What the scorer did not see", (tables.no_detection(evidence),)),
            Section("data", "What the questions share", (
                *shared, tables.contamination(evidence.data), tables.answer_prompts(evidence.data),
            )),
            Section("agreement", "Rates, and whether the files agree", (
                tables.rates(evidence), tables.agreement(evidence),
            )),
            Section("methods", "Methods", (Items(METHODS),)),
        ),
        footer="Written by sycojax from the tables named at the top; tables/*.csv beside this page hold the same numbers.",
    )  # fmt: skip


def summary(checked: Sequence[Checked]) -> str:
    """The opening paragraph: how many claims stand."""
    sentences = []
    for kind, noun in (("figure", "stated figure"), ("reading", "conclusion")):
        outcomes = [c.judgement.standing for c in checked if c.claim.kind == kind]
        if outcomes:
            parts = [
                f"{n} {verb[n != 1]}"
                for outcome, verb in OUTCOMES.items()
                if (n := outcomes.count(outcome))
            ]
            sentences.append(f"Of {count(len(outcomes), noun)} {listing(parts)}.")
    swapped = [
        c for c in checked if c.claim.relation == "correlation" and c.judgement.standing == FAILS
        and ";" in c.judgement.found
    ]  # fmt: skip
    if swapped:
        sentences.append(
            f"{count(len(swapped), 'stated correlation')} belong{'s' if len(swapped) == 1 else ''} to another pair "
            "than the one named."
        )
    return " ".join(sentences)


def _shared_questions(data: DataCounts) -> str:
    """Contamination, and options that a parser of A to E cannot read."""
    return (
        f"{data.total('train')} of the {data.total('rows')} probe rows ask a question of the truthfulqa training split and "
        f"{data.total('test')} more one of its test split. {data.more_than_five_options} rows of are_you_sure have more "
        f"than five options; in {data.right_beyond_e} the right letter is beyond E, which a parser of A to E cannot read."
    )


def _correlations_drawn(evidence: Evidence, checked: Sequence[Checked]) -> Picture:
    claimed = {pair: stated(r).value for pair, r in claimed_correlations(checked).items()}
    return picture(
        "correlations",
        "Correlations, claimed and recomputed",
        "Diamonds are what was stated for a pair, dots what the tables give. Dark bars show how far r moves when one "
        "configuration is left out, light ones Fisher's interval; inside the grey band a single t test has p > .05.",
        figures.correlations, evidence, claimed,
    )  # fmt: skip


def _changes_drawn(evidence: Evidence) -> Picture:
    return picture(
        "changes",
        "Changes against the base",
        "Change of each probe's rate with Newcombe's 95 % interval (unpaired). Filled markers: p < .05 after Holm "
        "over all adapters and probes. A change inside the grey band would be found in fewer than 80 % of such studies.",
        figures.changes, evidence,
    )  # fmt: skip


def _warning(evidence: Evidence) -> str:
    return (
        f"Tables can refute a claim more easily than support one: {evidence.points} configurations, one training each "
        "as far as the tables tell, rates without the items behind them. Training noise cannot be told from the "
        "task, and nothing here can be paired by item."
    )


def _correlations(evidence: Evidence) -> str:
    known = [pair for pair in evidence.pairs.values() if math.isfinite(pair.found.p)]
    if not known:
        return "No correlation can be had: fewer than three configurations, or a column that does not vary."
    pair = min(known, key=lambda pair: pair.found.p)
    by_bh = min(p.p_bh for p in known)
    return (
        f"With n = {evidence.points}, |r| must exceed {number(critical_r(evidence.points), digits=3)} for p < .05 in a "
        f"single t test. The smallest exact p of {len(evidence.pairs)} is {p_value(pair.found.p)} ({pair.benchmark} x "
        f"{pair.probe}; {p_value(pair.p_t)} by t); after Holm it is {p_value(pair.p_holm)}, and the smallest after "
        f"Benjamini-Hochberg is {p_value(by_bh)}."
    )


def _changes(evidence: Evidence) -> str:
    if not evidence.shifts:
        return (
            "The tables give no counts of independent items (rates that are means over seeds are none), so changes are not "
            "tested here; the study's own report tests them by item."
        )
    clear = [f"{a} on {p}" for (a, p), s in evidence.shifts.items() if s.p_holm < ALPHA]
    items = min(s.base.items for s in evidence.shifts.values())
    paired = listing(
        [f"{number(paired_mde(d, items), digits=3)} at {d:.0%}" for d in (0.1, 0.2, 0.3)]
    )
    return (
        f"Of {len(evidence.shifts)} changes {len(clear)} {'has' if len(clear) == 1 else 'have'} p < .05 after Holm"
        f"{f' ({listing(clear)})' if clear else ''}. Had the {items} items been paired, a change would have to reach "
        f"{paired} discordant items to be found with 80 % power."
    )
