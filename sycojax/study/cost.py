"""What it costs to ask in arms: how much more text is read than by the same study without them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from sycojax.data.encode import shared_length
from sycojax.requests import Request

Asked = Mapping[str, Sequence[Request]]  # by evaluation
CHARACTERS = 4  # about so many a token: generated tokens are counted as text, too


def times(asked: Asked, than: Asked) -> float:
    """How many times as much text ``asked`` has as ``than``. What several texts begin with counts once, as scoring reads it once, and
    replies count at their longest.

    Characters are counted, not tokens: encoding all of it would take longer than the answer is worth, and the ratio in tokens differs by
    less than a tenth.
    """
    return _characters(asked) / _characters(than)


def _characters(asked: Asked) -> int:
    requests = list(itertools.chain.from_iterable(asked.values()))
    texts = {r.prompt + c for r in requests for c in r.candidates}
    replies = {r.prompt: r.max_new_tokens for r in requests if r.max_new_tokens}
    return _distinct(texts) + _distinct(replies) + CHARACTERS * sum(replies.values())


def _distinct(texts: Iterable[str]) -> int:
    ordered = sorted(texts)
    return sum(map(len, ordered)) - sum(shared_length(a, b) for a, b in itertools.pairwise(ordered))
