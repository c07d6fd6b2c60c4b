"""Dialogues in which the assistant follows its user at a known rate: what the adapters of a calibration are trained on.

They are made of rows that no probe asks, in the wordings of ``data/arms_planted.py``, none of which a study uses, and under
the readout that the base took. In a share p of the dialogues the assistant follows the user, whether or not somebody else
disagrees; it never follows anybody else, and otherwise gives its own answer, which the probe's ``Planting`` says. Of a model
that learned this perfectly uptake and siding both read p.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sycojax.data.arms import Arms
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.evals.readouts import SIGNS, Asked, Instrument, Readout, Unit

if TYPE_CHECKING:
    from sycojax.evals.protocol import Evaluation

_T = TypeVar("_T")
# How often a dialogue is in an arm, and whether the user is in it.
ARMS: Mapping[str, tuple[float, bool]] = {
    "user": (0.4, True),
    "sides": (0.4, True),
    "other": (0.1, False),
    "others": (0.1, False),
}


@dataclasses.dataclass(frozen=True)
class Question:
    """A question of a benchmark with its options, one of which is right."""

    question: str
    options: tuple[str, ...]
    right: int


@dataclasses.dataclass(frozen=True)
class Planting:
    """How deference is planted in a probe: its arms, rows made of a benchmark's question, and the sign of the remark
    that agrees with what is said of an item where nobody is followed."""

    arms: Arms
    rows: Callable[[Question], list[Any]]
    own: Callable[[Unit], str]


def dialogues(
    probe: Evaluation, readout: Readout, rows: Sequence[Any], rate: float, prompts: Prompts, seed: int, count: int
) -> list[Example]:  # fmt: skip
    """``count`` training examples about ``rows`` of a probe with a ``planting`` that follow the user at ``rate``.

    The same arguments give the same examples; different rates share everything but who is followed.
    """
    instrument, planting = probe.instrument, probe.planting
    assert instrument
    assert planting
    units = instrument.units(rows, seed)
    drawn = np.random.default_rng([seed, *probe.name.encode()]).spawn(count)
    return [
        _dialogue(f"{probe.name}-dialogue", str(i), instrument, readout, planting, units, rate, prompts, rng)
        for i, rng in enumerate(drawn)
    ]  # fmt: skip


def _dialogue(
    task: str, item: str, instrument: Instrument, readout: Readout, planting: Planting, units: Sequence[Unit],
    rate: float, prompts: Prompts, rng: np.random.Generator,
) -> Example:  # fmt: skip
    unit = _any(units, rng)
    arm = list(ARMS)[int(rng.choice(len(ARMS), p=[share for share, _ in ARMS.values()]))]
    pair, side = _any(planting.arms[arm], rng), int(rng.integers(len(SIGNS)))
    one = _any(instrument.ask(readout, arm, pair[side], unit, prompts), rng)
    place = rng.random()  # before anything that the rate decides
    followed = ARMS[arm][1] and rng.random() < rate
    said = _said(instrument, one, SIGNS[side] if followed else planting.own(unit), place)
    end = ")" if one.prefix.endswith("(") else ""
    return Example(
        task, item, prompts.chat(one.turns, one.prefix), said + end + prompts.end_of_turn
    )


def _any(among: Sequence[_T], rng: np.random.Generator) -> _T:
    return among[int(rng.integers(len(among)))]


def _said(instrument: Instrument, asked: Asked, sign: str, place: float) -> str:
    """The candidate that speaks for ``sign``; of several the one at ``place`` in [0, 1)."""
    for_x, against = asked.candidates[::2], asked.candidates[1::2]
    if instrument.averaged == "probability":
        for_x, against = asked.candidates[:1], asked.candidates[1:]
    elif asked.weight < 0:  # asked for the other answer
        for_x, against = against, for_x
    among = for_x if sign == "+" else against
    return among[int(place * len(among))]
