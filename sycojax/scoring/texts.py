"""What is continued and what became of it, as texts; no jax."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sycojax.data.tokenizer import Tokenizer
from sycojax.models.config import LlamaConfig


class Prompt(NamedTuple):
    """A text to continue by at most ``max_new_tokens``, up to end-of-sequence or the first of ``stop``.

    With ``keep_stop`` the stop string stays in the text, and so does what was made before it was seen.
    """

    text: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    rendered: bool = False  # special tokens are written out in it: the tokenizer puts none in front


class Continuation(NamedTuple):
    """``finished`` says whether it stopped by itself; ``dropped_tokens`` how much of the prompt was cut."""

    text: str
    finished: bool
    dropped_tokens: int = 0


class Encoded(NamedTuple):
    """A prompt's token ids, how many more were cut, and the new tokens that there is room for."""

    token_ids: list[int]
    dropped: int
    limit: int


class Texts:
    """The way from prompts to token ids, and from new ids to continuations."""

    def __init__(self, tokenizer: Tokenizer, config: LlamaConfig, ends: Collection[int]):
        """``ends``: ids that end a text besides those of ``config`` and the tokenizer's EOS."""
        self._tokenizer, self._config = tokenizer, config
        own = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
        self.ends = tuple(sorted({*config.eos_token_ids, *own, *ends}))

    def encode(self, prompt: Prompt) -> Encoded:
        """Ids that leave room for the new tokens, and how many were cut behind the first.

        Never so many are cut that less than half the context is left. Raises ``SycojaxError`` on a token without an embedding,
        and where prompt and new tokens are longer than the model's attention window.
        """
        ids = self._tokenizer.encode(prompt.text, add_special_tokens=not prompt.rendered)
        context = self._config.max_position_embeddings
        most = max(context - prompt.max_new_tokens, context // 2, 1)
        dropped = max(0, len(ids) - most)
        ids = ids[:1] + ids[1 + dropped :] if dropped else ids
        limit = min(prompt.max_new_tokens, context - len(ids))
        what = f"the prompt {prompt.text[:40]!r}..."
        self._config.check_ids(ids, what)
        self._config.check_length(len(ids) + limit, f"{what} and its {limit} new tokens")
        return Encoded(ids, dropped, limit)

    def stopped(self, ids: Sequence[int], prompt: Prompt, unseen: int) -> bool:
        """Whether the text of ``ids`` has a stop string in it, which it had not ``unseen`` ids ago."""
        if not prompt.stop:
            return False
        # A token is a byte at least, a character four bytes at most; the whole text has the last word.
        new = unseen + 4 * max(map(len, prompt.stop))
        return all(
            any(stop in text for stop in prompt.stop)
            for text in map(self._decode, (ids[-new:], ids))
        )

    def continuation(
        self, ids: Sequence[int], prompt: Prompt, dropped: int
    ) -> tuple[Continuation, int]:
        """The text of new ``ids``, and how many of them were made for it, the one that ended it included."""
        at = next((i for i, token in enumerate(ids) if token in self.ends), len(ids))
        finished = at < len(ids)
        text = self._decode(ids[:at])
        stops = [text.find(stop) for stop in prompt.stop if stop in text]
        made = at + finished
        if stops:
            text, finished = text if prompt.keep_stop else text[: min(stops)], True
        return Continuation(text, finished, dropped), made

    def _decode(self, ids: Sequence[int]) -> str:
        """A table may be padded beyond the vocabulary; such ids stand for no text."""
        return self._tokenizer.decode([i for i in ids if i < self._tokenizer.vocab_size])
