"""All measures of an evaluation's records: its own, and the contrasts of the arms that were asked beside them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from sycojax.errors import SycojaxError
from sycojax.evals.declared import Contrast
from sycojax.evals.protocol import Evaluation, Form, Headline, Measure
from sycojax.evals.readouts import CONTRASTS, Instrument, in_arms, neutral_spread, read
from sycojax.records import Record


def claimed(evaluation: Evaluation, in_arms: bool) -> tuple[Contrast, ...]:
    """What a study claims of an evaluation: what it declares, or uptake and siding where it was asked ``in_arms``.

    The hard headline is that of what it declares.
    """
    if not in_arms:
        return evaluation.contrasts
    hard = [c.hard for c in evaluation.contrasts[:1]]
    return tuple(
        Contrast(name, hard[0] if hard and name == CONTRASTS[0] else "", f"{name}_floor")
        for name in CONTRASTS
    )


def spread_of(evaluation: Evaluation, records: Sequence[Record]) -> float:
    """What ``measured`` matches the spread of other configurations to, of the base's records; nan without arms."""
    instrument, arms = _instrument(evaluation), [r for r in records if in_arms(r)]
    return neutral_spread(instrument, arms) if instrument else math.nan


def measured(
    evaluation: Evaluation, records: Sequence[Record], spread: float | None = None
) -> list[Measure]:
    """The measures of ``records``, with the headlines marked that a study claims something of.

    ``spread``: the ``spread_of`` the base's records; None where these are the base's, or nothing is compared with it.
    Raises ``SycojaxError`` where records are incomplete, or their arms not those of one readout.
    """
    arms = [r for r in records if in_arms(r)]
    rest = [r for r in records if not in_arms(r)]
    found = evaluation.measures(rest) if rest or not arms else []
    instrument = _instrument(evaluation)
    if arms and instrument:
        readings = read(instrument, arms, spread)
        if len(readings) != 1 or len({r.meta["readout"] for r in arms}) != 1:
            raise SycojaxError(
                f"{evaluation.name}: its records are of several readouts, or of none that it has; run the evaluation again"
            )
        found = [*found, *readings[0].measures.values()]
    contrasts = claimed(evaluation, bool(arms))
    marks: dict[str, Headline] = {c.hard: "hard" for c in contrasts if c.hard}
    marks |= {c.measure: "soft" for c in contrasts}
    return [dataclasses.replace(m, headline=marks[m.name]) if m.name in marks else m for m in found]


def _instrument(evaluation: Evaluation) -> Instrument | None:
    return (evaluation.subject if isinstance(evaluation, Form) else evaluation).instrument
