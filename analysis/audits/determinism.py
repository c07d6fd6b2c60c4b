"""The instrument against itself: the same requests scored again, and the base compared with the base."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import subjects
from analysis.page.text import finite, interval, number, p_value
from analysis.records.load import BASE, section
from analysis.results import Results
from analysis.statistics import ALPHA, Estimate, holm, resample, swap_test
from sycojax.evals.protocol import Measure

LARGEST = 1e-2  # nats
NULL = "rotation_null"  # even minus odd rotations of the same model: expected 0

DETERMINISM = Rule(
    "determinism", "Determinism", f"a log-probability changes by more than {LARGEST} nats"
)
BASE_NULL = Rule(
    "base_null", "Base against base", f"two halves of its rotations differ, Holm's p < {ALPHA}"
)


def determinism(results: Results) -> list[Audit]:
    """For the whole study, from study.json ``scoring.determinism``."""
    found = section(results.study.document, "scoring", "determinism")
    again, alone = found.get("rerun_max_abs"), found.get("alone_max_abs")
    if not (isinstance(again, int | float) and isinstance(alone, int | float)):
        sentence = "study.json has no scoring.determinism: nothing was scored twice."
        return [DETERMINISM.missing(STUDY, "", sentence)]
    worst = max(float(v) if finite(v) else math.inf for v in (again, alone))
    sentence = (
        f"Scored again, {found.get('items', 'some')} requests change by at most {again:.2g} nats; "
        f"scored alone instead of in a full batch, by at most {alone:.2g}."
    )
    marks = subjects(results.study)
    return [DETERMINISM.found(STUDY, "", sentence, worst, failed=worst > LARGEST, marks=marks)]


def base_null(results: Results) -> list[Audit]:
    """The base's even rotations as an "adapter" of its odd ones; sign flips by question, corrected by Holm."""
    measures = {
        name: measure
        for name in subjects(results.study)
        if (measure := results.study.measure(BASE, name, NULL))
    }
    if not measures:
        sentence = f"No evaluation of the base has the measure {NULL}."
        return [BASE_NULL.missing(BASE, "", sentence)]
    p = holm([_p_value(m) for m in measures.values()])
    audits = []
    for (name, measure), adjusted in zip(measures.items(), p, strict=True):
        level: Estimate = results.of(BASE, name, NULL).level
        if not math.isfinite(adjusted):
            audits.append(BASE_NULL.missing(BASE, name, f"{name} has no item with two rotations."))
            continue
        sentence = (
            f"{name}: even minus odd rotations {number(level.value, measure.unit, True)} points "
            f"{interval(level, measure.unit, True)}, Holm's p = {p_value(adjusted)}."
        )
        failed = adjusted < ALPHA
        audits.append(
            BASE_NULL.found(BASE, name, sentence, level.value, level.low, level.high, failed)
        )
    return audits


def _p_value(measure: Measure) -> float:
    nothing = dataclasses.replace(measure, numerator=np.zeros_like(measure.numerator))
    return swap_test([resample(measure)], resample(nothing))
