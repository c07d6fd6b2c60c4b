"""The tables of the re-examination."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Literal

from analysis.page.tables import Entry, Table
from analysis.page.text import NONE, number, p_value
from analysis.reanalysis.claims import Checked, claimed_correlations
from analysis.reanalysis.data import NEUTRAL, DataCounts
from analysis.reanalysis.evidence import LETTERED, Evidence
from analysis.reanalysis.judgement import FAILS, HOLDS, OPEN, Standing
from analysis.reanalysis.scores import CHANGES, CORRELATIONS
from analysis.reanalysis.wording import signed
from analysis.report.csvs import BENCHMARKS, PROBES
from analysis.statistics import ALPHA

TONES: dict[Standing, Literal["good", "bad", "open"]] = {HOLDS: "good", FAILS: "bad", OPEN: "open"}


def verdicts(checked: Sequence[Checked], kind: str) -> Table:
    """One line per claim of the kind: the verdict, the recomputed figure, and why."""
    rows = tuple(
        (
            Entry(c.claim.name, c.claim.text),
            Entry(c.judgement.standing, strong="text", tone=TONES[c.judgement.standing]),
            Entry(c.judgement.found, c.judgement.why),
        )
        for c in checked
        if c.claim.kind == kind
    )
    caption = {
        "figure": "Figures: numbers that were stated, against the same numbers from the tables",
        "reading": "Readings: what was concluded, against what the numbers can carry",
    }[kind]
    columns = ("claim", "verdict", "what the tables say")
    return Table(f"claims_{kind}s", caption, columns, rows, prose=True, whole=True)


def correlations(evidence: Evidence, checked: Sequence[Checked]) -> Table:
    """Every benchmark with every probe; ``claimed`` is what a claim states for this pair."""
    claimed = claimed_correlations(checked)
    rows = []
    for key, pair in evidence.pairs.items():
        found = pair.found
        rows.append(
            (
                f"{pair.benchmark} x {pair.probe}",
                Entry(signed(found.r), strong="text"),
                claimed.get(key, "").replace("-", "\u2212"),
                p_value(found.p), p_value(pair.p_holm), p_value(pair.p_bh), p_value(pair.p_t),
                span(found.lowest, found.highest), span(found.low, found.high),
                span(found.items_low, found.items_high),
            )
        )  # fmt: skip
    columns = (
        "pair", "r", "claimed", "exact p", "Holm", "BH", "t test p", "one left out", "Fisher 95 %",
        "with item error",
    )  # fmt: skip
    caption = f"Pearson's r over n = {evidence.points} configurations"
    return Table("correlations", caption, columns, tuple(rows))


def changes(evidence: Evidence) -> Table:
    """Every adapter's probes against the base, as unpaired counts."""
    rows = []
    for (adapter, probe), s in evidence.shifts.items():
        at_zero = s.base.hits == 0
        rows.append(
            (
                Entry(adapter, probe),
                Entry(f"{s.base.hits}/{s.base.items}", "0 because unread" if at_zero and evidence.doubts((), probe) else ""),
                f"{s.adapter.hits}/{s.adapter.items}",
                Entry(signed(s.value), span(s.low, s.high, 3)),
                p_value(s.p),
                Entry(p_value(s.p_holm), strong="text" if s.p_holm < ALPHA else ""),
                Entry(signed(s.rise), signed(-s.fall)),
            )
        )  # fmt: skip
    caption = (
        "Probes, adapter against base. Bold: p < .05 after Holm, which says that the counts differ, not that the model "
        "does"
    )
    columns = ("adapter and probe", "base", "adapter", "change", "Fisher p", "Holm", "MDE")
    return Table("changes", caption, columns, tuple(rows), whole=True)


def no_detection(evidence: Evidence) -> Table:
    """Items in which the scorer detected nothing."""
    known = [c for c in evidence.scores.configurations if _unseen(evidence, c, PROBES[0])]
    rows = tuple((c, *(_unseen(evidence, c, p) for p in PROBES)) for c in known)
    caption = (
        "Items in which the scorer detected nothing: no letter (are_you_sure), no fallacy in either reply (feedback), "
        "neither answer (answer)"
    )
    return Table("no_detection", caption, ("configuration", *PROBES), rows)


def positions(data: DataCounts | None) -> Table:
    """How often each letter is the right one, as stored."""
    found = data.label_positions if data else {}
    width = max(map(len, found.values()), default=0)
    rows = []
    for (task, split), counts in found.items():
        share = max(counts) / sum(counts)
        entries = [f"{n:,}" for n in counts] + [""] * (width - len(counts))
        rows.append(
            (
                Entry(task, split),
                *entries,
                Entry(number(share, digits=3), strong="text" if share == 1 else ""),
            )
        )
    columns = ("task and split", *string.ascii_uppercase[:width], "largest share")
    return Table("positions", "Where the right option is stored", columns, tuple(rows))


def always_a(evidence: Evidence) -> Table:
    """Every configuration's score on the lettered benchmarks beside that of always answering A."""
    tested = {b: evidence.stored(b, "test") for b in LETTERED} if evidence.data else {}
    rows: list[tuple[Entry | str, ...]] = []
    for name in evidence.scores.configurations if tested else ():
        row: list[Entry | str] = [name]
        for benchmark, positions in tested.items():
            count = evidence.counts.get((name, benchmark))
            if count is None or not positions or count.items != sum(positions):
                row.append(NONE)
                continue
            equal = evidence.always_a(name, benchmark)
            note = f"{count.hits}/{count.items}{' = always A' if equal else ''}"
            row.append(Entry(number(count.rate, digits=3), note, "note" if equal else ""))
        rows.append(tuple(row))
    if rows:
        firsts = [
            (f"{n[0]}/{sum(n)}", n[0] / sum(n)) if n else ("", math.nan) for n in tested.values()
        ]
        rows.append(("always A", *(Entry(number(r, digits=3), note) for note, r in firsts)))
    caption = "Scores beside the score of an answerer that always takes option A"
    return Table("always_a", caption, ("configuration", *tested), tuple(rows))


def contamination(data: DataCounts | None) -> Table:
    """Probe rows by where their question occurs."""
    rows = [
        (probe, *(f"{n:,}" for n in (c.rows, c.distinct, c.train, c.test, c.neither)))
        for probe, c in (data.contamination if data else {}).items()
    ]
    if data:
        totals = [data.total(name) for name in ("rows", "train", "test", "neither")]
        rows.append(("all", str(totals[0]), "", *map(str, totals[1:])))
    columns = ("probe", "rows", "distinct", "in training", "in test", "in neither")
    caption = "Probe rows whose question is in the truthfulqa splits; distinct: different questions or arguments"
    return Table("contamination", caption, columns, tuple(rows))


def answer_prompts(data: DataCounts | None) -> Table:
    """The stored prompts of ``answer``, which served as its neutral baseline."""
    rows = tuple(
        (template, str(n), "yes" if template == NEUTRAL else "no")
        for template, n in (data.answer_prompts if data else {}).items()
    )
    columns = ("template of the stored prompt", "rows", "neutral")
    return Table("answer_prompts", "What answer took as its neutral prompt", columns, rows)


def agreement(evidence: Evidence) -> Table:
    """Whether the study's files say the same as one another."""
    scores = evidence.scores
    recomputed = {key: pair.found.r for key, pair in evidence.pairs.items()}
    counted = {key: count.rate for key, count in evidence.counts.items()}
    changes = {key: scores.change(*key) for key in scores.stated_changes}
    rows = []
    for what, stated, found in (
        (f"{CHANGES} = differences of the rates", scores.stated_changes, changes),
        (f"{CORRELATIONS} = correlations of the rates", scores.stated_correlations, recomputed),
        ("counts of items = the rates", counted, scores.rates),
    ):
        differences = [abs(stated[key] - found[key]) for key in stated if key in found]
        known = [d for d in differences if math.isfinite(d)]
        largest = max(known, default=math.nan)
        verdict = "n/a" if not known else "yes" if largest <= 1e-4 else "no"
        tone = "good" if verdict == "yes" else "bad" if verdict == "no" else ""
        rows.append((
            what, Entry(verdict, tone=tone), str(len(known)), f"{largest:.1e}" if known else NONE
        ))  # fmt: skip
    columns = ("compared", "agree to 4 digits", "values", "largest difference")
    return Table("agreement", "The files against one another", columns, tuple(rows))


def rates(evidence: Evidence) -> Table:
    """The table everything starts from."""
    evaluations = (*BENCHMARKS, *PROBES)
    rows = tuple(
        (name, *(number(evidence.scores.rate(name, e), digits=4) for e in evaluations))
        for name in evidence.scores.configurations
    )  # fmt: skip
    return Table(
        "rates", "The rates as the study gives them", ("configuration", *evaluations), rows
    )


def span(low: float, high: float, digits: int = 2) -> str:
    """[low, high]; n/a where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    return (
        f"[{number(low, digits=digits, signed=True)}, {number(high, digits=digits, signed=True)}]"
    )


def _unseen(evidence: Evidence, configuration: str, probe: str) -> str:
    count = evidence.counts.get((configuration, probe))
    if count is None or count.no_detection is None:
        return ""
    return f"{count.no_detection}/{count.items}"
