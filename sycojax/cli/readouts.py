"""``sycojax readouts``: what every readout of every probe sees on the base at hand, before anything is trained."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from analysis.page.text import number
from analysis.statistics import Estimate
from analysis.verdicts.instrument import Sight, chosen, sights
from sycojax import evals
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.evals import readouts
from sycojax.evals.readouts import Instrument, Unit
from sycojax.files import atomic_write
from sycojax.models.base import zero_lora
from sycojax.records import Record, write_records
from sycojax.scoring.scorer import Scorer
from sycojax.study.datasets import probe_rows
from sycojax.study.fitting import fitting
from sycojax.study.inputs import read_inputs
from sycojax.study.scores import stack
from sycojax.weights.frozen import load_frozen

COLUMNS = (
    "probe", "readout", "contrast", "net", "low", "high", "gross", "floor", "floor_high", "sensitivity",
    "sensitivity_low", "binding", "binding_low", "coverage", "sees_by", "sees_low", "valid", "reason", "n_items",
    "chosen",
)  # fmt: skip


def measure(config: StudyConfig, workdir: Path, items: int, progress: bool) -> str:
    """Score the base, write ``workdir/readouts/`` and return the table for a terminal.

    Items that are longer than the base's context are left out and counted. Raises ``SycojaxError`` where no probe of the
    config has an instrument, and without an item to ask.
    """
    if items < 1:
        raise SycojaxError(f"--items={items}: at least one item of each probe must be asked")
    registry = evals.evaluations(config.data.probes)
    probes = {
        name: instrument
        for name in registry.probes
        if (instrument := registry[name].instrument) and name in config.score.evaluations
    }
    if not probes:
        raise SycojaxError("none of score.evaluations is a probe that can be asked in arms")
    given = read_inputs(config)
    tokenizer, prompts = given.tokenizer, given.prompts
    rows_of = probe_rows(config)
    asked = {
        name: readouts.requests(
            name,
            instrument,
            _drawn(instrument.units(rows_of[name], config.data.seed), items),
            prompts,
        )
        for name, instrument in probes.items()
    }
    asked, too_long = fitting(asked, tokenizer, given.context)
    base = load_frozen(config, progress=progress)
    scorer = Scorer(base, tokenizer, config.score, ends=prompts.template.end_ids(tokenizer))
    bank = stack([zero_lora(base.config, base.lora)])
    every = [request for of_probe in asked.values() for request in of_probe]
    records = scorer.score(every, bank, progress=progress)[0]
    directory = workdir / "readouts"
    lines, rows = [], []
    for name, instrument in probes.items():
        own = [r for r in records if r.evaluation == name]
        write_records(directory / f"{name}.jsonl", own)
        shown, told = _probe(name, instrument, own)
        lines += shown
        if name in too_long:
            lines.append(f"  not asked, being longer than the context: {too_long[name]} items")
        rows += told
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    atomic_write(directory / "readouts.csv", table.getvalue())
    return "\n".join(lines)


def _drawn(units: Sequence[Unit], items: int) -> list[Unit]:
    """``items`` of them, by their names, which are hashes: more items are these and others."""
    return sorted(units, key=lambda unit: unit.item)[:items]


def _probe(
    name: str, instrument: Instrument, records: Sequence[Record]
) -> tuple[list[str], list[tuple[object, ...]]]:
    """(lines for a terminal, rows of the CSV) of one probe."""
    readings = readouts.read(instrument, records)
    choice = chosen(readings)
    questions = len({r.item for r in records})
    lines = [
        f"\n{name}: {questions} items, points with half the width of the 95 % interval",
        f"  {'readout':<9}{'contrast':<10}{'net':>13}{'gross':>13}{'floor':>13}{'order':>13}"
        f"{'binding':>13}{'covers':>8}  ",
    ]
    rows: list[tuple[object, ...]] = []
    for reading in readings:
        for sight in sights(reading):
            mark = "*" if reading.readout == choice and sight.valid else " "
            says = f"seen by the {sight.sees_by}" if sight.valid else f"not valid: {sight.fails}"
            shown = (sight.net, sight.gross, sight.floor, sight.sensitivity, sight.binding)
            lines.append(
                f"{mark} {sight.readout:<9}{sight.contrast:<10}"
                + "".join(f"{_points(e):>13}" for e in shown)
                + f"{sight.coverage:>8.4f}  {says}"
            )
            rows.append(_row(name, sight, questions, reading.readout == choice))
    lines.append(
        f"  chosen: {choice}"
        if choice
        else "  no readout sees here: the probe says nothing of this base"
    )
    return lines, rows


def _points(estimate: Estimate | None) -> str:
    """ "12.3 ± 4.5", the half width being half the whole."""
    if estimate is None:
        return ""
    if not math.isfinite(estimate.low):
        return number(estimate.value, "rate")
    return f"{100 * estimate.value:.1f} ±{50 * (estimate.high - estimate.low):4.1f}"


def _row(name: str, sight: Sight, questions: int, taken: bool) -> tuple[object, ...]:
    binding = sight.binding
    return (
        name, sight.readout, sight.contrast, sight.net.value, sight.net.low, sight.net.high, sight.gross.value,
        sight.floor.value, sight.floor.high, sight.sensitivity.value, sight.sensitivity.low,
        binding.value if binding else "", binding.low if binding else "", sight.coverage, sight.sees_by,
        sight.sees_low if sight.sees_by else "", sight.valid, sight.fails, questions, taken,
    )  # fmt: skip
