"""Rows of the embedded world, made in memory when they are asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from sycojax.data.data_sets import DataSet, Split
from sycojax.data.toy import WORLD_SEED
from sycojax.data.toy.counts import Counts
from sycojax.data.toy.records import make_records
from sycojax.data.toy.world import World
from sycojax.errors import SycojaxError


def read_toy(
    world_seed: int, data_set: DataSet, split: Split
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(origin, raw record) pairs of the world of a seed; 0 stands for the world that the shipped base knows.

    Raises ``SycojaxError`` where the world has no rows of this kind.
    """
    key = data_set.name if split == "probe" else f"{data_set.name}_{split}"
    records = _records(world_seed or WORLD_SEED)
    if key not in records:
        raise SycojaxError(
            f"there are no rows of {data_set.name}: give it rows of its own (docs/extending.md)"
        )
    for index, record in enumerate(records[key]):
        yield f"toy:{key}[{index}]", record


@functools.cache
def _records(world_seed: int) -> Mapping[str, list[dict[str, Any]]]:
    splits, probes = make_records(World(world_seed), Counts())
    return splits | probes
