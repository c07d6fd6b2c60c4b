"""Completions that begin alike, as a tree in one row: what several of them share is computed once.

Pure Python on token ids. A tree stands in preorder (a token, then everything below it), so that one number
per token, where its subtree ends, tells ``models.attention.packed_mask`` who may look at whom. Which
completions go together is chosen so that the fewest tokens are computed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sycojax.data.encode import shared_length

Tokens = tuple[int, ...]

# Tokens that one slot can read from the logits of one position. More at the same position take more slots.
SLOT_TOKENS = 8
# A tree may grow to this many times the longest sequence in it: a row is at least as long as its trees.
GROWTH = 3
# Two trees become one where that takes less than this share of the work of both.
WORTH = 0.97


class Completion(NamedTuple):
    """``token_ids[start:]`` is scored given ``token_ids[:start]``; 1 <= start < len(token_ids)."""

    token_ids: Tokens
    start: int

    @property
    def context(self) -> Tokens:
        return self.token_ids[: self.start]

    @property
    def inputs(self) -> Tokens:
        """What the model is fed: everything but the last token, which is only predicted."""
        return self.token_ids[:-1]

    @property
    def n_tokens(self) -> int:
        """How many tokens are scored."""
        return len(self.token_ids) - self.start


class Slot(NamedTuple):
    """Tokens (at most ``SLOT_TOKENS``) whose log-probability is read from the logits at index ``at``."""

    at: int
    tokens: Tokens


class Entry(NamedTuple):
    """Token ``column`` of slot ``slot`` is one scored token of completion number ``completion``."""

    completion: int
    slot: int
    column: int


@dataclasses.dataclass(frozen=True)
class Segment:
    """One tree in preorder. The token at index i is seen by those at i, ..., ``ends[i]`` - 1."""

    first: Tokens  # the inputs that come first and last in sorted order
    last: Tokens
    token_ids: list[int]
    positions: list[int]
    ends: list[int]
    slots: list[Slot]
    entries: list[Entry]

    @property
    def size(self) -> int:
        """Places it takes in a row. Slots count too, so that a batch never holds more slots than tokens."""
        return max(len(self.token_ids), len(self.slots))

    def size_after(self, other: Segment) -> int:
        """Places it takes behind ``other``, an earlier one, with what begins alike computed there."""
        own = len(self.token_ids) - shared_length(other.last, self.first)
        return max(own, len(self.slots))


def joined(trees: Sequence[Segment]) -> Segment:
    """One tree of several in their sorted order; slots and entries stay those of each."""
    whole = Segment(trees[0].first, trees[-1].last, [], [], [], [], [])
    path: list[int] = []  # index of each token of the last inputs so far
    for number, tree in enumerate(trees):
        common = shared_length(trees[number - 1].last, tree.first) if number else 0
        begin, slots = len(whole.token_ids), len(whole.slots)
        shift = begin - common
        for index, end in zip(path[:common], tree.ends, strict=False):
            whole.ends[index] = shift + end
        at = [*path[:common], *range(begin, shift + len(tree.token_ids))]
        whole.token_ids.extend(tree.token_ids[common:])
        whole.positions.extend(tree.positions[common:])
        whole.ends.extend(shift + end for end in tree.ends[common:])
        whole.slots.extend(Slot(at[slot.at], slot.tokens) for slot in tree.slots)
        whole.entries.extend(e._replace(slot=slots + e.slot) for e in tree.entries)
        path = [at[i] for i, end in enumerate(tree.ends) if end == len(tree.token_ids)]
    return whole


def segments(completions: Sequence[Completion], attention_cost: float = 0.0) -> list[Segment]:
    """Cover distinct completions with trees, each completion exactly once; trees are in sorted order.

    ``attention_cost`` is the work of one more token of row length, as a share of a token's other work:
    sharing more makes rows longer.
    """
    order = sorted(range(len(completions)), key=lambda n: completions[n].inputs)
    inputs = [completions[n].inputs for n in order]
    shared = _shared(inputs)
    return [
        _segment([(n, completions[n]) for n in order[run]], shared[run])
        for run in _runs([len(i) for i in inputs], shared, attention_cost)
    ]


def unique_tokens(completions: Iterable[Completion]) -> int:
    """Nodes of the prefix trie of all inputs: no scheme that computes every distinct state can do with fewer."""
    inputs = sorted(c.inputs for c in completions)
    return sum(map(len, inputs)) - sum(_shared(inputs))


def _shared(inputs: Sequence[Tokens]) -> list[int]:
    """What each of the sorted ``inputs`` has in common with the one before; 0 for the first."""
    return [0, *(shared_length(a, b) for a, b in itertools.pairwise(inputs))][: len(inputs)]


def _runs(lengths: Sequence[int], shared: Sequence[int], attention_cost: float) -> list[slice]:
    """Runs of the sorted inputs, each to become a tree: neighbours that share most are joined first."""

    def work(tokens: int) -> float:
        """In tokens. A row is taken to be twice as long as its tree."""
        return tokens * (1 + 2 * attention_cost * tokens)

    # Of a run of inputs: its first one, found under its last; and under its first, its last one, tokens and longest input.
    begin, end = list(range(len(lengths))), list(range(len(lengths)))
    tokens, longest = list(lengths), list(lengths)
    for at in sorted(range(1, len(lengths)), key=lambda at: -shared[at]):
        first, last = begin[at - 1], end[at]
        left, right = tokens[first], tokens[at]
        both, most = left + right - shared[at], max(longest[first], longest[at])
        if work(both) < WORTH * (work(left) + work(right)) and both <= GROWTH * most:
            begin[last], end[first] = first, last
            tokens[first], longest[first] = both, most
    runs = []
    first = 0
    while first < len(lengths):
        runs.append(slice(first, end[first] + 1))
        first = end[first] + 1
    return runs


def _segment(members: Sequence[tuple[int, Completion]], shared: Sequence[int]) -> Segment:
    """The tree of (number, completion) in sorted order of inputs."""
    token_ids: list[int] = []
    positions: list[int] = []
    ends: list[int] = []
    path: list[int] = []  # index of each token of the inputs at hand
    columns: dict[tuple[int, int], tuple[int, int]] = {}  # (index, token) -> (slot, column)
    slot_tokens: list[tuple[int, list[int]]] = []
    open_slot: dict[int, int] = {}  # index -> the last slot that reads there
    entries = []
    for (number, completion), common in zip(members, shared, strict=True):
        begin = min(common, len(path))  # the first shares nothing with what is in this tree
        for index in path[begin:]:
            ends[index] = len(token_ids)
        inputs = completion.inputs
        path[begin:] = range(len(token_ids), len(token_ids) + len(inputs) - begin)
        token_ids += inputs[begin:]
        positions += range(begin, len(inputs))
        ends += [0] * (len(inputs) - begin)
        for target in range(completion.start, len(completion.token_ids)):
            at, token = path[target - 1], completion.token_ids[target]
            if (at, token) not in columns:
                if at not in open_slot or len(slot_tokens[open_slot[at]][1]) == SLOT_TOKENS:
                    open_slot[at] = len(slot_tokens)
                    slot_tokens.append((at, []))
                tokens = slot_tokens[open_slot[at]][1]
                columns[at, token] = (open_slot[at], len(tokens))
                tokens.append(token)
            entries.append(Entry(number, *columns[at, token]))
    for index in path:
        ends[index] = len(token_ids)
    slots = [Slot(at, tuple(tokens)) for at, tokens in slot_tokens]
    first, last = members[0][1].inputs, members[-1][1].inputs
    return Segment(first, last, token_ids, positions, ends, slots, entries)
