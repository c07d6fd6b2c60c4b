"""Text to token ids and back, from a directory in Hugging Face layout.

``tokenizer.json`` is read as it is by the ``tokenizers`` library. Where only a ``tokenizer.model`` exists,
SentencePiece reads it. Both give the published ids of Llama-2; transformers 5 converting a
``tokenizer.model`` itself does not (it loses double and leading spaces), so it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers

from sycojax.errors import SycojaxError
from sycojax.files import POINTER, is_pointer, read_json

Encode = Callable[[str], list[int]]
EncodeBatch = Callable[[Sequence[str]], list[list[int]]]
Decode = Callable[[list[int]], str]


class Tokenizer:
    """Encodes text with the special tokens written out in it, and decodes what a model generates."""

    def __init__(
        self,
        source: str,
        vocab_size: int,
        specials: dict[str, int],
        bos: str,
        eos: str,
        encode_batch: EncodeBatch,
        decode: Decode,
    ):
        for role, token in (("bos", bos), ("eos", eos)):
            if token not in specials:
                raise SycojaxError(
                    f"{source}: the {role} token {token!r} is not a special token of it"
                )
        self.source = source
        self.vocab_size = vocab_size  # one more than the largest id
        self.bos_token, self.eos_token = bos, eos
        self.bos_id, self.eos_id = specials[bos], specials[eos]
        self.special_texts = {token_id: text for text, token_id in specials.items()}
        self._encode_batch, self._decode = encode_batch, decode
        # `decode` puts its ids after this one, so that the leading space of a continuation survives.
        self._anchor = encode_batch(["a"])[0][-1]
        self._anchor_text = decode([self._anchor])

    @classmethod
    def from_directory(cls, path: str | Path) -> Tokenizer:
        """Read the tokenizer of a checkpoint directory.

        Raises ``SycojaxError`` when there is none, or when its files are damaged or do not fit together.
        """
        directory = Path(path)
        bos, eos = _bos_and_eos(directory)
        if (directory / "tokenizer.json").is_file():
            return _from_json(cls, directory / "tokenizer.json", bos, eos)
        if (directory / "tokenizer.model").is_file():
            return _from_sentencepiece(cls, directory / "tokenizer.model", bos, eos)
        raise SycojaxError(
            f"{directory} has no tokenizer.json and no tokenizer.model: point base.tokenizer at a "
            "directory that has one"
        )

    def encode(self, text: str) -> list[int]:
        """Ids with BOS in front, unless the text itself starts with the BOS token (``<s>``).

        Special tokens that are written out in the text become their ids.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """``encode`` of every text; several at a time where the library has threads."""
        return [
            ids if text.startswith(self.bos_token) else [self.bos_id, *ids]
            for text, ids in zip(texts, self._encode_batch(texts), strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without special tokens; bytes that are not UTF-8 become U+FFFD.

        Ids that start with BOS are a whole text. Others continue one, and what they add to it comes back
        exactly, its leading space included. Raises ``SycojaxError`` on an id outside the vocabulary.
        """
        for token_id in ids:
            if not 0 <= token_id < self.vocab_size:
                raise SycojaxError(
                    f"token id {token_id} is outside the vocabulary of {self.source} "
                    f"({self.vocab_size} ids): the model belongs to another tokenizer"
                )
        plain = [int(i) for i in ids if i not in self.special_texts]
        if len(ids) > 0 and ids[0] == self.bos_id:
            return self._decode(plain)
        return self._decode([self._anchor, *plain]).removeprefix(self._anchor_text)


def check_vocabulary(tokenizer: Tokenizer, config_vocab_size: int) -> None:
    """Raise ``SycojaxError`` when a tokenizer cannot belong to a model with that many embeddings.

    Fewer embeddings than ids would read outside the table. More are usual (tables are padded to a round
    size), but not twice as many.
    """
    if tokenizer.vocab_size > config_vocab_size or 2 * tokenizer.vocab_size < config_vocab_size:
        raise SycojaxError(
            f"tokenizer/model mismatch: {tokenizer.source} has {tokenizer.vocab_size} token ids, but the "
            f"model has {config_vocab_size} embeddings (vocab_size): use the model's own tokenizer"
        )


def _bos_and_eos(directory: Path) -> tuple[str, str]:
    """The two tokens' texts from the files beside the vocabulary; Llama's where no file names them."""
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            found |= {k: v for k, v in read_json(directory / name).items() if v is not None}
    texts = []
    for key, default in (("bos_token", "<s>"), ("eos_token", "</s>")):
        value = found.get(key, default)
        texts.append(value["content"] if isinstance(value, dict) else value)
    return texts[0], texts[1]


def _from_json(cls: type[Tokenizer], path: Path, bos: str, eos: str) -> Tokenizer:
    try:
        added = read_json(path)["added_tokens"]
        specials = {token["content"]: int(token["id"]) for token in added if token["special"]}
    except (LookupError, TypeError) as error:
        raise SycojaxError(f"{path} has no list of added tokens: {error!r}") from error
    try:
        raw = tokenizers.Tokenizer.from_file(str(path))
    except (
        Exception
    ) as error:  # the library's own type for a file it cannot read is Exception itself
        raise SycojaxError(f"{path} is not a tokenizer.json: {error}") from error
    raw.no_truncation()
    raw.no_padding()
    return cls(
        str(path),
        max(raw.get_vocab(with_added_tokens=True).values()) + 1,
        specials,
        bos,
        eos,
        # The fast form keeps no offsets into the text, which nobody reads here.
        encode_batch=lambda texts: [
            found.ids for found in raw.encode_batch_fast(list(texts), add_special_tokens=False)
        ],
        decode=lambda ids: raw.decode(ids, skip_special_tokens=True),
    )


def _from_sentencepiece(cls: type[Tokenizer], path: Path, bos: str, eos: str) -> Tokenizer:
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        said = f"not a SentencePiece model: {error}"
        raise SycojaxError(f"{path} is {POINTER if is_pointer(path) else said}") from error
    specials = {
        model.id_to_piece(i): i
        for i in range(model.vocab_size())
        if model.is_control(i) or model.is_unknown(i)
    }
    # The model reads "<s>" in a text as three characters; the published tokenizer takes the token's id and
    # encodes what lies between such tokens as texts of their own.
    pieces = re.compile("(" + "|".join(re.escape(token) for token in specials) + ")")

    def encode(text: str) -> list[int]:
        ids: list[int] = []
        for piece in pieces.split(text):
            if piece in specials:
                ids.append(specials[piece])
            elif piece:
                ids += model.encode(piece)
        return ids

    return cls(
        str(path),
        model.vocab_size(),
        specials,
        bos,
        eos,
        encode_batch=lambda texts: [encode(text) for text in texts],
        decode=model.decode,
    )
