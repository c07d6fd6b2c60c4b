"""Completions that begin alike, as one row segment: the shared prefix once, then one branch per continuation.

Pure Python on token ids. Two levels (prefix, branches) are what ``models.attention.packed_mask`` can show
to the model; which completions go together is chosen so that the fewest tokens are computed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Tokens = tuple[int, ...]

# Tokens that one slot can read from the logits of one position. More at the same position take more slots.
SLOT_TOKENS = 8
# A segment may grow to this many times the longest sequence in it: attention memory grows with the row.
GROWTH = 4
# Different contexts are computed together where that takes at most this share of the work.
WORTH = 0.9


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
    """One tree. ``branch_ids`` is 0 on the shared prefix; ``positions`` restart behind it on each branch."""

    token_ids: list[int]
    positions: list[int]
    branch_ids: list[int]
    slots: list[Slot]
    entries: list[Entry]

    @property
    def size(self) -> int:
        """Places it takes in a row. Slots count too, so that a batch never holds more slots than tokens."""
        return max(len(self.token_ids), len(self.slots))


class _Group(NamedTuple):
    """Completions (by number) that are computed together."""

    members: list[int]
    inputs: dict[Tokens, None]  # distinct, in order
    prefix: int  # tokens that all inputs share
    total: int  # tokens of all inputs
    longest: int

    @property
    def tokens(self) -> int:
        """Tokens of the tree."""
        return self.total - (len(self.inputs) - 1) * self.prefix

    def work(self, attention_cost: float) -> float:
        """Of computing the tree, in tokens. Its row is taken to be twice as long as it is."""
        return self.tokens * (1 + 2 * attention_cost * self.tokens)

    def joined(self, other: _Group) -> _Group:
        """Both as one tree."""
        inputs = self.inputs | other.inputs
        total = self.total + other.total
        if len(inputs) < len(self.inputs) + len(other.inputs):
            total = sum(map(len, inputs))
        prefix = min(
            self.prefix,
            other.prefix,
            shared_length(next(iter(self.inputs)), next(iter(other.inputs))),
        )
        longest = max(self.longest, other.longest)
        return _Group(self.members + other.members, inputs, prefix, total, longest)


def shared_length(a: Tokens, b: Tokens) -> int:
    """Length of the common prefix, by bisection: slices compare faster than a loop over tokens."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def segments(completions: Sequence[Completion], attention_cost: float = 0.0) -> list[Segment]:
    """Cover distinct completions with segments, each completion exactly once.

    ``attention_cost`` is the work of one more token of row length, as a share of a token's other work:
    sharing more makes rows longer.
    """
    return [_segment(group, completions) for group in _groups(completions, attention_cost)]


def unique_tokens(completions: Iterable[Completion]) -> int:
    """Nodes of the prefix trie of all inputs: no scheme that computes every distinct state can do with fewer."""
    inputs = sorted({c.inputs for c in completions})
    shared = sum(shared_length(a, b) for a, b in itertools.pairwise(inputs))
    return sum(map(len, inputs)) - shared


def _groups(completions: Sequence[Completion], attention_cost: float) -> list[_Group]:
    """First the completions of each context; then neighbours in sorted order, where that saves work."""

    def joined(a: _Group, b: _Group, worth: float) -> _Group | None:
        both = a.joined(b)
        separate = a.work(attention_cost) + b.work(attention_cost)
        saves = both.work(attention_cost) < worth * separate
        return both if saves and both.tokens <= GROWTH * both.longest else None

    order = sorted(range(len(completions)), key=lambda n: (completions[n].context, completions[n]))
    by_context: list[_Group] = []
    context: Tokens = ()
    for number in order:
        completion = completions[number]
        inputs = completion.inputs
        same = bool(by_context) and completion.context == context
        context = completion.context
        if same and inputs in by_context[-1].inputs:
            by_context[-1].members.append(number)
            continue
        alone = _Group([number], {inputs: None}, len(inputs), len(inputs), len(inputs))
        if same and (both := joined(by_context[-1], alone, worth=1.0)):
            by_context[-1] = both
        else:
            by_context.append(alone)
    merged: list[_Group] = []
    for group in by_context:
        if merged and (both := joined(merged[-1], group, WORTH)):
            merged[-1] = both
        else:
            merged.append(group)
    return merged


def _segment(group: _Group, completions: Sequence[Completion]) -> Segment:
    prefix = group.prefix
    first = next(iter(group.inputs))
    token_ids, positions, branch_ids = list(first[:prefix]), list(range(prefix)), [0] * prefix
    offsets = {}  # where the branch of each distinct input begins
    for inputs in group.inputs:
        offsets[inputs] = len(token_ids)
        token_ids += inputs[prefix:]
        positions += range(prefix, len(inputs))
        branch_ids += [len(offsets)] * (len(inputs) - prefix)

    columns: dict[tuple[int, int], tuple[int, int]] = {}  # (index, token) -> (slot, column)
    slot_tokens: list[tuple[int, list[int]]] = []
    open_slot: dict[int, int] = {}  # index -> the last slot that reads there
    entries = []
    for number in group.members:
        completion = completions[number]
        offset = offsets[completion.inputs]
        for target in range(completion.start, len(completion.token_ids)):
            before, token = target - 1, completion.token_ids[target]
            at = before if before < prefix else offset + before - prefix
            if (at, token) not in columns:
                if at not in open_slot or len(slot_tokens[open_slot[at]][1]) == SLOT_TOKENS:
                    open_slot[at] = len(slot_tokens)
                    slot_tokens.append((at, []))
                tokens = slot_tokens[open_slot[at]][1]
                columns[at, token] = (open_slot[at], len(tokens))
                tokens.append(token)
            entries.append(Entry(number, *columns[at, token]))
    slots = [Slot(at, tuple(tokens)) for at, tokens in slot_tokens]
    return Segment(token_ids, positions, branch_ids, slots, entries)
