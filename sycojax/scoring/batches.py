"""Segments packed into rows of a few lengths, rows into batches of one shape per length. NumPy only."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from sycojax.scoring.tree import SLOT_TOKENS, Completion, Segment, segments, unique_tokens

# Rows longer than the largest bucket are rounded up to this.
ROUND = 128
# A row length without a compiled program yet is worth one when it saves the work of so many batches.
WORTH_COMPILING = 4
# Positions whose logits exist at the same time.
CHUNK = 256


class BatchArrays(NamedTuple):
    """One batch of B rows of T tokens with room for P >= B * T slots of K tokens."""

    token_ids: np.ndarray  # int32 [B, T]
    positions: np.ndarray  # int32 [B, T]
    segment_ids: np.ndarray  # int32 [B, T], 0 = padding
    branch_ids: np.ndarray  # int32 [B, T]
    read_at: np.ndarray  # int32 [P], row * T + index of the position whose logits are read
    read_tokens: np.ndarray  # int32 [P, K]
    chunks: np.ndarray  # int32 scalar: how many chunks of slots are in use


@dataclasses.dataclass(frozen=True)
class Batch:
    """What the device needs, and how to find each completion's tokens in what it returns."""

    arrays: BatchArrays
    numbers: np.ndarray  # int [n]: which completions it holds, each of them whole
    owner: np.ndarray  # int [tokens]: index into ``numbers`` of every scored token
    read: np.ndarray  # int [tokens]: its index into the flattened [P, K] results

    def collect(self, logprobs: np.ndarray, argmax: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per completion: summed log-prob (float64 [n]) and whether every token is the argmax (bool [n]).

        ``logprobs`` float32 [P, K] and ``argmax`` int32 [P] are one adapter's results.
        """
        values = logprobs.reshape(-1)[self.read].astype(np.float64)
        tokens = self.arrays.read_tokens.reshape(-1)[self.read]
        missed = argmax[self.read // SLOT_TOKENS] != tokens
        n = len(self.numbers)
        return (
            np.bincount(self.owner, weights=values, minlength=n),
            np.bincount(self.owner, weights=missed, minlength=n) == 0,
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """All batches of one scoring call, with the tokens it takes (one configuration)."""

    batches: list[Batch]
    real_tokens: int  # in segments, shared prefixes counted once
    padded_tokens: int  # what the device computes
    unique_tokens: int  # lower bound, see ``tree.unique_tokens``


@dataclasses.dataclass(frozen=True)
class Buckets:
    """Row lengths and what they imply. A batch's shape depends on its row length and nothing else."""

    lengths: tuple[int, ...]
    batch_tokens: int
    devices: int = 1  # that share the rows of a batch
    attention_cost: float = (
        0.0  # of one more token of row length, as a share of a token's other cost
    )

    def rows(self, length: int) -> int:
        """Rows of a batch: ``batch_tokens`` in all, a multiple of ``devices``."""
        rows = max(self.batch_tokens // length, 1)
        return -(-rows // self.devices) * self.devices

    def chunk(self, length: int) -> int:
        """Slots whose logits are computed together; a multiple of ``devices``."""
        return min(-(-CHUNK // self.devices) * self.devices, self.rows(length) * length)

    def capacity(self, length: int) -> int:
        """Slots of a batch (P)."""
        chunk = self.chunk(length)
        return -(-self.rows(length) * length // chunk) * chunk

    def fitting(self, size: int) -> int:
        """The smallest row length that holds ``size``."""
        at = bisect.bisect_left(self.lengths, size)
        return self.lengths[at] if at < len(self.lengths) else -(-size // ROUND) * ROUND

    def cost(self, length: int, count: int) -> float:
        """Work of ``count`` batches of this row length, in tokens."""
        return count * self.rows(length) * length * (1 + self.attention_cost * length)


Rows = list[list[int]]  # which segments, by number, stand in each row


def plan(completions: Sequence[Completion], buckets: Buckets, compiled: Collection[int]) -> Plan:
    """Arrange distinct completions in batches; ``compiled`` row lengths are free, others have a price."""
    if not completions:
        return Plan([], 0, 0, 0)
    trees = segments(completions, buckets.attention_cost)
    batches = [
        _batch(
            [[trees[n] for n in row] for row in rows[i : i + buckets.rows(length)]], length, buckets
        )
        for length, rows in _choose([tree.size for tree in trees], buckets, compiled).items()
        for i in range(0, len(rows), buckets.rows(length))
    ]
    return Plan(
        batches,
        real_tokens=sum(len(tree.token_ids) for tree in trees),
        padded_tokens=sum(batch.arrays.token_ids.size for batch in batches),
        unique_tokens=unique_tokens(completions),
    )


def _choose(sizes: Sequence[int], buckets: Buckets, compiled: Collection[int]) -> dict[int, Rows]:
    """Add row lengths to the compiled ones for as long as the work saved exceeds the price of a program."""

    def work(lengths: Collection[int]) -> tuple[float, dict[int, Rows]]:
        arranged = arrange(sizes, sorted(lengths), buckets)
        cost = sum(
            buckets.cost(length, -(-len(rows) // buckets.rows(length)))
            for length, rows in arranged.items()
        )
        new = len(arranged.keys() - set(compiled))
        return cost + new * WORTH_COMPILING * buckets.batch_tokens, arranged

    longest = max(sizes)
    chosen = set(compiled)
    best = work(chosen) if max(chosen, default=0) >= longest else None
    while True:
        # Until one holds the longest segment, only lengths that do are candidates.
        options = {*buckets.lengths, buckets.fitting(longest)} - chosen
        if best is None:
            options = {length for length in options if length >= longest}
        tried = [(*work({*chosen, length}), length) for length in sorted(options)]
        cost, arranged, length = min(tried, key=lambda t: t[0], default=(np.inf, {}, 0))
        if best is not None and cost >= best[0]:
            return best[1]
        best = (cost, arranged)
        chosen.add(length)


def arrange(sizes: Sequence[int], lengths: Sequence[int], buckets: Buckets) -> dict[int, Rows]:
    """Pack segments of these sizes into rows of these (increasing) lengths.

    A segment goes to rows of twice to four times its size if there are any, so that rows fill up, else to
    the shortest that hold it. What does not fill a whole batch moves on to the next longer rows: only the longest leave a batch part empty.
    """
    assigned: dict[int, list[int]] = {}
    for number, size in enumerate(sizes):
        at = bisect.bisect_left(lengths, 2 * size)
        if at == len(lengths) or lengths[at] > 4 * size:
            at = bisect.bisect_left(lengths, size)
        assigned.setdefault(lengths[at], []).append(number)
    arranged, carried = {}, []
    for length in sorted(assigned):
        rows = pack_rows(assigned[length] + carried, sizes, length)
        count = buckets.rows(length)
        whole = len(rows) if length == max(assigned) else len(rows) // count * count
        carried = [number for row in rows[whole:] for number in row]
        if whole:
            arranged[length] = rows[:whole]
    return arranged


def pack_rows(numbers: Sequence[int], sizes: Sequence[int], length: int) -> Rows:
    """Best-fit decreasing: each segment goes to the fullest row that still holds it. Fullest rows first."""
    rows: Rows = []
    room: list[tuple[int, int]] = []  # (places left, row), sorted
    for number in sorted(numbers, key=lambda number: -sizes[number]):
        size = sizes[number]
        at = bisect.bisect_left(room, (size, -1))
        if at < len(room):
            left, row = room.pop(at)
        else:
            left, row = length, len(rows)
            rows.append([])
        rows[row].append(number)
        bisect.insort(room, (left - size, row))
    return [rows[row] for _, row in room]


def _batch(rows: Sequence[Sequence[Segment]], length: int, buckets: Buckets) -> Batch:
    count, capacity, chunk = buckets.rows(length), buckets.capacity(length), buckets.chunk(length)
    token_ids, positions, segment_ids, branch_ids = np.zeros((4, count, length), np.int32)
    read_at = np.zeros(capacity, np.int32)
    read_tokens = np.zeros((capacity, SLOT_TOKENS), np.int32)
    completion, read = [], []
    used = 0
    for r, row in enumerate(rows):
        begin = 0
        for number, tree in enumerate(row, 1):
            span = slice(begin, begin + len(tree.token_ids))
            token_ids[r, span], positions[r, span] = tree.token_ids, tree.positions
            segment_ids[r, span], branch_ids[r, span] = number, tree.branch_ids
            for entry in tree.entries:
                completion.append(entry.completion)
                read.append((used + entry.slot) * SLOT_TOKENS + entry.column)
            for slot in tree.slots:
                read_at[used] = r * length + begin + slot.at
                read_tokens[used, : len(slot.tokens)] = slot.tokens
                used += 1
            begin = span.stop
    chunks = np.asarray(-(-used // chunk), np.int32)
    arrays = BatchArrays(
        token_ids, positions, segment_ids, branch_ids, read_at, read_tokens, chunks
    )
    numbers, owner = np.unique(np.asarray(completion, int), return_inverse=True)
    return Batch(arrays, numbers, owner, np.asarray(read, int))
