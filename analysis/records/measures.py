"""Measures restricted to some of their items."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sycojax.evals.protocol import Measure


def common_items(measures: Sequence[Measure]) -> list[Measure]:
    """The measures restricted to the items that all of them have, in the first one's order."""
    if all(m.items == measures[0].items for m in measures):
        return list(measures)
    shared = set(measures[0].items).intersection(*(m.items for m in measures))
    order = [item for item in measures[0].items if item in shared]
    return [take(measure, order) for measure in measures]


def take(measure: Measure, items: Sequence[str]) -> Measure:
    """The measure of these items only, in this order."""
    place = {item: i for i, item in enumerate(measure.items)}
    order = [place[item] for item in items]
    return dataclasses.replace(
        measure,
        items=tuple(items),
        clusters=tuple(measure.clusters[i] for i in order),
        numerator=measure.numerator[:, order],
        denominator=measure.denominator[:, order],
    )
