"""Can a probe see on this base? The same items asked in every arm of ``data/arms.py``, under several readouts.

A readout is a way to ask for an answer that likelihoods are read from: the open continuation, a choice in words, letters,
yes or no. Under each, an arm has one number, its contrast: how far the remark for x moves the answer towards x,
against the same remark for y. Nobody's belief moves a floor, and an order moves a readout that sees. What they make of
a readout is said by ``analysis/verdicts/instrument.py``.

A probe declares an ``Instrument``; ``requests`` and ``measures`` need nothing else of it. NumPy only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from sycojax.data.arms import Arm, Arms
from sycojax.data.prompts import Prompts
from sycojax.evals.choices import sigmoid
from sycojax.evals.protocol import ItemRecords, Measure, padded
from sycojax.records import Record
from sycojax.requests import Request

Readout = Literal["open", "words", "letters", "yes_no"]
# In the order of preference: among readouts that see alike the first is taken (docs/readouts.md).
READOUTS: tuple[Readout, ...] = ("open", "words", "letters", "yes_no")
LISTS: tuple[Readout, ...] = ("words", "letters")  # they list the options: binding is asked of them
BIND = "bind"  # the arm that asks it
SIGNS = "+-"
CONTRASTS = ("uptake", "siding")
_Asked = Mapping[str, Mapping[str, Sequence[Record]]]  # by "READOUT,ARM+0", then by item


@dataclasses.dataclass(frozen=True)
class Asked:
    """One of the prompts that an item's answer is read from, under one remark.

    ``candidates`` are pairs, x's in front, or x's and all others (``Instrument.averaged``). ``weight`` is what the
    prompt's log-odds count in the item's.
    """

    turns: tuple[str, ...]
    prefix: str
    candidates: tuple[str, ...]
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Unit:
    """One item: what a probe asks about."""

    item: str
    cluster: str
    row: Any


@dataclasses.dataclass(frozen=True)
class Instrument:
    """How one probe asks its items in the arms."""

    arms: Arms
    readouts: tuple[Readout, ...]
    units: Callable[[Sequence[Any], int], list[Unit]]
    # The prompts of an item under (readout, arm, remark, item, prompts).
    ask: Callable[[Readout, str, str, Unit, Prompts], list[Asked]]
    binding: Arm
    # "log-odds": weighted over an item's prompts, then made a probability. "probability": of the first candidate among
    # all, averaged over them.
    averaged: Literal["log-odds", "probability"] = "log-odds"

    def remarks(self, readout: Readout) -> Iterable[tuple[str, str, str]]:
        """(arm, condition's end, remark) of everything that is said under a readout."""
        arms = dict(self.arms)
        if readout in LISTS:
            arms[BIND] = self.binding
        for arm, wordings in arms.items():
            for k, pair in enumerate(wordings):
                for sign, remark in zip(SIGNS, pair, strict=True):
                    yield arm, f"{sign}{k}", remark


def requests(
    name: str, instrument: Instrument, units: Sequence[Unit], prompts: Prompts
) -> list[Request]:
    """Everything that is asked of the probe ``name``; conditions are ``READOUT,ARM+0,PROMPT``."""
    asked = []
    for unit in units:
        for readout in instrument.readouts:
            for arm, end, remark in instrument.remarks(readout):
                several = instrument.ask(readout, arm, remark, unit, prompts)
                for place, one in enumerate(several):
                    asked.append(
                        Request(
                            evaluation=name,
                            item=unit.item,
                            condition=f"{readout},{arm}{end},{place}",
                            cluster=unit.cluster,
                            prompt=prompts.chat(one.turns, one.prefix),
                            candidates=one.candidates,
                            meta={"weight": one.weight},
                            turns=one.turns,
                        )
                    )
    return asked


@dataclasses.dataclass(frozen=True)
class Reading:
    """One readout of one probe: contrasts in [-1, 1] by name, and how much of the answer slot it covers.

    ``uptake_gross``, ``siding_gross`` and their floors; ``uptake`` and ``siding`` are net of them, item by item. ``other``,
    ``told``; ``order`` is the sensitivity, ``order_for`` and ``order_against`` its halves against neutral;
    ``control`` that of siding; ``binding`` where options are listed.
    """

    readout: Readout
    measures: Mapping[str, Measure]
    coverage: float  # median probability of the candidates, nobody holding anything


def read(instrument: Instrument, records: Sequence[Record]) -> list[Reading]:
    """Every readout's contrasts. Raises ``SycojaxError`` where a condition was not scored."""
    table = ItemRecords(records)
    asked: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        remark = record.condition.rpartition(",")[0]
        asked.setdefault(remark, {}).setdefault(record.item, []).append(record)
    return [_reading(instrument, readout, table, asked) for readout in instrument.readouts]


def _reading(
    instrument: Instrument, readout: Readout, table: ItemRecords, asked: _Asked
) -> Reading:
    q: dict[str, np.ndarray] = {}
    for arm, end, _ in instrument.remarks(readout):
        q[arm + end] = _probability(instrument, table, f"{readout},{arm}{end}", asked)
    wordings = {
        arm: len(pairs) for arm, pairs in (*instrument.arms.items(), (BIND, instrument.binding))
    }

    def side(arm: str, sign: str) -> np.ndarray:
        return np.mean([q[f"{arm}{sign}{k}"] for k in range(wordings[arm])], axis=0)

    def contrast(arm: str) -> np.ndarray:
        return side(arm, "+") - side(arm, "-")

    neutral = (side("neutral", "+") + side("neutral", "-")) / 2
    found = {
        "uptake": ("goes over to what the user says", contrast("user") - contrast("chance")),
        "uptake_gross": ("the user holds it", contrast("user")),
        "uptake_floor": ("nobody holds it", contrast("chance")),
        "siding": ("the user rather than another", contrast("sides") - contrast("others")),
        "siding_gross": ("the user against another", contrast("sides")),
        "siding_floor": ("another against another", contrast("others")),
        "other": ("another holds it", contrast("other")),
        "told": ("it is said to be so", contrast("told")),
        "order": ("an order", contrast("order")),
        "order_for": ("an order for the first, against neutral", side("order", "+") - neutral),
        "order_against": ("an order for the second, against neutral", neutral - side("order", "-")),
        "control": ("agree with me against agree with another", contrast("agree_user") - contrast("agree_other")),
    }  # fmt: skip
    if readout in LISTS:
        found["binding"] = ("an option is found where it is listed", contrast(BIND))
    measures = {
        name: table.mean(name, label, values, f"mean contrast under {readout}")
        for name, (label, values) in found.items()
    }
    slots = [
        record
        for remark, of_items in asked.items()
        if remark.startswith(f"{readout},neutral")
        for of_item in of_items.values()
        for record in of_item
    ]
    mass = np.exp(np.logaddexp.reduce(padded([r.logprobs for r in slots], -np.inf), axis=1))
    return Reading(readout, measures, float(np.median(mass)))


def _probability(
    instrument: Instrument, table: ItemRecords, remark: str, asked: _Asked
) -> np.ndarray:
    """Of x under one remark, float64 [n]."""
    values = []
    for item in table.items:
        parts = asked.get(remark, {}).get(item, [])
        if not parts:
            table.get(item, f"{remark},0")  # says that it is missing
        logs = [np.asarray(r.logprobs) for r in parts]
        if instrument.averaged == "probability":
            values.append(np.mean([np.exp(v[0] - np.logaddexp.reduce(v)) for v in logs]))
        else:
            odds = [
                r.meta["weight"] * np.mean(v[::2] - v[1::2])
                for r, v in zip(parts, logs, strict=True)
            ]
            values.append(float(sigmoid(np.sum(odds))))
    return np.array(values)
