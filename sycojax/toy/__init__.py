"""The embedded default: a small made-up world and the tiny Llama that was pretrained on it.

It exists so that the whole study runs in minutes on a laptop and so that every instrument can be
checked against a planted truth. Benchmark levels, adapter gains and sycophancy rates are dials of
``World`` and ``corpus``, not findings: nothing here is evidence about real language models.
"""

from __future__ import annotations

from pathlib import Path

from sycojax.files import read_json
from sycojax.toy import records
from sycojax.toy.records import VERSION

__all__ = ["VERSION", "base_directory", "world_seed", "write_world"]


def base_directory() -> Path:
    """The shipped base model in Hugging Face layout."""
    return Path(__file__).parent / "base"


def world_seed() -> int:
    """The seed of the world that the shipped base knows."""
    return int(read_json(base_directory() / "metrics.json")["settings"]["seed"])


def write_world(directory: Path, seed: int = 0) -> None:
    """Write the records of a world (``splits/``, ``probes.json``, ``manifest.json``).

    Seed 0 stands for the shipped base's own world. The base knows nothing about any other.
    """
    records.write_world(directory, seed or world_seed())
