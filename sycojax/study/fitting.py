"""Items that are longer than the model's context: left out whole, in all their conditions, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sycojax.data.prompts import Prompts
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import Evaluations
from sycojax.requests import Request
from sycojax.study.turns import foreseen


def fitting(
    requests: Mapping[str, Sequence[Request]],
    registry: Evaluations,
    prompts: Prompts,
    tokenizer: Tokenizer,
    context: int,
) -> tuple[dict[str, list[Request]], dict[str, int]]:
    """The requests of items that fit ``context`` tokens, by evaluation, and how many items of each do not.

    A second turn that quotes what a model generates has to fit however long that becomes: the same items are asked of all
    configurations, whatever they say. Raises ``SycojaxError`` where no item of an evaluation fits.
    """
    left: dict[str, list[Request]] = {}
    counts: dict[str, int] = {}
    for name, asked in requests.items():
        both = [*asked, *foreseen(registry[name], asked, prompts)]
        texts = sorted({r.prompt for r in both if _bytes(r.prompt, r) >= context})
        ids = tokenizer.encode_batch(texts, add_special_tokens=False)
        lengths = {text: len(own) for text, own in zip(texts, ids, strict=True)}
        long = {
            r.item
            for r in both
            if r.prompt in lengths and not _fits(r, lengths, tokenizer, context)
        }
        left[name] = [r for r in asked if r.item not in long]
        if long:
            counts[name] = len(long)
        if asked and not left[name]:
            raise SycojaxError(
                f"no item of {name} fits the model's context of {context} tokens: leave it out of score.evaluations, or "
                "take a base with a longer context"
            )
    return left, counts


def _bytes(prompt: str, request: Request) -> int:
    """An upper bound on the number of tokens: each stands for at least a byte, except a few marks at the beginning."""
    longest = max((len(c.encode()) for c in request.candidates), default=request.max_new_tokens)
    return len(prompt.encode()) + longest + 8


def _fits(request: Request, lengths: Mapping[str, int], tokenizer: Tokenizer, context: int) -> bool:
    """Whether the whole prompt fits, by the rules by which ``scoring.prepare`` and ``scoring.decode`` would cut it."""
    length = lengths[request.prompt]
    if request.max_new_tokens:
        return length <= max(context - request.max_new_tokens, context // 2, 1)
    if length + max(len(c.encode()) for c in request.candidates) <= context:
        return True
    whole = [request.prompt + candidate for candidate in request.candidates]
    ids = tokenizer.encode_batch(whole, add_special_tokens=False)
    return max(map(len, ids)) - 1 <= context  # the last token is only predicted
