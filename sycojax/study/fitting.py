"""Items that are longer than the model's context: left out whole, in all their conditions, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.requests import Request


def fitting(
    requests: Mapping[str, Sequence[Request]], tokenizer: Tokenizer, context: int
) -> tuple[dict[str, list[Request]], dict[str, int]]:
    """The requests of items that fit ``context`` tokens, by evaluation, and how many items of each do not.

    Raises ``SycojaxError`` where no item of an evaluation fits.
    """
    left: dict[str, list[Request]] = {}
    counts: dict[str, int] = {}
    for name, asked in requests.items():
        prompts = sorted({r.prompt for r in asked if _bytes(r.prompt, r) >= context})
        ids = tokenizer.encode_batch(prompts, add_special_tokens=False)
        lengths = {prompt: len(own) for prompt, own in zip(prompts, ids, strict=True)}
        long = {
            r.item
            for r in asked
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
    """At least the number of tokens: every token stands for a byte or more, but for marks at the beginning."""
    longest = max((len(c.encode()) for c in request.candidates), default=request.max_new_tokens)
    return len(prompt.encode()) + longest + 8


def _fits(request: Request, lengths: Mapping[str, int], tokenizer: Tokenizer, context: int) -> bool:
    """Whether nothing of the prompt would have to be cut: as ``scoring.prepare`` and ``scoring.decode`` cut."""
    length = lengths[request.prompt]
    if request.max_new_tokens:
        return length <= max(context - request.max_new_tokens, context // 2, 1)
    if length + max(len(c.encode()) for c in request.candidates) <= context:
        return True
    whole = [request.prompt + candidate for candidate in request.candidates]
    ids = tokenizer.encode_batch(whole, add_special_tokens=False)
    return max(map(len, ids)) - 1 <= context  # the last token is only predicted
