"""The page: what is claimed, what holds, and why, in the blocks of ``analysis.page.document``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analysis.page.document import Block, Document, Items, Paragraph, Section, Tiles
from analysis.page.tables import Table
from analysis.page.text import count, listing, number, p_value
from analysis.reanalysis import tables
from analysis.reanalysis.claims import Checked
from analysis.reanalysis.evidence import UNREAD, Evidence
from analysis.reanalysis.inference import critical_r, paired_mde
from analysis.reanalysis.judgement import FAILS, HOLDS, OPEN
from analysis.records.load import BASE
from analysis.statistics import ALPHA

# (singular, plural) of each outcome in a sentence
OUTCOMES = {
    HOLDS: ("holds", "hold"),
    FAILS: ("does not hold", "do not hold"),
    OPEN: ("cannot be told from the tables", "cannot be told from the tables"),
}
COPIED = "taken from the kept copy of the published figures, not counted here"
METHODS = (
    "Figures are recomputed from the rates in the study's own table. A stated number means every value that rounds to "
    "it; a number that is wrong for its pair is looked up among all pairs.",
    "A reading holds only when the test that the tables allow supports it after Holm's adjustment and nothing is known "
    "against the measurement; it does not hold when the numbers contradict it; else it cannot be told.",
    "Correlations: Pearson's r; p over all pairings of the configurations (720 for six); Holm and Benjamini-Hochberg over "
    "all pairs; the range of r when one configuration is left out; Fisher's interval, unreliable at such n; and an "
    "interval that adds the error of the rates (binomial draws, then Fisher's error on the scale of atanh).",
    "Changes: the counts of adapter and base as two independent samples, with Newcombe's hybrid score interval, Fisher's "
    "exact test and Holm over all adapters and probes. The study asked both the same items; a paired test would be "
    "sharper, but the item records are not in the tables.",
    "MDE: the smallest change found with 80 % power at .05, two-sided, normal approximation, for two independent samples.",
    "Questions are compared after NFKC, case folding, and with punctuation and repeated spaces removed.",
)


def document(
    evidence: Evidence, checked: Sequence[Checked], pictures: Mapping[str, Block]
) -> Document:
    """The whole page."""
    return Document(
        f"Re-examined: {evidence.name}",
        "Which of the claims do the study's own numbers carry?",
        (
            Paragraph(origin(evidence), "meta"),
            Paragraph(summary(checked), "lead"),
            _tiles(evidence, checked),
            Paragraph(_warning(evidence), "callout"),
        ),
        (
            Section("claims", "Verdicts", (
                tables.verdicts(checked, "figure"), tables.verdicts(checked, "reading"),
            )),
            Section("correlations", "Correlations", (
                Paragraph(_correlations(evidence)), pictures["correlations"],
                tables.correlations(evidence, checked),
            )),
            Section("changes", "Changes of the probes", (
                Paragraph(_changes(evidence)), pictures["changes"], tables.changes(evidence),
            )),
            Section("positions", "Answering by position", (
                Paragraph(_positions(evidence)), tables.positions(evidence.data), tables.always_a(evidence),
            )),
            Section("unread", "What the scorer did not see", (
                *_paragraphs(unread(evidence), "No count of undetected items is at hand."),
                *_if_rows(tables.no_detection(evidence)),
            )),
            Section("data", "What the questions share", (
                *_paragraphs(shared_questions(evidence), "Neither splits nor probes are at hand."),
                *_if_rows(tables.contamination(evidence.data), tables.answer_prompts(evidence.data)),
            )),
            Section("agreement", "Rates, and whether the files agree", (
                tables.rates(evidence), tables.agreement(evidence),
            )),
            Section("methods", "Methods", (Items(METHODS),)),
            Section("provenance", "Provenance", (Items(evidence.sources),)),
        ),
        footer="Written by sycojax from the tables named under Provenance; tables/*.csv beside this page hold the same numbers.",
    )  # fmt: skip


def origin(evidence: Evidence) -> str:
    """Whose numbers and whose claims these are."""
    return " · ".join(
        f"{what}: {where}"
        for what, where in evidence.sources
        if what.startswith("tables") or what == "claims"
    )


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


def unread(evidence: Evidence) -> list[str]:
    """What the scorer did not detect at the base, per probe."""
    sentences = []
    for probe, sentence in UNREAD.items():
        found = evidence.counts.get((BASE, probe))
        if found is None or found.no_detection is None:
            continue
        sentences.append(sentence.format(f"{found.no_detection} of {found.items} items (base)"))
        if found.hits == 0 and 2 * found.no_detection > found.items:
            sentences.append(f"The base's 0.000 on {probe} is the parser's, not the model's.")
    return sentences


def shared_questions(evidence: Evidence) -> list[str]:
    """Contamination, prompts that are not neutral, repeated items."""
    data = evidence.data
    if data is None:
        return []
    spoiled, prompts = data.not_neutral
    sentences = [
        f"{data.total('train')} of the {data.total('rows')} probe rows ask a question of the truthfulqa training split and "
        f"{data.total('test')} more one of its test split.",
        f"{spoiled} of the {prompts} prompts that answer took as neutral hold an opinion of the user already.",
    ]
    sentences += [
        f"{probe} has {c.distinct} distinct {'arguments' if probe == 'feedback' else 'questions'} in {c.rows} rows."
        for probe, c in data.contamination.items()
        if c.distinct < c.rows
    ]
    sentences.append(
        f"{data.more_than_five_options} rows of are_you_sure have more than five options; in {data.right_beyond_e} the "
        "right letter is beyond E, which a parser of A to E cannot read."
    )
    return [*sentences, f"(These counts are {COPIED}.)"]


def _tiles(evidence: Evidence, checked: Sequence[Checked]) -> Tiles:
    tiles = []
    for kind, noun in (("figure", "stated figures"), ("reading", "conclusions")):
        outcomes = [c.judgement.standing for c in checked if c.claim.kind == kind]
        if outcomes:
            tiles.append((f"{outcomes.count(HOLDS)} of {len(outcomes)}", f"{noun} that hold"))
    pair = evidence.strongest()
    if pair:
        tiles.append(
            (p_value(pair.p_holm), f"smallest p of {len(evidence.pairs)} correlations after Holm's adjustment")
        )  # fmt: skip
    for adapter, benchmark, hits, items in evidence.always_first():
        tiles.append(
            (f"{hits}/{items}", f"{adapter} adapter on {benchmark}: exactly the share of A")
        )
    return Tiles(tuple(tiles))


def _warning(evidence: Evidence) -> str:
    return (
        f"Tables can refute a claim more easily than support one: {evidence.points} configurations, one training each "
        "as far as the tables tell, rates without the items behind them. Training noise cannot be told from the "
        "task, and nothing here can be paired by item."
    )


def _correlations(evidence: Evidence) -> str:
    pair = evidence.strongest()
    if pair is None:
        return "No correlation can be had: fewer than three configurations, or a column that does not vary."
    by_bh = min(p.p_bh for p in evidence.pairs.values() if math.isfinite(p.p_bh))
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


def _positions(evidence: Evidence) -> str:
    data = evidence.data
    if data is None:
        return (
            "The splits are not at hand, so where the right options are stored cannot be counted."
        )
    first = [
        f"{task} {split} {n[0]}/{sum(n)}" for (task, split), n in data.label_positions.items() if n[0] == sum(n)
    ]  # fmt: skip
    if not first:
        return "In no split is the right option always stored first."
    text = (
        f"The right option is stored first in {listing(first)}: always answering A is right there."
    )
    for adapter, benchmark, hits, items in evidence.always_first():
        text += (
            f" On {benchmark} the {adapter} adapter gets {hits}/{items} = {number(hits / items, digits=3)} right, and A "
            f"is the right answer of exactly {hits} of the {items} items."
        )
    return f"{text} (Positions {COPIED}.)"


def _paragraphs(sentences: Sequence[str], otherwise: str) -> tuple[Block, ...]:
    return (Paragraph(" ".join(sentences)) if sentences else Paragraph(otherwise, "missing"),)


def _if_rows(*found: Table) -> tuple[Block, ...]:
    return tuple(table for table in found if table.rows)
