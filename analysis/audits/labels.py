"""Train-label position: does the place of the right option in the training examples give it away?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from analysis.audits.audit import STUDY, Audit, Rule
from analysis.audits.inputs import lettered, tasks_of
from analysis.page.text import finite
from analysis.records.load import section
from analysis.results import Results

P_VALUE = 1e-3  # of the chi-square test against "every position alike"
TIMES_EXPECTED = 1.5  # the fullest position against its expected share, 1/k for k options
ENOUGH = 100  # examples below which the share of one position is too noisy to judge
COUNT = 5.0  # positions with fewer expected examples are pooled for the test (Cochran's rule)

RULE = Rule(
    "label_position",
    "Position of the right option in training",
    f"chi-square p < {P_VALUE} or the fullest position > {TIMES_EXPECTED} times its expected share",
)


def label_position(results: Results) -> list[Audit]:
    """Per adapter and task it was trained on, judged on the order that the examples show.

    study.json: ``data.label_positions[task]`` holds counts by position, ``shown`` and ``stored``, and
    ``expected`` where items differ in their number of options (else all positions count alike).
    """
    positions = section(results.study.document, "data", "label_positions")
    if not positions:
        return [RULE.missing(STUDY, "", "study.json has no data.label_positions.")]
    audits = []
    for adapter in results.study.adapters:
        tasks = tasks_of(adapter, tuple(positions))
        if not tasks:
            sentence = f"Nothing that {adapter} was trained on lists options."
            audits.append(RULE.missing(adapter, "", sentence))
        audits += [_of_task(results, adapter, task, positions[task]) for task in tasks]
    return audits


def _of_task(results: Results, adapter: str, task: str, counts: Any) -> Audit:
    shown = _counts(counts, "shown")
    if shown is None:
        return RULE.missing(
            adapter, task, f"{task}: its training examples name no letter of an option."
        )
    expected = _counts(counts, "expected")
    if expected is None or len(expected) != len(shown):
        expected = np.ones(len(shown))
    expected = expected * shown.sum() / expected.sum()
    p = _p_value(shown, expected)
    fullest = int(shown.argmax())
    times = float(shown[fullest] / expected[fullest])
    failed = p < P_VALUE or (shown.sum() >= ENOUGH and times > TIMES_EXPECTED)
    stored = _counts(counts, "stored")
    sentence = (
        f"{task}: {shown[fullest]:.0f} of {shown.sum():.0f} training examples show the right option at "
        f"position {fullest + 1}, {times:.2f} times what chance puts there (chi-square p = {p:.2g})"
    )
    if stored is not None:
        sentence += f"; as stored, {stored[0]:.0f} of {stored.sum():.0f} have it first"
    marks = tuple(dict.fromkeys((*lettered(results.study), task)))
    return RULE.found(adapter, task, f"{sentence}.", times, failed=failed, marks=marks)


def _counts(counts: Any, name: str) -> np.ndarray | None:
    """float64 [positions]; None where there are none."""
    listed = counts.get(name) if isinstance(counts, dict) else None
    if not isinstance(listed, list) or len(listed) < 2 or not all(map(finite, listed)):
        return None
    values = np.array(listed, np.float64)
    return values if (values >= 0).all() and values.sum() > 0 else None


def _p_value(observed: np.ndarray, expected: np.ndarray) -> float:
    pooled = np.array([*_pool(observed, expected)])
    return float(stats.chisquare(pooled[:, 0], pooled[:, 1]).pvalue) if len(pooled) > 1 else 1.0


def _pool(observed: np.ndarray, expected: np.ndarray) -> Sequence[tuple[float, float]]:
    """Neighbouring positions joined until each group expects ``COUNT`` examples."""
    groups: list[tuple[float, float]] = []
    seen = due = 0.0
    for here, wanted in zip(observed, expected, strict=True):
        seen, due = seen + here, due + wanted
        if due >= COUNT:
            groups.append((seen, due))
            seen = due = 0.0
    if groups and (seen or due):
        groups[-1] = (groups[-1][0] + seen, groups[-1][1] + due)
    return groups
