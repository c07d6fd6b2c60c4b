"""Rows of a made-up world as files, in as few of them as a test needs."""

from __future__ import annotations

from pathlib import Path

from pretraining.records import files, scaled
from sycojax.data.toy.world import World
from sycojax.files import atomic_write


def write_world(directory: Path, seed: int, scale: float = 1.0) -> None:
    """Write the world of ``seed`` as ``data.source=files`` reads it; ``scale``: the share of its usual rows."""
    for name, content in files(World(seed), scaled(scale)).items():
        atomic_write(directory / name, content)
