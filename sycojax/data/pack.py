"""Several examples in one row of fixed length, so that no compute goes to padding.

Attention stays inside an example (``segment_ids``) and its positions start at 0, so an example's loss does
not depend on what it is packed with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from sycojax.data.encode import EncodedExample
from sycojax.errors import SycojaxError


@dataclasses.dataclass(frozen=True, eq=False)
class PackedRows:
    """R rows of T tokens. Padding has segment 0 and is zero everywhere."""

    token_ids: np.ndarray  # int32 [R, T]
    target_ids: np.ndarray  # int32 [R, T], the token after each one inside its example
    positions: np.ndarray  # int32 [R, T], from 0 in every segment
    segment_ids: np.ndarray  # int32 [R, T], 1, 2, ... along a row
    loss_weights: np.ndarray  # float32 [R, T], aligned to target_ids


def assign_rows(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Which examples share a row; indices in the given order within a row.

    Every row takes the longest example that is left, and of the others those that leave the least of it empty ("minimum bin
    slack", Gupta and Ho 1999, doi:10.1080/095372899233244), so that what is empty is at the end of the last row.
    Deterministic: of equal lengths the first is taken. Raises ``SycojaxError`` when one is longer than a row.
    """
    left = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    if left and lengths[left[0]] > row_length:
        raise SycojaxError(
            f"an example of {lengths[left[0]]} tokens does not fit a row of {row_length}: raise "
            "train.row_length or lower data.max_length"
        )
    rows = []
    while left:
        others = _fullest([lengths[i] for i in left[1:]], row_length - lengths[left[0]])
        row = {left[0], *(left[1 + n] for n in others)}
        rows.append(sorted(row))
        left = [i for i in left if i not in row]
    return rows


def _fullest(lengths: Sequence[int], room: int) -> list[int]:
    """The indices whose lengths together come closest to ``room`` from below, by dynamic programming."""
    # Bit n of sums[i] says whether some of the first i lengths add up to n.
    sums = [1]
    for length in lengths:
        sums.append((sums[-1] | sums[-1] << length) & ((2 << room) - 1))
    total, chosen = sums[-1].bit_length() - 1, []
    for i in reversed(range(len(lengths))):
        if not sums[i] >> total & 1:  # not without this one
            chosen.append(i)
            total -= lengths[i]
    return chosen


def rows_needed(lengths: Sequence[int], row_length: int) -> int:
    """How many rows ``pack`` uses for examples of these lengths (tokens)."""
    return len(assign_rows(lengths, row_length))


def pack(
    examples: Sequence[EncodedExample], weights: Sequence[np.ndarray], row_length: int
) -> PackedRows:
    """Pack examples with their target weights (``encode.loss_weights``) into rows of ``row_length`` tokens.

    There are as many rows as needed. Raises ``SycojaxError`` when an example does not fit.
    """
    assigned = assign_rows([len(example.token_ids) for example in examples], row_length)
    shape = (len(assigned), row_length)
    packed = PackedRows(
        *(np.zeros(shape, np.int32) for _ in range(4)), loss_weights=np.zeros(shape, np.float32)
    )
    for row, members in enumerate(assigned):
        start = 0
        for segment, index in enumerate(members, 1):
            example = examples[index]
            place = row, slice(start, start + len(example.token_ids))
            packed.token_ids[place] = example.token_ids
            packed.target_ids[place] = example.target_ids
            packed.positions[place] = np.arange(len(example.token_ids))
            packed.segment_ids[place] = segment
            packed.loss_weights[place] = weights[index]
            start += len(example.token_ids)
    return packed
