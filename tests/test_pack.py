"""Packing loses nothing, repeats nothing, and lets no target look across examples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sycojax.data.encode import EncodedExample, loss_weights
from sycojax.data.pack import PackedRows, assign_rows, pack, rows_needed
from sycojax.errors import SycojaxError


def random_examples(rng: np.random.Generator, count: int, longest: int) -> list[EncodedExample]:
    """Examples whose token ids are all different, so that each token can be found again."""
    examples, next_id = [], 1
    for index in range(count):
        size = int(rng.integers(1, longest + 1))
        ids = np.arange(next_id, next_id + size + 1, dtype=np.int32)
        next_id += size + 1
        mask = rng.random(size) < 0.5
        mask[-1] = True
        examples.append(EncodedExample("task", str(index), ids[:-1], ids[1:], mask))
    return examples


def segments(packed: PackedRows) -> list[tuple[np.ndarray, ...]]:
    """(token_ids, target_ids, positions, loss_weights) of every segment."""
    found = []
    for row in range(len(packed.token_ids)):
        for segment in range(1, packed.segment_ids[row].max(initial=0) + 1):
            here = packed.segment_ids[row] == segment
            arrays = packed.token_ids, packed.target_ids, packed.positions, packed.loss_weights
            found.append(tuple(array[row][here] for array in arrays))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_every_token_and_weight_is_packed_exactly_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(8, 65))
    examples = random_examples(rng, int(rng.integers(1, 40)), length)
    weights = loss_weights(examples, "example")
    packed = pack(examples, weights, length)

    by_first_token = {int(ids[0]): (ids, *rest) for ids, *rest in segments(packed)}
    assert len(by_first_token) == len(examples)
    for example, weight in zip(examples, weights, strict=True):
        ids, targets, positions, packed_weight = by_first_token[int(example.token_ids[0])]
        np.testing.assert_array_equal(ids, example.token_ids)
        np.testing.assert_array_equal(targets, example.target_ids)
        np.testing.assert_array_equal(positions, np.arange(len(ids)))
        np.testing.assert_array_equal(packed_weight, weight)

    padding = packed.segment_ids == 0
    for array in (packed.token_ids, packed.target_ids, packed.positions, packed.loss_weights):
        assert not array[padding].any()
    assert np.count_nonzero(packed.segment_ids) == sum(len(e.token_ids) for e in examples)
    assert packed.loss_weights.sum() == pytest.approx(1.0, rel=1e-5)


def test_segments_stand_side_by_side_from_the_left() -> None:
    examples = random_examples(np.random.default_rng(0), 25, 10)
    packed = pack(examples, loss_weights(examples, "token"), 16)
    steps = np.diff(packed.segment_ids, axis=1)
    # Along a row segments count up by one; the only step down is into the padding at the end.
    assert set(steps[steps > 0]) == {1}
    assert ((steps >= 0) | (packed.segment_ids[:, 1:] == 0)).all()
    assert (packed.segment_ids[:, 0] == 1).all()


def test_there_are_as_many_rows_as_needed() -> None:
    examples = random_examples(np.random.default_rng(0), 3, 5)
    packed = pack(examples, loss_weights(examples, "token"), 8)
    needed = rows_needed([len(e.token_ids) for e in examples], 8)
    assert packed.token_ids.shape == (needed, 8)
    for name in ("token_ids", "target_ids", "positions", "segment_ids"):
        assert getattr(packed, name).dtype == np.int32
    assert packed.loss_weights.dtype == np.float32
    assert pack([], [], 8).token_ids.shape == (0, 8)


def test_what_does_not_fit_is_an_error() -> None:
    examples = random_examples(np.random.default_rng(1), 10, 8)
    weights = loss_weights(examples, "token")
    longest = max(len(e.token_ids) for e in examples)
    with pytest.raises(SycojaxError, match=f"{longest} tokens does not fit a row of {longest - 1}"):
        pack(examples, weights, longest - 1)


def test_a_row_takes_the_longest_example_and_those_that_fill_it_best() -> None:
    assert assign_rows([3, 6, 5, 2, 4], 10) == [[1, 4], [0, 2, 3]]
    assert assign_rows([5, 5, 5], 10) == [[0, 1], [2]]
    assert assign_rows([6, 5, 4, 2], 12) == [[0, 2, 3], [1]], "6 + 5 leave more"
    assert assign_rows([7, 4, 3, 3, 3], 10) == [[0, 2], [1, 3, 4]], (
        "the longest that fits leaves more"
    )
    assert assign_rows([], 10) == []


@pytest.mark.parametrize("seed", range(10))
def test_no_other_examples_fill_a_row_better(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 60, 10).tolist()
    left = set(range(10))
    for row in assign_rows(lengths, 64):
        longest = max(row, key=lambda i: lengths[i])
        assert lengths[longest] == max(lengths[i] for i in left)
        others = left - {longest}
        sums = [
            sum(lengths[i] for i in (longest, *some))
            for n in range(len(others) + 1)
            for some in itertools.combinations(others, n)
        ]
        assert sum(lengths[i] for i in row) == max(s for s in sums if s <= 64)
        left -= {*row}
    assert not left


def test_packing_wastes_little() -> None:
    lengths = np.random.default_rng(0).integers(20, 200, 400).tolist()
    assert rows_needed(lengths, 512) == -(-sum(lengths) // 512)
