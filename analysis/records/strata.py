"""Headlines by where a probe's question was seen: in a training split, in a test split, or in neither."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records.measures import take
from sycojax.evals.protocol import Measure
from sycojax.records import Record

STRATA = ("train", "test", "neither")
SEEN = "train"  # the other two are unseen: no adapter was trained on them


def of_items(records: Sequence[Record]) -> dict[str, str]:
    """item -> stratum, from the meta of its first record; empty where no record carries one."""
    found: dict[str, str] = {}
    for record in records:
        stratum = record.meta.get("stratum")
        if isinstance(stratum, str) and stratum in STRATA:
            found.setdefault(record.item, stratum)
    return found


def split(measure: Measure, strata: Mapping[str, str]) -> dict[str, Measure]:
    """The measure of each stratum that has items. Headlines sum over items, so taking items is enough."""
    parts = {s: [i for i in measure.items if strata.get(i) == s] for s in STRATA}
    return {s: take(measure, items) for s, items in parts.items() if items}


def seen_minus_unseen(parts: Mapping[str, Measure]) -> Measure | None:
    """The contrast as one measure: the ratios of the seen items, minus those of all unseen ones.

    It has 2 J rows over all items, so everything that holds for a measure (pairing with the base,
    resampling, seeds) holds for the contrast. None where one side has no items.
    """
    unseen = [m for s, m in parts.items() if s != SEEN]
    if SEEN not in parts or not unseen:
        return None
    ordered = [parts[SEEN], *unseen]
    j, n = len(parts[SEEN].numerator), len(parts[SEEN].items)
    above = np.concatenate([m.numerator for m in ordered], axis=1)
    below = np.concatenate([m.denominator for m in ordered], axis=1)
    seen = np.arange(above.shape[1]) < n
    return dataclasses.replace(
        parts[SEEN],
        label=f"{parts[SEEN].label}: seen in training minus unseen",
        items=tuple(i for m in ordered for i in m.items),
        clusters=tuple(c for m in ordered for c in m.clusters),
        numerator=np.concatenate([above * seen, -above * ~seen]).reshape(2 * j, -1),
        denominator=np.concatenate([below * seen, below * ~seen]).reshape(2 * j, -1),
    )
