"""From requests to arranged batches: encode, cut to the context, drop what repeats, plan. No jax."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from sycojax.data.encode import encode_pair
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models.config import LlamaConfig
from sycojax.requests import Request
from sycojax.scoring.batches import Buckets, Plan, plan
from sycojax.scoring.tree import Completion, unique_tokens

# Requests whose texts are encoded together: enough for all threads, few enough to hold.
TOGETHER = 256


# Unique tokens of a call -> the shapes to use, and the row lengths that are compiled in them.
Programs = Callable[[int], tuple[Buckets, Collection[int]]]


class Answer(NamedTuple):
    """Where the scores of one request will be."""

    at: list[int]  # number of the distinct completion, per candidate
    n_tokens: list[int]
    dropped: int  # prompt tokens cut on the left


class Prepared(NamedTuple):
    """What one call computes, for any adapter."""

    plan: Plan
    n_completions: int  # distinct
    naive_tokens: int  # one row per candidate of each request, unpadded
    at: list[int]  # number of the distinct completion, per completion asked
    answers: list[Answer]  # one per request
    merged: int  # distinct (prompt, candidate) pairs with a token that spans both


class Encoder:
    """Candidates as completions; each (prompt, candidate) pair is encoded once."""

    def __init__(self, tokenizer: Tokenizer, config: LlamaConfig):
        self.context = config.max_position_embeddings
        self.merged = 0
        self._tokenizer, self._config = tokenizer, config
        # One object per id: a long job's ids take 8 bytes each, and compare by identity.
        self._ids = list(range(config.vocab_size))
        self._pairs: dict[tuple[str, str], Completion] = {}

    def encode(self, requests: Sequence[Request]) -> list[tuple[list[Completion], int]]:
        """Per request: completions that fit the context, and how many prompt tokens were cut behind the first.

        The cut is the same for all candidates of a request: what the longest of them needs. Raises
        ``SycojaxError`` naming the request when a candidate does not fit even so, has a token without an embedding, or
        is, with its prompt, longer than the model's attention window.
        """
        for start in range(0, len(requests), TOGETHER):
            self._read(requests[start : start + TOGETHER])
        return [self._fit(request) for request in requests]

    def _read(self, requests: Sequence[Request]) -> None:
        """Encode the pairs of ``requests`` that are new; the library spreads a batch over its threads."""
        pairs = {(r.prompt, c): r for r in requests for c in r.candidates}
        new = {pair: request for pair, request in pairs.items() if pair not in self._pairs}
        texts = list(dict.fromkeys(t for prompt, c in new for t in (prompt, prompt + c)))
        ids = dict(
            zip(texts, self._tokenizer.encode_batch(texts, add_special_tokens=False), strict=True)
        )
        for (prompt, candidate), request in new.items():
            try:
                pair = encode_pair(ids.__getitem__, prompt, candidate)
            except SycojaxError as error:
                raise SycojaxError(f"request {request.key}: {error}") from error
            if pair.start == 0:
                raise SycojaxError(f"request {request.key}: nothing stands before its candidates")
            self._config.check_ids(pair.token_ids, f"request {request.key}")
            self.merged += pair.merged
            token_ids = tuple(map(self._ids.__getitem__, pair.token_ids))
            self._pairs[prompt, candidate] = Completion(token_ids, pair.start)

    def _fit(self, request: Request) -> tuple[list[Completion], int]:
        completions = [self._pairs[request.prompt, candidate] for candidate in request.candidates]
        longest = max(len(c.inputs) for c in completions)
        self._config.check_length(min(longest, self.context), f"request {request.key}")
        dropped = max(0, longest - self.context)
        if not dropped:
            return completions, 0
        if any(dropped > c.start - 1 for c in completions):
            raise SycojaxError(
                f"request {request.key}: its candidates need more than the model's context of "
                f"{self.context} tokens even without any prompt; shorten them"
            )
        cut = [
            Completion((c.token_ids[0], *c.token_ids[1 + dropped :]), c.start - dropped)
            for c in completions
        ]
        return cut, dropped


def prepare(requests: Sequence[Request], encoder: Encoder, programs: Programs) -> Prepared:
    """Encode likelihood requests and arrange them."""
    encoded = encoder.encode(requests)
    work = arrange_completions([c for cs, _ in encoded for c in cs], programs)
    at = iter(work.at)
    answers = [
        Answer([next(at) for _ in completions], [c.n_tokens for c in completions], dropped)
        for completions, dropped in encoded
    ]
    return work._replace(answers=answers, merged=encoder.merged)


def arrange_completions(completions: Sequence[Completion], programs: Programs) -> Prepared:
    """Arrange completions, equal ones once."""
    numbers: dict[Completion, int] = {}
    at = [numbers.setdefault(completion, len(numbers)) for completion in completions]
    naive = sum(len(c.inputs) for c in completions)
    distinct = list(numbers)
    arranged = plan(distinct, *programs(unique_tokens(distinct)))
    return Prepared(arranged, len(numbers), naive, at, [], 0)
