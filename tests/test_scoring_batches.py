"""Rows and batches: everything once, shapes from the row length alone, little padding."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from sycojax.scoring.batches import (
    Buckets,
    arrange,
    batch_size,
    pack_neighbours,
    pack_rows,
    plan,
)  # fmt: skip
from sycojax.scoring.tree import SLOT_TOKENS, Completion, Segment, joined, segments

BUCKETS = Buckets((64, 128, 256, 512), batch_tokens=1024, attention_cost=0.001)


def completions(count: int, low: int, high: int, seed: int = 0) -> list[Completion]:
    """Prompts without anything in common, with four letters each."""
    random = np.random.default_rng(seed)
    out = []
    for i in range(count):
        prompt = (1, 100 + i, *(int(t) for t in random.integers(2, 90, random.integers(low, high))))
        out += [Completion((*prompt, letter), len(prompt)) for letter in (90, 91, 92, 93)]
    return out


def trees(sizes: Iterable[int]) -> list[Segment]:
    """One chain of each size, with nothing in common."""
    built = segments([Completion((n, *[0] * size), size) for n, size in enumerate(sizes)])
    assert all(tree.first[0] == n for n, tree in enumerate(built))
    return built


@pytest.mark.parametrize("seed", range(5))
def test_rows_hold_everything_once_and_no_more_than_fits(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = [int(s) for s in random.integers(1, 64, 200)]
    rows = pack_rows(range(200), trees(sizes), 64)
    assert sorted(n for row in rows for n in row) == list(range(200))
    assert max(sum(sizes[n] for n in row) for row in rows) <= 64
    assert len(rows) <= 1.1 * sum(sizes) / 64 + 1


def test_rows_take_neighbours_and_fill_up_with_what_fits() -> None:
    # 30 + 20 leave no room for 40, but for the later 10.
    assert pack_neighbours(range(5), trees([30, 20, 40, 10, 24]), 64) == [[0, 1, 3], [2, 4]]


def test_a_row_holds_more_of_what_begins_alike() -> None:
    template = tuple(range(2, 22))
    asked = [Completion((*template, *[100 + n] * 8, 9), 28) for n in range(6)]
    alone = [tree for one in asked for tree in segments([one])]
    (row,) = pack_rows(range(6), alone, 20 + 6 * 8)
    assert joined([alone[n] for n in row]).size == 20 + 6 * 8


def test_only_the_longest_rows_leave_a_batch_part_empty() -> None:
    sizes = [int(s) for s in np.random.default_rng(0).integers(10, 250, 300)]
    arranged = arrange(trees(sizes), (64, 128, 256, 512), BUCKETS)
    assert sorted(n for rows in arranged.values() for row in rows for n in row) == list(range(300))
    for length, rows in arranged.items():
        assert max(sum(sizes[n] for n in row) for row in rows) <= length
        if length != max(arranged):
            assert len(rows) % BUCKETS.rows(length) == 0


def test_arrays_hold_every_segment_and_every_read() -> None:
    asked = completions(40, 3, 40)
    for batch in plan(asked, BUCKETS, ()).batches:
        a = batch.arrays
        length = a.token_ids.shape[1]
        flat = a.token_ids.reshape(-1)
        for owner, read in zip(batch.owner, batch.read, strict=True):
            completion = asked[batch.numbers[owner]]
            slot, column = divmod(read, SLOT_TOKENS)
            assert a.read_tokens[slot, column] == completion.token_ids[-1]
            at, n = a.read_at[slot], len(completion.inputs)
            start = at // length * length
            row = slice(start, at + 1)
            seen = (a.ends.reshape(-1)[row] > at - start) & (a.segment_ids.reshape(-1)[row] == 1)
            assert tuple(flat[row][seen]) == completion.inputs
            assert tuple(a.positions.reshape(-1)[row][seen]) == tuple(range(n))
        used = int(batch.read.max()) // SLOT_TOKENS + 1
        assert used <= a.chunks * BUCKETS.chunk(length) <= len(a.read_at)


def test_every_completion_is_in_exactly_one_batch() -> None:
    asked = completions(200, 3, 200)
    numbers = np.concatenate([batch.numbers for batch in plan(asked, BUCKETS, ()).batches])
    assert sorted(numbers) == list(range(len(asked)))


def test_shapes_depend_on_the_row_length_only() -> None:
    shapes = {}
    for seed, (count, low, high) in enumerate(
        [(9, 3, 60), (300, 3, 60), (90, 100, 120), (2, 3, 9)]
    ):
        for batch in plan(completions(count, low, high, seed), BUCKETS, shapes).batches:
            length = batch.arrays.token_ids.shape[1]
            shape = [leaf.shape for leaf in batch.arrays]
            assert shapes.setdefault(length, shape) == shape
    assert len(shapes) <= 3


def test_a_small_job_needs_one_shape_and_reuses_compiled_ones() -> None:
    def lengths(asked: list[Completion], compiled: set[int]) -> set[int]:
        return {b.arrays.token_ids.shape[1] for b in plan(asked, BUCKETS, compiled).batches}

    small = completions(20, 5, 100)
    first = lengths(small, set())
    assert len(first) == 1
    assert lengths(completions(3, 2, 6, seed=1), first) == first
    assert lengths(small, {512}) == {512}


def test_little_padding_on_a_mixed_job() -> None:
    arranged = plan(completions(1000, 10, 300), BUCKETS, ())
    assert arranged.real_tokens <= arranged.padded_tokens < 1.1 * arranged.real_tokens
    assert len({b.arrays.token_ids.shape for b in arranged.batches}) <= 4


def test_rows_longer_than_the_largest_bucket() -> None:
    arranged = plan(completions(3, 600, 601), BUCKETS, ())
    assert {b.arrays.token_ids.shape for b in arranged.batches} == {(1, 640)}


def test_a_small_call_takes_a_small_batch() -> None:
    assert batch_size(100, 8192, ()) == 512
    assert batch_size(1000, 8192, ()) == 2048
    assert batch_size(5000, 8192, ()) == batch_size(10**6, 8192, ()) == 8192
    assert batch_size(10, 200, ()) == 200  # never less than what was asked for, where that is small
    # A compiled size saves a compilation: a larger one whatever it wastes, a smaller one for a few batches.
    assert batch_size(100, 8192, {8192}) == 8192
    assert batch_size(1600, 8192, {512}) == 512
    assert batch_size(1000, 8192, {256}) == 2048
    assert batch_size(1700, 8192, {512, 8192}) == 8192


def test_devices_share_the_rows() -> None:
    shared = Buckets((64, 128), batch_tokens=200, devices=8)
    assert [shared.rows(length) for length in (64, 128)] == [8, 8]
    for batch in plan(completions(5, 3, 60), shared, ()).batches:
        assert batch.arrays.token_ids.shape[0] % 8 == 0


def test_nothing_to_do() -> None:
    assert plan([], BUCKETS, ()).batches == []
