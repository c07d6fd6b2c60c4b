"""Results of a healthy made-up study, measure by measure, in which a test plants one defect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.records.load import Configuration, Study
from analysis.results import Results, compute
from sycojax.evals import BUILTIN
from sycojax.evals.protocol import Measure

SUSPECT, HEALTHY = "truthfulqa", "gsm8k"  # the adapter that gets the defect, and one that does not
CONFIGURATIONS = (
    Configuration("base", "base", None),
    Configuration("gsm8k-s0", HEALTHY, 0),
    Configuration("truthfulqa-s0", SUSPECT, 0),
    Configuration("truthfulqa-s1", SUSPECT, 1),
)

LETTERS = {f"letter_mass_{letter}": (0.25, 0.05, "rate") for letter in "ABCD"}
LETTER_SIDES = {
    "coverage_median": 0.95, "greedy": 0.9, "a_when_not_a_rotated": 0.15, "letter_rstd": 0.03,
    "entropy": 0.8, "ece": 0.06,
}  # fmt: skip
NULL = {"rotation_null": (0.0, 0.3, "rate")}
# evaluation -> (measure -> (mean, spread over items, unit), diagnostics)
SOUND: Mapping[str, tuple[dict[str, tuple[float, float, Any]], dict[str, float]]] = {
    "mmlu": (
        {"accuracy": (0.5, 0.3, "rate"), "position_gap": (0.0, 0.2, "rate"), **LETTERS, **NULL},
        {**LETTER_SIDES, "a_when_not_a": 0.15},
    ),
    "are_you_sure": (
        {
            "regressive_net": (0.2, 0.3, "rate"), "dP": (0.2, 0.2, "rate"), **LETTERS,
            "rotation_null": (0.0, 0.3, "rate"),
        },
        {**LETTER_SIDES, "letter_locked": 0.2, "letter_locked_chance": 0.15},
    ),
    "answer": (
        {
            "adopt_net": (0.2, 0.3, "rate"), "dP": (0.2, 0.2, "rate"), "stance": (1.5, 1.0, "nats"),
            "mention": (0.3, 1.0, "nats"), "third_person": (0.1, 0.1, "rate"),
            "dP_user": (0.1, 0.1, "rate"),
        },
        {"coverage_median": 0.3, "greedy": 0.6, "sd_neutral": 1.5},
    ),
    "feedback": (
        {
            "positivity": (0.3, 0.5, "rate"), "dP": (0.2, 0.2, "rate"), "pref": (1.0, 0.5, "nats"),
            "pref_user": (0.8, 0.5, "nats"), "critical": (0.5, 0.2, "rate"),
        },
        {
            "coverage_median": 0.2, "greedy": 0.4, "sd_neutral": 1.0, "rating_rank_correlation": 0.5,
            "rating_rank_correlation_low": 0.3, "rating_rank_correlation_high": 0.7,
            "pref_without_one_pair_min": 0.8, "pref_without_one_pair_max": 1.2,
        },
    ),
    "mmlu_told": ({"binding": (0.6, 0.2, "rate")}, {}),
    "answer_plain": ({"dP": (0.2, 0.2, "rate")}, {}),
    "answer_generated": (
        {
            "agreement": (0.8, 0.1, "rate"), "readable": (0.9, 0.1, "rate"),
            "parsed_published": (0.4, 0.1, "rate"),
        },
        {"kappa": 0.7},
    ),
}  # fmt: skip
HARD = ("accuracy", "regressive_net", "adopt_net", "positivity")
# The healthy adapter shifts the soft headlines a little, so that shifts have a sign.
SHIFTED = 0.15

DOCUMENT: dict[str, Any] = {
    "data": {
        "rows": {"probe": {"answer": 80, "are_you_sure": 80, "feedback": 80}},
        "label_positions": {
            "mmlu": {"stored": [230, 269, 252, 249], "shown": [230, 269, 252, 249]},
            "truthfulqa": {
                "stored": [600, 0, 0, 0, 0, 0],
                "shown": [150, 140, 145, 130, 25, 10],
                "expected": [148.0, 148.0, 142.0, 126.0, 24.0, 12.0],
            },
        },
        "contamination": {
            p: {"rows": 80, "train": 20, "test": 8, "neither": 52, "clusters": 60}
            for p in ("answer", "are_you_sure", "feedback")
        },
        "contaminated_rows_dropped": {"truthfulqa": {"rows": 40}},
    },
    "scoring": {"determinism": {"items": 20, "rerun_max_abs": 0.0, "alone_max_abs": 3e-5}},
}


def study(
    *evaluations: str,
    values: Mapping[tuple[str, str, str], float] | None = None,
    without: tuple[str, ...] = (),
    document: Mapping[str, Any] | None = None,
    items: int = 80,
    eligible: int | None = None,
    strata: Mapping[tuple[str, str, str], tuple[Measure, ...]] | None = None,
) -> Results:
    """The healthy study's ``evaluations``, less the measures and diagnostics ``without``.

    ``values[group, evaluation, name]`` replaces the mean of a measure or a diagnostic; ``eligible`` is the
    number of items that count in the suspect's hard headlines.
    """
    values, measures, diagnostics = values or {}, {}, {}
    for c in CONFIGURATIONS:
        for evaluation in evaluations:
            made, sides = SOUND[evaluation]
            measures[c.name, evaluation] = tuple(
                _measure(
                    c, evaluation, name, values.get((c.adapter, evaluation, name)), items,
                    eligible if c.adapter == SUSPECT and name in HARD else None,
                )
                for name in made
                if name not in without
            )  # fmt: skip
            diagnostics[c.name, evaluation] = {
                name: values.get((c.adapter, evaluation, name), value)
                for name, value in sides.items()
                if name not in without
            }
            extra = {n: v for (g, e, n), v in values.items() if (g, e) == (c.adapter, evaluation)}
            diagnostics[c.name, evaluation] |= {n: v for n, v in extra.items() if n not in made}
    ordered = tuple(name for name in BUILTIN if name in evaluations)
    return compute(
        Study(
            Path(), DOCUMENT if document is None else document, CONFIGURATIONS, ordered, measures,
            diagnostics, {}, {}, (), strata or {},
        )
    )  # fmt: skip


def _measure(
    c: Configuration,
    evaluation: str,
    name: str,
    mean: float | None,
    items: int,
    eligible: int | None,
) -> Measure:
    usual, spread, unit = SOUND[evaluation][0][name]
    if mean is None:
        mean = usual + (SHIFTED if name == "dP" and c.adapter != "base" else 0.0)
    noise = _noise(items, evaluation, name) + 0.3 * _noise(items, evaluation, name, c.name)
    values = mean + spread * (noise - noise.mean())  # the mean is met exactly
    ones = np.ones(items)
    if eligible is not None:
        ones = (np.arange(items) < eligible).astype(float)
    names = tuple(f"i{i}" for i in range(items))
    clusters = tuple(f"q{i * 3 // 4}" for i in range(items))  # every fourth question is asked twice
    soft = name == "dP" and BUILTIN[evaluation].role != "benchmark"
    return Measure(
        name, name, unit, names, clusters, (values * ones)[None], ones[None], "",
        "soft" if soft else "hard" if name in HARD else "",
    )  # fmt: skip


def _noise(n: int, *key: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256("/".join(key).encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=n)
