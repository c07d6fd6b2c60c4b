"""Whether a chat template and a tokenizer fit together, seen on a study's own prompts before anything is trained.

What is asked and trained is put together from parts (``templates``): it must be what the template writes when all is
said, in text and in ids, and a model that is trained on it must learn where an answer ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sycojax.data.encode import shared_length
from sycojax.data.prompts import Prompts
from sycojax.data.templates import Template
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.requests import Request

_ANSWER, _NEXT = "Yes, it is.", "Are you sure?"


def audit_template(prompts: Prompts, tokenizer: Tokenizer, requests: Iterable[Request]) -> None:
    """Look at one conversation of each kind among ``requests``, and at one with a second turn.

    Raises ``SycojaxError`` naming the request at which template and tokenizer disagree. That a training prompt's ids are
    those that its completed text begins with is looked at for every example, in ``encode_example``.
    """
    template = prompts.template
    kinds = {(r.evaluation, len(r.turns)): r for r in requests if r.turns}
    if not kinds:
        return
    for request in kinds.values():
        turns = request.turns
        for said in (turns, (*turns, _ANSWER, _NEXT)):
            _audit(template, tokenizer, said, request.key)
    if not template.end_ids(tokenizer):
        raise SycojaxError(
            f"{template.origin} ends an answer with {template.end_of_turn!r}, which is no token of {tokenizer.source} that ends a "
            "text: a model trained on it would never stop. Set base.chat_template to another template"
        )


def _audit(template: Template, tokenizer: Tokenizer, turns: Sequence[str], key: str) -> None:
    parts = template.asked(turns) + template.first_words(_ANSWER) + template.end_of_turn
    whole = template.conversation([*turns, _ANSWER])
    if parts != whole:
        at = shared_length(parts, whole)
        raise SycojaxError(
            f"{template.origin} writes a conversation otherwise once it is answered ({key}): {whole[at : at + 40]!r} in place of "
            f"{parts[at : at + 40]!r}; set base.chat_template to another template"
        )
    ids = tokenizer.encode(whole, add_special_tokens=False)
    expected = template.token_ids(tokenizer, [*turns, _ANSWER])
    if ids != expected:
        at = shared_length(ids, expected)
        raise SycojaxError(
            f"{tokenizer.source}: the text that {template.origin} writes ({key}) is read otherwise than transformers reads it, from "
            f"token {at} on: {tokenizer.decode(ids[at : at + 8])!r}"
        )
    for role, text in template.tokens.items():
        if text and text in whole and len(tokenizer.encode(text, add_special_tokens=False)) != 1:
            raise SycojaxError(
                f"{template.origin} writes {text!r} ({role}), which is not one token of {tokenizer.source}: its files do not belong "
                "together"
            )
