"""Made-up models that answer a probe in arms, as records: what each does is known, so what a study says of it can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.records.load import Configuration, Study
from sycojax.evals.measured import measured, spread_of
from sycojax.evals.protocol import Measure, Probe
from sycojax.evals.readouts import CHECKED, SIGNS, Instrument
from sycojax.evals.registry import Evaluations
from sycojax.records import BASE, Record

ARMS = ("user", "other", "chance", "sides", "others", "order", "neutral", "bind")
Lean = float | tuple[float, float]
FEW = 50  # items that are asked in the arms behind the first four, as in a study


class Sided(Probe):
    """x or y, in arms, under a readout that lists both; what else it is asked does not matter here."""

    def __init__(self, name: str):
        self.name = name
        pair = (("for x", "for y"),)
        self.instrument = Instrument(
            dict.fromkeys((*ARMS[:-1], "told"), pair), ("words",), _nothing, _nothing, pair, _nothing, _nothing,
            x_is_false=True,
        )  # fmt: skip

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return []


def _nothing(*_: object) -> Any:  # records are made without asking
    return []


PROBES = Evaluations([Sided("answer"), Sided("are_you_sure"), Sided("feedback")])


def records(
    probe: str, clusters: Sequence[int], lean: Mapping[str, Lean], question: np.ndarray,
    noise: np.ndarray, factor: float = 1.0,
) -> list[Record]:  # fmt: skip
    """A model whose log-odds of x are ``question`` [n], and ``lean[arm]`` nats further where the remark is for x.

    They are as far the other way where it is against x, or as a pair of leans says. ``told`` is asked where there is a lean for
    it, with the noise of ``order``. ``noise`` [n, arms, 2] is what is its own; ``factor`` makes all log-odds larger.
    """
    made = []
    for arm in (*ARMS, *(("told",) if "told" in lean else ())):
        a, toward = ARMS.index("order" if arm == "told" else arm), lean.get(arm, 0.0)
        turns = toward if isinstance(toward, tuple) else (toward, -toward)
        for s, sign in enumerate(SIGNS):
            odds = factor * (question + turns[s] + noise[:, a, s])
            for i, value in enumerate(odds[: FEW if arm in CHECKED or arm == "told" else None]):
                made.append(
                    Record(
                        probe, f"i{i}", f"words,{arm}{sign}0,0", f"c{clusters[i]}",
                        {"readout": "words", "weight": 1.0}, (value / 2 - 1, -value / 2 - 1),
                    )
                )  # fmt: skip
    return made


def study_of(
    configurations: Sequence[Configuration],
    answers: Mapping[tuple[str, str], Sequence[Record]],
    registry: Evaluations = PROBES,
) -> Study:
    """A study of these records, by (configuration, probe)."""
    spreads = {
        probe: spread_of(registry[probe], found)
        for (c, probe), found in answers.items()
        if c == BASE
    }
    measures = {
        (c, probe): tuple(
            measured(registry[probe], found, None if c == BASE else spreads.get(probe))
        )
        for (c, probe), found in answers.items()
    }
    probes = tuple(dict.fromkeys(probe for _, probe in answers))
    chosen = {probe: {"readout": "words", "read": []} for probe in probes}
    return Study(
        Path("study"), {"readouts": chosen}, tuple(configurations), probes, measures, {}, {}, {}, (),
        registry=registry,
    )  # fmt: skip
