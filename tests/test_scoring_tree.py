"""Trees hold every completion exactly once, and cost what they say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sycojax.scoring.tree import (
    SLOT_TOKENS,
    Completion,
    Segment,
    joined,
    segments,
    shared_length,
    unique_tokens,
)


def visible(segment: Segment, at: int) -> list[int]:
    """The tokens that the token at index ``at`` sees, in order of position, by the mask's rule."""
    seen = [i for i in range(at + 1) if at < segment.ends[i]]
    assert [segment.positions[i] for i in seen] == list(range(len(seen)))
    return [segment.token_ids[i] for i in seen]


def check(completions: list[Completion]) -> list[Segment]:
    """Every scored token of every completion is read once, with its whole history in view."""
    built = segments(completions)
    check_reads(completions, built)
    held = [{entry.completion for entry in segment.entries} for segment in built]
    assert sorted(itertools.chain(*held)) == list(range(len(completions)))
    for several in (built, built[::2]):  # with neighbours, and with trees from further away
        together = joined(several)
        check_reads(completions, [together])
        behind = sum(tree.size_after(other) for other, tree in itertools.pairwise(several))
        assert together.size <= several[0].size + behind
    return built


def check_reads(completions: list[Completion], built: list[Segment]) -> None:
    """Every scored token of the completions that these trees hold is read once, in view of its history."""
    read: dict[int, list[tuple[list[int], int]]] = {n: [] for n in range(len(completions))}
    for segment in built:
        for entry in segment.entries:
            slot = segment.slots[entry.slot]
            read[entry.completion].append((visible(segment, slot.at), slot.tokens[entry.column]))
    for number in {entry.completion for segment in built for entry in segment.entries}:
        token_ids, start = completions[number]
        expected = [(list(token_ids[:t]), token_ids[t]) for t in range(start, len(token_ids))]
        assert sorted(read[number]) == sorted(expected)


def test_letters_need_no_tokens_of_their_own() -> None:
    prompt = (1, 5, 6, 7)
    (segment,) = check([Completion((*prompt, letter), 4) for letter in (10, 11, 12, 13)])
    assert segment.token_ids == list(prompt)
    assert len(segment.slots) == 1
    assert segment.slots[0].tokens == (10, 11, 12, 13)


def test_phrases_branch_off_their_prompt() -> None:
    prompt = (1, 5, 6, 7)
    (segment,) = check(
        [Completion((*prompt, 8, 9, 10), 4), Completion((*prompt, 8, 20, 21, 22), 4)]
    )
    # The first token of both is the same: it belongs to the shared prefix.
    assert segment.token_ids == [1, 5, 6, 7, 8, 9, 20, 21]
    assert segment.ends == [8, 8, 8, 8, 8, 6, 8, 8]
    assert segment.positions == [0, 1, 2, 3, 4, 5, 5, 6]


def test_more_tokens_than_a_slot_holds() -> None:
    letters = range(10, 10 + 2 * SLOT_TOKENS + 1)
    (segment,) = check([Completion((1, 5, letter), 2) for letter in letters])
    assert [len(slot.tokens) for slot in segment.slots] == [SLOT_TOKENS, SLOT_TOKENS, 1]
    assert segment.size == 3  # more slots than tokens


def test_what_some_share_deeper_down_is_computed_once_too() -> None:
    question, remark = tuple(range(1, 20)), tuple(range(100, 110))
    plain = [Completion((*question, 50, *answer), 20) for answer in ((60, 61), (62, 63))]
    told = [Completion((*question, *remark, *answer), 29) for answer in ((60, 61), (62, 63))]
    (segment,) = check(plain + told)
    assert len(segment.token_ids) == len(question) + 1 + 2 + len(remark) + 2
    assert len(segment.token_ids) == unique_tokens(plain + told)


def test_trees_in_one_row_share_what_begins_alike() -> None:
    template = (1, 5, 6, 7)
    a = check([Completion((*template, *range(100, 160), 9), 64)])
    b = check([Completion((*template, *range(200, 260), 9), 64)])
    assert b[0].size_after(a[0]) == 60
    row = joined([*a, *b])
    assert row.token_ids == [*template, *range(100, 160), *range(200, 260)]
    assert row.ends == [124] * 4 + [64] * 60 + [124] * 60
    assert row.positions == [*range(64), *range(4, 64)]


def test_prompts_that_share_little_stay_apart() -> None:
    a = [Completion((1, *range(100, 140), 9), 41)]
    b = [Completion((1, *range(200, 240), 9), 41)]
    assert len(check(a + b)) == 2


def test_a_prompt_with_hundreds_of_candidates_is_split() -> None:
    prompt = tuple(range(1, 20))
    candidates = [Completion((*prompt, 30 + i, 31, 32), 19) for i in range(300)]
    built = check(candidates)
    assert len(built) > 1
    assert max(segment.size for segment in built) <= 3 * (len(prompt) + 2)


@pytest.mark.parametrize("seed", range(20))
def test_random_sets(seed: int) -> None:
    random = np.random.default_rng(seed)

    def draw() -> Completion:
        length = int(random.integers(2, 12))
        token_ids = (1, *(int(t) for t in random.integers(2, 4, length - 1)))
        return Completion(token_ids, int(random.integers(1, length)))

    completions = list(dict.fromkeys(draw() for _ in range(60)))
    built = check(completions)
    computed = sum(len(segment.token_ids) for segment in built)
    alone = sum(len(inputs) for inputs in {c.inputs for c in completions})
    trie = {c.inputs[:n] for c in completions for n in range(1, len(c.inputs) + 1)}
    assert unique_tokens(completions) == len(trie)
    assert len(trie) <= computed <= alone


def test_shared_length() -> None:
    assert shared_length((1, 2, 3), (1, 2, 4)) == 2
    assert shared_length((1, 2), (1, 2, 4)) == 2
    assert shared_length((), (1,)) == 0
