"""A probe's arms under a readout that was not taken, on some of its items: what another way of asking would have said."""

from __future__ import annotations

from collections.abc import Sequence

from sycojax.evals.protocol import Evaluation, Form, Measure, Role
from sycojax.evals.readouts import Readout
from sycojax.records import Record


class InReadout(Form):
    """A probe under ``readout``, by the name ``PROBE_READOUT``; a study says which items are asked (``study/readouts.py``)."""

    role: Role = "readout"

    def __init__(self, probe: Evaluation, readout: Readout):
        super().__init__(probe, readout)
        self.contrasts = probe.contrasts

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        return []  # but those of its arms, which ``evals.measured`` adds


def in_readouts(probe: Evaluation) -> tuple[Form, ...]:
    """The probe in each readout of its instrument."""
    return tuple(
        InReadout(probe, r) for r in (probe.instrument.readouts if probe.instrument else ())
    )
