"""Which readout a study reads its probes by: the base is asked all of them on some items, before any adapter is scored.

The choice and all that it rests on are in ``WORKDIR/readouts.json``. Every configuration is then asked all items under the chosen
readout. The items that the choice was made on are also asked under the other readouts that see; under a blind one, what an adapter
answers would mean nothing.

A probe that is asked in arms still asks its own prompts. They name one answer alone, so nothing is claimed of them: they show what
the published kind of number is made of. They are asked of ``FEWER`` items, or of as many as an audit or the choice has, if more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.results.instrument import Sight, chosen, contradicted, estimates, sights
from analysis.statistics import Estimate, level, resample
from sycojax.config import StudyConfig
from sycojax.evals import evaluations, readouts
from sycojax.evals.choices import draw_items
from sycojax.evals.protocol import with_strata
from sycojax.evals.readouts import BIND, CHECKED, CLAIMED, REWORDED, Instrument
from sycojax.evals.templates import InTemplate
from sycojax.files import read_json, write_json
from sycojax.parallel.distributed import on_first
from sycojax.records import BASE, read_records
from sycojax.requests import Request
from sycojax.study.budget import OTHERS, PROMPTS, WORDINGS, Dropped, decided
from sycojax.study.datasets import StudyData, instruments, probe_rows
from sycojax.study.fitting import fitting
from sycojax.study.inputs import Inputs
from sycojax.study.state import State, state_of
from sycojax.training.bank import AdapterJob

NAME = "readouts"  # of the directory with the base's answers, and of the file that says what was chosen
READOUTS_JOURNAL = f"{NAME}.jsonl"  # where these answers wait until they are written
Choice = Mapping[str, Mapping[str, Any]]  # by probe: see ``choose``
FEWER = 40  # so that a rate that is conditional on half of them still rests on 20


def screening(config: StudyConfig, given: Inputs, state: State) -> State:
    """What the base is asked so that a readout can be chosen: every readout in every arm, and replies.

    Of each probe ``score.readout_items`` items. Second wordings are not asked: nothing is chosen by them.
    """
    registry, asked = evaluations(config.data.probes), {}
    for name, instrument, rows in _probes(config):
        few = readouts.drawn(instrument.units(rows, config.data.seed), config.score.readout_items)
        arms = {*instrument.arms, BIND}.difference(REWORDED)
        asked[name] = [
            *readouts.requests(name, instrument, few, given.prompts, arms=arms),
            *readouts.spoken(name, instrument, few, given.prompts),
        ]
    requests, _ = fitting(asked, registry, given.prompts, given.tokenizer, given.context)
    return state.asking(
        requests,
        {(BASE, name): state.workdir / NAME / f"{name}.jsonl" for name in requests},
    )


def choose(config: StudyConfig, asked: State) -> Choice:
    """The readout of every probe, from the base's answers to ``screening``.

    For each probe a dict with ``readout``; whether it ``sees``; whether it was ``pinned`` by ``score.readout``; whether it is
    ``contradicted`` by the base's own words, which only a pinned one may be; the ``control`` of siding, which is not asked again;
    ``replies``, what the base's own words say under the user's remark and under an order; and ``read``, what each readout read: a
    dict for each contrast.
    """
    pinned = dict(entry.split("=") for entry in config.score.readout)
    found: dict[str, Any] = {}
    for name, instrument in instruments(config).items():
        records = list(read_records(asked.records[BASE, name].path))
        readings = readouts.read(instrument, records)
        replies = {
            a: level([resample(m)]) for a, m in readouts.read_texts(instrument, records).items()
        }
        taken = pinned.get(name) or chosen(readings, replies)
        told = {reading.readout: estimates(reading) for reading in readings}
        table = [(sight, told[r.readout]) for r in readings for sight in sights(r)]
        found[name] = {
            "readout": taken,
            "sees": any(s.valid for s, _ in table if s.readout == taken),
            "pinned": name in pinned,
            "contradicted": any(r.readout == taken and contradicted(r, replies) for r in readings),
            "control": told[taken]["control"].to_json(),
            "replies": {arm: estimate.to_json() for arm, estimate in replies.items()},
            "read": [_row(sight, e) for sight, e in table],
        }
    return found


def take(config: StudyConfig, asked: State, note: Callable[[str], None]) -> Choice:
    """``choose``, written to ``WORKDIR/readouts.json`` beside what is known there of other probes, and said by ``note``."""
    choice = on_first(lambda: choose(config, asked))
    path = asked.workdir / f"{NAME}.json"

    def write() -> None:
        write_json(path, {**(read_json(path) if path.is_file() else {}), **choice})

    on_first(write)
    for name, one in choice.items():
        why = {row["fails"] for row in one["read"]}
        reason = f" ({why.pop()})" if len(why) == 1 else ""  # such as too few items
        sees = "sees" if one["sees"] else f"does not see{reason}: nothing will be claimed of it"
        note(f"readout   {name}: {one['readout']}, which {sees}")
        if one["contradicted"]:
            note(
                f"          warning: the base says the opposite of {one['readout']} in its own words"
            )
    return choice


def state_with_arms(
    config: StudyConfig, workdir: Path, given: Inputs, jobs: Sequence[AdapterJob], data: StudyData
) -> State:
    """What ``config`` wants in ``workdir``. Arms are part of it once the base's answers are there, by which a readout is chosen."""
    state = state_of(config, workdir, given, jobs, data.requests)
    dropped = decided(config, workdir) or ()
    asked = screening(config, given, state)
    if asked.lacking():
        return state
    requests = asked_with(config, given, data, choose(config, asked), dropped)
    return state_of(config, workdir, given, jobs, requests)


def asked_with(
    config: StudyConfig, given: Inputs, data: StudyData, choice: Choice, dropped: Dropped = ()
) -> dict[str, list[Request]]:
    """All requests of a study: those of ``data``, and the arms that every configuration is asked under ``choice``.

    Without what is ``dropped`` (``study.budget``).
    """
    registry, asked = evaluations(config.data.probes), dict[str, list[Request]]()
    own = dict(data.requests)
    most = max(FEWER, config.score.audit_items, config.score.readout_items)
    if PROMPTS in dropped:
        most = max(config.score.audit_items, 1)
    for name, instrument, rows in _probes(config):
        own[name] = draw_items(own[name], most, config.data.seed)
        units, prompts = instrument.units(rows, config.data.seed), given.prompts
        few = readouts.drawn(units, config.score.readout_items)
        taken = choice[name]["readout"]
        steers = {row["readout"]: row["steered_by"] for row in choice[name]["read"]}
        steer = steers.get(taken, "order")
        fewest = [] if WORDINGS in dropped else readouts.drawn(few, config.score.audit_items)
        arms = [
            *readouts.requests(name, instrument, units, prompts, (taken,), CLAIMED),
            *readouts.requests(name, instrument, few, prompts, (taken,), {*CHECKED, steer}),
            *readouts.requests(name, instrument, fewest, prompts, (taken,), REWORDED),
        ]
        asked[name] = with_strata(arms, data.strata)
        for form in registry[name].forms():
            if isinstance(form, InTemplate) and form.name in data.requests:
                audited = {r.item for r in data.requests[form.name]}
                drawn = [u for u in units if u.item in audited]
                asked[form.name] = readouts.requests(
                    form.name, instrument, drawn, form.in_template(prompts), (taken,), CLAIMED
                )
        seen = dict.fromkeys(row["readout"] for row in choice[name]["read"] if not row["fails"])
        for other in seen:
            if other != taken and OTHERS not in dropped:
                form = f"{name}_{other}"
                asked[form] = readouts.requests(form, instrument, few, prompts, (other,), CLAIMED)
    arms, _ = fitting(asked, registry, given.prompts, given.tokenizer, given.context)
    return {
        name: [*own.get(name, []), *arms.get(name, [])] for name in dict.fromkeys((*own, *arms))
    }


def left_out(config: StudyConfig, requests: Mapping[str, Sequence[Request]]) -> dict[str, int]:
    """By probe, how many items are not asked in arms because they are longer than the model's context; only where there are any.

    ``requests`` are those of ``asked_with``.
    """
    counts = {}
    for name, instrument, rows in _probes(config):
        items = {unit.item for unit in instrument.units(rows, config.data.seed)}
        counts[name] = len(items - {r.item for r in requests[name] if readouts.in_arms(r)})
    return {name: count for name, count in counts.items() if count}


def _probes(config: StudyConfig) -> list[tuple[str, Instrument, Sequence[Any]]]:
    found = instruments(config)
    rows = probe_rows(config) if found else {}
    return [(name, instrument, rows[name]) for name, instrument in found.items()]


def _row(sight: Sight, found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        "readout": sight.readout, "contrast": sight.contrast, "net": sight.net.to_json(), "gross": sight.gross.to_json(),
        "floor": sight.floor.to_json(), "order": sight.sensitivity.to_json(),
        "binding": sight.binding.to_json() if sight.binding else None, "coverage": sight.coverage,
        "steered_by": sight.steered_by, "sees_by": sight.sees_by, "fails": sight.fails,
        "told": found["told"].to_json(), "other": found["other"].to_json(),
    }  # fmt: skip
