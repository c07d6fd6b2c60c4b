"""What could be measured at all: each contrast's instrument on the base and on every adapter, and all readouts of the base."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.page.tables import Entry, Table
from analysis.page.text import interval, listing, number, with_interval
from analysis.records.load import BASE, section
from analysis.results import Results, Tested
from analysis.results.gates import STEADY, STEERABLE
from analysis.statistics import Estimate
from analysis.verdicts.conclusions import SAYS

ASKED_BY = {
    "open": "an open continuation",
    "words": "a choice in words",
    "letters": "letters",
    "yes_no": "yes or no",
}
SEEN_BY = {
    "order": "an order",
    "told": "an assertion, as false orders are refused",
    "control": "an order to agree with the user or with the other",
    "contrast": "the contrast itself",
}


def measurable(results: Results) -> list[tuple[str, str]]:
    """(contrast, sentence): whether its instrument is valid on the base, by what it sees, and for which adapters it is not."""
    sentences = []
    for tested in results.tested:
        says = SAYS.get(tested.contrast.measure, "")
        topic = f"{tested.title}{f' ({says})' if says else ''}:"
        if tested.base is None:
            sentences.append(
                (topic, "not valid here: it was not asked in arms (docs/readouts.md).")
            )
        elif tested.invalid:
            sentences.append(
                (
                    topic,
                    f"not valid here: {tested.invalid}, asked for {_asked(tested.base.readout)}; "
                    f"{calibrated(results, tested)}.",
                )
            )
        else:
            text = (
                f"valid, asked for {_asked(tested.base.readout)} and seen by {SEEN_BY[tested.base.sees_by]}; "
                f"{calibrated(results, tested)}"
            )
            own = {a: why for a, why in tested.fails.items() if not results.study.is_placebo(a)}
            gone = [f"{name} ({fails})" for name, fails in own.items() if fails]
            if gone:
                text += f"; {len(own) - len(gone)} of {len(own)} adapters can be read, not {listing(gone)}"
            lost = [why for a, why in tested.fails.items() if why and a not in own]
            text += f"; the placebo cannot be read ({lost[0]})" if lost else ""
            if section(results.study.document, "readouts", tested.probe).get("contradicted"):
                text += ". Warning: the base says the opposite of this readout in its own words, and it was taken all the same"
            sentences.append((topic, f"{text}."))
    return [*sentences, *_rounding(results)]


def _rounding(results: Results) -> list[tuple[str, str]]:
    """How far headlines move when they are computed in other batches or in float32; nothing where that was not measured."""
    found = section(results.study.document, "scoring", "determinism")
    moved = [found.get(name) for name in STEADY]
    batches, float32 = (v if isinstance(v, int | float) else None for v in moved)
    if batches is None:
        return []
    text = f"asked again in other batches, the headlines of {found.get('headlines')} items move by {_up_to(batches)}"
    if float32 is not None:
        text += f", and computed in float32 instead of bfloat16 by {_up_to(float32)}"
    elif lacks := found.get("float32_lacks"):
        text += f"; they were not compared with float32 ({lacks})"
    return [("Rounding:", f"{text}.")]


def _up_to(moved: float) -> str:
    return f"{100 * moved:.2g} points at most" if moved >= 1e-5 else "less than .001 points"


def calibrated(results: Results, tested: Tested) -> str:
    """What a calibration read of planted deference, in words; "not calibrated" without one."""
    found, planted = tested.calibrated, results.calibration
    if found is None or not math.isfinite(found.slope.value):
        known = planted.of(tested.probe, tested.contrast.measure) if planted else None
        why = f"the calibration asked for {_asked(known.readout)}" if known and not found else ""
        why = found.slope.note if found else why
        return f"not calibrated ({why})" if why else "not calibrated"
    slope = f"calibrated: slope {number(found.slope.value)} {interval(found.slope, 'score')}"
    if zero := found.readings.get(0.0):
        return f"{slope}, {with_interval(zero.net, 'rate')} points where nothing is planted"
    return slope


def _asked(readout: str) -> str:
    return ASKED_BY.get(readout, "an answer")


def instruments(results: Results) -> Table:
    """For the base and each adapter: both contrasts gross and net, floors, sensitivity, binding, and contrasts as shares of an order."""
    rows = []
    for tested in results.tested:
        if tested.base is None:
            continue
        for group in results.groups:
            fails = tested.invalid if group == BASE else tested.fails.get(group, "")
            note = fails or (
                f"seen by {SEEN_BY[tested.base.sees_by]}" if group == BASE else "valid"
            )
            rows.append(
                (
                    Entry(f"{tested.title}, {group}", note, tone="bad" if fails else ""),
                    *(
                        _entry(results.of(group, tested.probe, name).level)
                        for name in _columns(tested)
                    ),
                    _relative(results, group, tested),
                )
            )
    return Table(
        "instruments",
        "Can the contrast be read? Points with 95 % interval, of the base and each adapter. Net is gross less the floor, which nobody's "
        "belief moves; the order is what an order to say so moves (sensitivity; an assertion where the base refuses false orders), and net is also given as a share of it; "
        "binding, where options are listed: is one found by what is said of it? Other words: what a second wording of the user's remark "
        "reads beyond gross.",
        ("contrast", "net", "gross", "floor", "order", "binding", "somebody else", "other words", "net of an order"),
        tuple(rows), whole=True,
    )  # fmt: skip


def _columns(tested: Tested) -> tuple[str, ...]:
    name = tested.contrast.measure
    steer = tested.base.steered_by if tested.base else "order"
    return name, f"{name}_gross", f"{name}_floor", steer, "binding", "other", f"{name}_reworded"


def _entry(estimate: Estimate) -> Entry:
    if not math.isfinite(estimate.value):
        return Entry("")
    return Entry(number(estimate.value, "rate"), interval(estimate, "rate"))


def _relative(results: Results, group: str, tested: Tested) -> Entry:
    net, steered = (
        results.of(group, tested.probe, _columns(tested)[place]).level for place in (0, 3)
    )
    return Entry(f"{net.value / steered.value:.2f}" if steered.low > STEERABLE else "")


def readouts(results: Results) -> Table:
    """What each readout of each probe read on the base, before any adapter was scored."""
    rows = []
    for probe, found in section(results.study.document, "readouts").items():
        rows += [_read(probe, found, row) for row in found.get("read", ())]
    return Table(
        "readouts",
        "Every readout of the base, on the items that one was chosen by, before any adapter was scored: points with 95 % interval. "
        "Bold: the one that was taken; coverage: how much of the answer slot the candidates hold, which decides nothing",
        ("readout", *("net", "gross", "floor", "order", "binding"), "coverage", "gate"),
        tuple(rows), prose=False,
    )  # fmt: skip


def _read(probe: str, found: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[Entry | str, ...]:
    taken = row["readout"] == found["readout"]
    entries = [
        _entry(Estimate.from_json(row[name])) if row[name] else Entry("")
        for name in ("net", "gross", "floor", "order", "binding")
    ]
    gate = (
        Entry(row["fails"], tone="bad")
        if row["fails"]
        else Entry(f"seen by {SEEN_BY[row['sees_by']]}")
    )
    name = Entry(f"{probe}, {row['contrast']}", row["readout"], strong="note" if taken else "")
    return name, *entries, f"{row['coverage']:.4f}", gate
