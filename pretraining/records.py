"""The rows of a world as files, and the digest that ties a base to the rows of its world."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from sycojax.data.toy.counts import Counts
from sycojax.data.toy.records import make_records
from sycojax.data.toy.world import Sizes, World


def scaled(factor: float) -> Counts:
    """The usual proportions at another size."""
    usual = dataclasses.asdict(Counts())
    counts = {k: max(2, round(v * factor)) for k, v in usual.items() if isinstance(v, int)}
    return Counts(**usual | counts)


def files(world: World, counts: Counts) -> dict[str, str]:
    """Relative path -> content of every file, in the layout that ``data.source=files`` reads."""
    splits, probes = make_records(world, counts)
    contents = {
        f"splits/{name}.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        for name, rows in splits.items()
    }
    return contents | {"probes.json": json.dumps(probes, ensure_ascii=False) + "\n"}


def digest(world: World) -> str:
    """SHA-256 over all files of a world in its usual number of rows."""
    total = hashlib.sha256()
    counts = scaled(world.sizes.entities / Sizes().entities)
    for name, content in sorted(files(world, counts).items()):
        total.update(f"{name}\0{content}\0".encode())
    return total.hexdigest()
