"""A transformers tokenizer in the role of the project's own, with the rules of the harness's ``hf`` model.

Numbers must equal those of ``--model hf`` token for token, so the harness's requests are read by the tokenizer
that ``hf`` uses, with its add-BOS setting, and a continuation is decoded by itself (Llama's loses the space
that it begins with).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError


def encode(
    raw: Any, text: str, bos: str, add_special_tokens: bool | None, add_bos_token: bool | None
) -> list[int]:
    """Ids of ``text``. ``add_special_tokens`` decides; where it is None, text that starts with ``bos`` gets no
    second one, then ``add_bos_token``, then the tokenizer's own setting."""
    if add_special_tokens is None:
        add_special_tokens = False if bos and text.startswith(bos) else add_bos_token
    if add_special_tokens is None:
        return raw.encode(text)
    return raw.encode(text, add_special_tokens=add_special_tokens)


def reads_spaces_alike(raw: Any, published: Tokenizer) -> bool:
    """Whether ``raw`` gives the ids of the tokenizer's files where a text starts with a space or doubles one."""
    own: Any = published.raw
    return all(
        raw.encode(text, add_special_tokens=False) == own.encode(text, add_special_tokens=False)
        for text in (" a", "a  b")
    )


def special_ids(raw: Any) -> dict[str, int]:
    """Ids of the tokens that decoding leaves out, by how they are written."""
    return {str(token): i for i, token in raw.added_tokens_decoder.items() if token.special}


class ContextTokenizer(Tokenizer):
    """Encodes contexts to be continued, of which the last ``room`` tokens stay, BOS or not.

    Raises ``SycojaxError`` on a context without tokens.
    """

    def __init__(self, raw: Any, published: Tokenizer, add_bos_token: bool | None, room: int):
        self._raw, self._add_bos_token, self._room = raw, add_bos_token, room
        super().__init__(
            published.source,
            max(raw.get_vocab().values()) + 1,
            special_ids(raw),
            raw.bos_token,
            raw.eos_token,
            encode_batch=self.encode_batch,
            decode=self.decode,
        )

    def encode_batch(
        self, texts: Sequence[str], *, add_special_tokens: bool = True
    ) -> list[list[int]]:
        bos = self._raw.bos_token or self._raw.eos_token or ""
        found = [
            encode(self._raw, text, bos, None, self._add_bos_token)[-self._room :] for text in texts
        ]
        if not all(found):
            raise SycojaxError(
                f"the context {texts[found.index([])]!r} has no tokens to be continued: the tokenizer adds no BOS; "
                "--model_args add_bos_token=True does"
            )
        return found

    def decode(self, ids: Sequence[int]) -> str:
        return self._raw.decode(list(ids), skip_special_tokens=True)
