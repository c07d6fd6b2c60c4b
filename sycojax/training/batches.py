"""Which examples each optimiser step sees, and their packed rows. Host side, NumPy only.

A step's examples depend on the seed and the step number alone: never on the packing, the bank or what
ran before. So the data position of a run is its step number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.sharding import AbstractMesh, Mesh

from sycojax.config import TrainConfig
from sycojax.data.encode import EncodedExample, loss_weights
from sycojax.data.pack import assign_rows, pack
from sycojax.models.row_attention import BLOCK
from sycojax.parallel.mesh import on_cpu
from sycojax.training.loss import Rows


class HostBatch(NamedTuple):
    """Rows [M, B, T]; ``filled`` int32 [M] is how many tokens the fullest row of each micro-batch holds; ``tokens`` are real ones.

    Empty micro-batches stand last.
    """

    rows: Rows
    filled: np.ndarray
    tokens: int


def total_steps(examples: int, config: TrainConfig) -> int:
    """Optimiser steps of a run over ``examples`` examples; the last step may be smaller."""
    return math.ceil(_total_examples(examples, config) / config.examples_per_step)


def step_indices(examples: int, step: int, seed: int, config: TrainConfig) -> list[int]:
    """Which examples step ``step`` (from 0) trains on: a window on the concatenated epochs' shuffles."""
    start = step * config.examples_per_step
    end = min(start + config.examples_per_step, _total_examples(examples, config))
    return [
        int(_permutation(examples, seed, i // examples)[i % examples]) for i in range(start, end)
    ]


def pack_step(examples: Sequence[EncodedExample], config: TrainConfig) -> HostBatch:
    """Rows of one optimiser step. The shape depends on the config alone: an example needs at most one row."""
    return pack_rows(examples, config, config.examples_per_step)


def pack_rows(examples: Sequence[EncodedExample], config: TrainConfig, rows: int = 0) -> HostBatch:
    """Pack ``examples`` into whole micro-batches, at least ``rows`` rows in all (the rest is padding)."""
    weights = loss_weights(examples, config.loss_average, config.micro_examples)
    packed = pack(examples, weights, config.row_length)
    size = config.micro_batch_rows
    count = math.ceil(packed.token_ids.shape[0] / size)
    total = max(count, math.ceil(rows / size)) * size

    def shaped(array: np.ndarray) -> np.ndarray:
        padded = np.zeros((total, config.row_length), array.dtype)
        padded[: array.shape[0]] = array
        return padded.reshape(total // size, size, config.row_length)

    filled = np.count_nonzero(shaped(packed.segment_ids), axis=-1)
    return HostBatch(
        Rows(*(shaped(getattr(packed, name)) for name in Rows._fields)),
        filled.max(axis=-1, initial=0).astype(np.int32),
        int(filled.sum()),
    )


def example_losses(
    places: np.ndarray, examples: Sequence[EncodedExample], config: TrainConfig
) -> np.ndarray:
    """Each example's mean loss over its own targets, float64 [n], from those at the places of its rows.

    ``places`` float32 [M, B, T] belong to the rows of ``pack_rows(examples, config, ...)``.
    """
    rows = places.reshape(-1, config.row_length)
    found = np.zeros(len(examples))
    lengths = [len(example.token_ids) for example in examples]
    for row, members in zip(rows, assign_rows(lengths, config.row_length), strict=False):
        start = 0
        for index in members:
            own = row[start : start + lengths[index]]
            found[index] = own[examples[index].loss_mask].mean(dtype=np.float64)
            start += lengths[index]
    return found


def pass_lengths(row_length: int, mesh: Mesh | AbstractMesh | None) -> tuple[int, ...]:
    """What a pass over rows of ``row_length`` may be cut to, the whole length last.

    On a CPU quarters of it, in whole blocks of attention, so that little is computed for the last row of a step, which is seldom
    full. Each is a program of its own to compile, which takes accelerators minutes: there, all passes are whole.
    """
    if not on_cpu(mesh):
        return (row_length,)
    quarter = math.ceil(row_length / 4 / BLOCK) * BLOCK
    return (*range(quarter, row_length, quarter), row_length)


def computed_places(filled: np.ndarray, lengths: Sequence[int]) -> int:
    """Places of a row that are computed in all passes together, each of the shortest of ``lengths`` that holds it."""
    return sum(next(n for n in lengths if n >= size) for size in filled.ravel().tolist() if size)


def stack(batches: Sequence[HostBatch]) -> tuple[Rows, np.ndarray]:
    """One batch per adapter -> rows [A, M, B, T] and ``filled`` int32 [A, M].

    A shorter batch is padded with empty micro-batches.
    """
    length = max(batch.rows.token_ids.shape[0] for batch in batches)

    def stacked(name: str) -> np.ndarray:
        arrays = [getattr(batch.rows, name) for batch in batches]
        return np.stack([np.pad(x, [(0, length - len(x)), (0, 0), (0, 0)]) for x in arrays])

    filled = [np.pad(batch.filled, (0, length - len(batch.filled))) for batch in batches]
    return Rows(*(stacked(name) for name in Rows._fields)), np.stack(filled)


def empty(config: TrainConfig) -> HostBatch:
    """The batch of an adapter that has nothing left to do: no row counts."""
    return pack_step([], config)


def _total_examples(examples: int, config: TrainConfig) -> int:
    return max(round(config.epochs * examples), 1)


@functools.lru_cache(maxsize=256)
def _permutation(examples: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(examples)
