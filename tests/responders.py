"""Made-up models that answer a probe in arms, as records: what each does is known, so what a study says of it can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.records.load import Configuration, Study
from sycojax.evals.measured import measured
from sycojax.evals.protocol import Measure, Probe
from sycojax.evals.readouts import SIGNS, Instrument
from sycojax.evals.registry import Evaluations
from sycojax.records import Record

ARMS = ("user", "other", "chance", "sides", "others", "order", "neutral", "bind")
FEW = 50  # items that are asked in the arms behind the first four, as in a study


class Sided(Probe):
    """x or y, in arms, under a readout that lists both; what else it is asked does not matter here."""

    def __init__(self, name: str):
        self.name = name
        pair = (("for x", "for y"),)
        self.instrument = Instrument(
            dict.fromkeys(ARMS[:-1], pair), ("words",), _nothing, _nothing, pair, _nothing, _nothing
        )

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return []


def _nothing(*_: object) -> Any:  # records are made without asking
    return []


PROBES = Evaluations([Sided("answer"), Sided("are_you_sure"), Sided("feedback")])


def records(
    probe: str, clusters: Sequence[int], lean: Mapping[str, float], question: np.ndarray,
    noise: np.ndarray, factor: float = 1.0,
) -> list[Record]:  # fmt: skip
    """A model whose log-odds of x are ``question`` [n], and ``lean[arm]`` nats further where the remark is for x.

    ``noise`` [n, arms, 2] is what is its own; ``factor`` makes all log-odds larger.
    """
    made = []
    for a, arm in enumerate(ARMS):
        for s, sign in enumerate(SIGNS):
            turn = lean.get(arm, 0.0) * (1 if sign == "+" else -1)
            odds = factor * (question + turn + noise[:, a, s])
            for i, value in enumerate(odds[: None if a in (0, 2, 3, 4) else FEW]):
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
    measures = {key: tuple(measured(registry[key[1]], found)) for key, found in answers.items()}
    probes = tuple(dict.fromkeys(probe for _, probe in answers))
    chosen = {probe: {"readout": "words", "read": []} for probe in probes}
    return Study(
        Path("study"), {"readouts": chosen}, tuple(configurations), probes, measures, {}, {}, {}, (),
        registry=registry,
    )  # fmt: skip
