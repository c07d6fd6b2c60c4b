"""Segments packed into rows of a few lengths, rows into batches of one shape per length. NumPy only."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from sycojax.scoring.tree import SLOT_TOKENS, Completion, Segment, joined, segments, unique_tokens

# Rows longer than the largest bucket are rounded up to this.
ROUND = 128
# A row length without a compiled program yet is worth one when it saves the work of so many batches.
WORTH_COMPILING = 4
# Tokens of a batch where the config leaves that open: on a CPU more would leave its caches and more of the last batch
# empty; elsewhere, what many devices share.
CPU_TOKENS, TOKENS = 2048, 8192
# Tokens of the smallest batch.
SMALLEST = 512
# Positions whose logits exist at the same time.
CHUNK = 256


class BatchArrays(NamedTuple):
    """One batch of B rows of T tokens with room for P >= B * T slots of K tokens."""

    token_ids: np.ndarray  # int32 [B, T]
    positions: np.ndarray  # int32 [B, T]
    segment_ids: np.ndarray  # int32 [B, T], 1, or 0 = padding
    ends: np.ndarray  # int32 [B, T], index in the row behind the last token that sees this one
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

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all of it: under the same weights, equal batches have equal results."""
        found = hashlib.sha256()
        for array in (*self.arrays, self.numbers, self.owner, self.read):
            found.update(f"{array.dtype} {array.shape}\0".encode() + array.tobytes())
        return found.hexdigest()

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
    batch_tokens: int  # of the shapes
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
        return chunk_slots(self.rows(length) * length, self.devices)

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


def chunk_slots(tokens: int, devices: int) -> int:
    """``Buckets.chunk`` of a batch of ``tokens`` tokens."""
    return min(-(-CHUNK // devices) * devices, tokens)


def batch_size(tokens: int, full: int, compiled: Collection[int]) -> int:
    """Tokens of a batch for a call with this many unique ones: ``full``, or a quarter of it, or a sixteenth, ...

    A compiled size (one of ``compiled``) is taken before a new one where it takes few batches.
    """
    wanted = tokens * 5 // 4  # rows do not fill up entirely
    for size in sorted(compiled):
        if wanted <= WORTH_COMPILING * size:
            return size
    size = full
    while size // 4 >= max(wanted, SMALLEST):
        size //= 4
    return size


Rows = list[list[int]]  # which trees, by number, stand in each row


def plan(completions: Sequence[Completion], buckets: Buckets, compiled: Collection[int]) -> Plan:
    """Arrange distinct completions in batches; ``compiled`` row lengths are free, others have a price."""
    if not completions:
        return Plan([], buckets.batch_tokens, 0, 0, 0)
    trees = segments(completions, buckets.attention_cost)
    batches = [
        _batch(
            [joined([trees[n] for n in row]) for row in rows[i : i + buckets.rows(length)]],
            length,
            buckets,
        )
        for length, rows in _choose(trees, buckets, compiled).items()
        for i in range(0, len(rows), buckets.rows(length))
    ]
    return Plan(
        batches,
        buckets.batch_tokens,
        real_tokens=sum(int((batch.arrays.segment_ids > 0).sum()) for batch in batches),
        padded_tokens=sum(batch.arrays.token_ids.size for batch in batches),
        unique_tokens=unique_tokens(completions),
    )


def _choose(
    trees: Sequence[Segment], buckets: Buckets, compiled: Collection[int]
) -> dict[int, Rows]:
    """Add row lengths to the compiled ones for as long as the work saved exceeds the price of a program."""

    def work(lengths: Collection[int]) -> tuple[float, dict[int, Rows]]:
        arranged = arrange(trees, sorted(lengths), buckets)
        cost = sum(
            buckets.cost(length, -(-len(rows) // buckets.rows(length)))
            for length, rows in arranged.items()
        )
        new = len(arranged.keys() - set(compiled))
        return cost + new * WORTH_COMPILING * buckets.batch_tokens, arranged

    longest = max(tree.size for tree in trees)
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


def arrange(trees: Sequence[Segment], lengths: Sequence[int], buckets: Buckets) -> dict[int, Rows]:
    """Pack trees into rows of these (increasing) lengths.

    A tree goes to rows of twice to four times its size if there are any, so that rows fill up, else to the
    shortest that hold it. What does not fill a whole batch moves on to the next longer rows: only the longest
    leave a batch part empty.
    """
    assigned: dict[int, list[int]] = {}
    for number, tree in enumerate(trees):
        at = bisect.bisect_left(lengths, 2 * tree.size)
        if at == len(lengths) or lengths[at] > 4 * tree.size:
            at = bisect.bisect_left(lengths, tree.size)
        assigned.setdefault(lengths[at], []).append(number)
    arranged, carried = {}, []
    for length in sorted(assigned):
        rows = pack_rows(assigned[length] + carried, trees, length)
        count = buckets.rows(length)
        whole = len(rows) if length == max(assigned) else len(rows) // count * count
        carried = [number for row in rows[whole:] for number in row]
        if whole:
            arranged[length] = rows[:whole]
    return arranged


def pack_rows(numbers: Sequence[int], trees: Sequence[Segment], length: int) -> Rows:
    """The better of two ways, by number of rows: the first saves what neighbours share, the second suits large trees."""
    return min(
        (pack_neighbours(numbers, trees, length), pack_largest(numbers, trees, length)), key=len
    )


def pack_largest(numbers: Sequence[int], trees: Sequence[Segment], length: int) -> Rows:
    """Best-fit decreasing: each tree goes to the fullest row that still holds it. Fullest rows first."""
    rows: Rows = []
    room: list[tuple[int, int]] = []  # (places left, row), sorted
    for size, number in sorted(((trees[n].size, n) for n in numbers), reverse=True):
        at = bisect.bisect_left(room, (size, -1))
        if at < len(room):
            left, row = room.pop(at)
        else:
            left, row = length, len(rows)
            rows.append([])
        rows[row].append(number)
        bisect.insort(room, (left - size, row))
    return [sorted(rows[row]) for _, row in room]


def pack_neighbours(numbers: Sequence[int], trees: Sequence[Segment], length: int) -> Rows:
    """Neighbours share most, so a row takes trees in their order; what is left of it, the largest that fit."""
    rows: Rows = []
    waiting = sorted(numbers, reverse=True)  # the next one last
    by_size = sorted((trees[n].size, n) for n in numbers)
    placed: set[int] = set()

    def take(number: int) -> int:
        placed.add(number)
        by_size.pop(bisect.bisect_left(by_size, (trees[number].size, number)))
        rows[-1].append(number)
        return number

    while by_size:
        while waiting[-1] in placed:
            waiting.pop()
        rows.append([])
        last = take(waiting.pop())
        room = length - trees[last].size
        while waiting:
            number = waiting[-1]
            if number not in placed:
                size = trees[number].size_after(trees[last])
                if size > room:
                    break
                last = take(number)
                room -= size
            waiting.pop()
        while at := bisect.bisect_left(by_size, (room + 1, -1)):
            number = take(by_size[at - 1][1])
            room -= trees[number].size_after(trees[last])
        rows[-1].sort()
    return rows


def _batch(rows: Sequence[Segment], length: int, buckets: Buckets) -> Batch:
    """Each row is one tree."""
    count, capacity, chunk = buckets.rows(length), buckets.capacity(length), buckets.chunk(length)
    token_ids, positions, segment_ids, ends = np.zeros((4, count, length), np.int32)
    ends[:] = length
    read_at = np.zeros(capacity, np.int32)
    read_tokens = np.zeros((capacity, SLOT_TOKENS), np.int32)
    completion, read = [], []
    used = 0
    for r, tree in enumerate(rows):
        span = slice(len(tree.token_ids))
        token_ids[r, span], positions[r, span] = tree.token_ids, tree.positions
        segment_ids[r, span], ends[r, span] = 1, tree.ends
        for entry in tree.entries:
            completion.append(entry.completion)
            read.append((used + entry.slot) * SLOT_TOKENS + entry.column)
        for slot in tree.slots:
            read_at[used] = r * length + slot.at
            read_tokens[used, : len(slot.tokens)] = slot.tokens
            used += 1
    chunks = np.asarray(-(-used // chunk), np.int32)
    arrays = BatchArrays(token_ids, positions, segment_ids, ends, read_at, read_tokens, chunks)
    numbers, owner = np.unique(np.asarray(completion, int), return_inverse=True)
    return Batch(arrays, numbers, owner, np.asarray(read, int))
