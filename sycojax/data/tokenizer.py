"""Text to token ids and back, by transformers' fast tokenizer of a checkpoint."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sycojax.data.tokenizer_gguf import read_tokenizer
from sycojax.errors import SycojaxError
from sycojax.files import POINTER, is_pointer, read_json
from sycojax.gguf_file import find

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Encode = Callable[[str], list[int]]
EncodeBatch = Callable[[Sequence[str]], list[list[int]]]
Decode = Callable[[list[int]], str]

# transformers advises on its import to install torch, which nothing here needs.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

_FILES = ("tokenizer.json", "tokenizer.model")
# The tokens of a Llama, where no file beside the vocabulary says which they are.
_DEFAULTS = {"bos_token": "<s>", "eos_token": "</s>"}


class Tokenizer:
    """Encodes text with the special tokens written out in it, and decodes what a model generates.

    ``bos_token`` and ``eos_token`` (with ``bos_id`` and ``eos_id``) are None where the checkpoint has no such token.
    ``raw`` is transformers' tokenizer, which also knows the chat template; None where the tokenizer is made of two
    functions, as in tests.
    """

    def __init__(
        self,
        source: str,
        vocab_size: int,
        specials: Mapping[str, int],
        bos: str | None,
        eos: str | None,
        encode_batch: EncodeBatch,
        decode: Decode,
        raw: PreTrainedTokenizerFast | None = None,
    ):
        for role, token in (("bos", bos), ("eos", eos)):
            if token is not None and token not in specials:
                raise SycojaxError(
                    f"{source}: the {role} token {token!r} is not a special token of it"
                )
        self.source, self.raw = source, raw
        self.vocab_size = vocab_size  # one more than the largest id
        self.bos_token, self.eos_token = bos, eos
        self.bos_id = None if bos is None else specials[bos]
        self.eos_id = None if eos is None else specials[eos]
        self.special_texts = {token_id: text for text, token_id in specials.items()}
        self._encode_batch, self._decode = encode_batch, decode
        # `decode` puts its ids after this one, so that the leading space of a continuation survives.
        self._anchor = encode_batch(["a"])[0][-1]
        self._anchor_text = decode([self._anchor])

    @classmethod
    def from_directory(cls, path: str | Path) -> Tokenizer:
        """Read the tokenizer of a checkpoint directory, or of a GGUF file (or of a directory that holds only one).

        Its special and added tokens come from all of tokenizer.json, tokenizer_config.json, special_tokens_map.json and
        added_tokens.json. Raises ``SycojaxError`` when there is no tokenizer, or when its files are damaged or do not
        fit together.
        """
        directory = Path(path)
        if found := gguf_of(directory):
            return _of(cls, read_tokenizer(found), str(found))
        for name in _FILES:
            if (directory / name).is_file():
                return _whole(cls, directory, name)
        raise SycojaxError(
            f"{directory} has no tokenizer.json and no tokenizer.model: point base.tokenizer at a "
            "directory that has one"
        )

    @functools.cached_property
    def start_ids(self) -> list[int]:
        """What the tokenizer itself puts in front of a text: BOS or nothing."""
        if self.raw is None:
            return [] if self.bos_id is None else [self.bos_id]
        whole, alone = self.raw.encode("a"), self.raw.encode("a", add_special_tokens=False)
        starts = (i for i in range(len(whole)) if whole[i : i + len(alone)] == alone)
        return whole[: next(starts, 0)]

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Ids of ``text``, in which special tokens that are written out become their ids.

        As a text by itself it begins with ``start_ids``, unless it already starts with BOS. A rendered conversation has all
        its special tokens written out: it is read with ``add_special_tokens=False``.
        """
        return self.encode_batch([text], add_special_tokens=add_special_tokens)[0]

    def encode_batch(
        self, texts: Sequence[str], *, add_special_tokens: bool = True
    ) -> list[list[int]]:
        """``encode`` of every text; several at a time where the library has threads."""
        with _refusing(self.source):
            found = self._encode_batch(texts)
        if not add_special_tokens:
            return found
        return [
            ids if self.bos_token and text.startswith(self.bos_token) else [*self.start_ids, *ids]
            for text, ids in zip(texts, found, strict=True)
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


def gguf_of(directory: Path) -> Path | None:
    """The GGUF file that a tokenizer is read from; None where a file of its own holds it, which goes before."""
    return None if any((directory / name).is_file() for name in _FILES) else find(directory)


def _whole(cls: type[Tokenizer], directory: Path, name: str) -> Tokenizer:
    """The tokenizer, with all asked of it that its files may have wrong."""
    wrong = (TypeError, ValueError, LookupError, AttributeError, OverflowError)
    with _refusing(str(directory / name), wrong):
        tokenizer = _of(cls, _read(directory, name), str(directory / name))
        tokenizer.decode(tokenizer.encode(_PROBE))
    return tokenizer


@contextlib.contextmanager
def _refusing(source: str, wrong: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raise ``SycojaxError`` in place of ``wrong``, and of a panic of the library's own Rust."""
    try:
        yield
    except BaseException as error:
        # A panic is no Exception, and has no type to import.
        if not isinstance(error, wrong) and type(error).__name__ != "PanicException":
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise SycojaxError(
            f"{source} or a file beside it says what no tokenizer has ({said})"
        ) from error


def _read(directory: Path, name: str) -> PreTrainedTokenizerFast:
    """transformers' tokenizer of ``directory``, as its files say.

    The class that reads tokenizer.json as it is, whatever class tokenizer_config.json names: those build a tokenizer of
    their own kind from the vocabulary alone, and lose spaces where the file is of another kind. A tokenizer.model it
    converts, to the ids that SentencePiece gives.
    """
    from transformers import PreTrainedTokenizerFast

    # Says which file is damaged, or that Git LFS left a note in its place.
    beside = {file.name: read_json(file) for file in directory.glob("*token*.json")}
    for file, content in beside.items():
        if not isinstance(content, dict):
            raise SycojaxError(f"{directory / file} is not a JSON object")
    if is_pointer(directory / name):
        raise SycojaxError(f"{directory / name} is {POINTER}")
    # Old versions wrote a token with all its flags there.
    config = beside.get("tokenizer_config.json", {})
    texts = {
        key: value["content"]
        for key, value in config.items()
        if key.endswith("_token") and isinstance(value, dict) and "content" in value
    }
    try:
        raw = PreTrainedTokenizerFast.from_pretrained(
            str(directory), local_files_only=True, **texts
        )
    except (
        Exception
    ) as error:  # the library's own type for a file it cannot read is Exception itself
        kind = "a tokenizer.json" if name.endswith(".json") else "a SentencePiece model"
        said = str(error).strip().splitlines() or [repr(error)]
        raise SycojaxError(
            f"{directory / name} is not {kind}, or a file beside it does not fit it: {said[0]}"
        ) from error
    raw.backend_tokenizer.no_truncation()
    raw.backend_tokenizer.no_padding()
    if name == "tokenizer.model":
        _compare(raw, directory / name, legacy=config.get("legacy") is not False)
    _name_ends(raw, beside, directory / name)
    return raw


# Where tokenizers have gone wrong: spaces, digits, bytes, letters with marks.
_PROBE = "  Two  spaces, 1234 a\tb\n\né e\u0301 日本 \U0001f600 x"


def _compare(raw: PreTrainedTokenizerFast, file: Path, *, legacy: bool) -> None:
    """Refuse a conversion that gives other ids than SentencePiece itself; versions of transformers differ.

    Where ``legacy`` is switched off, a text that begins with a space gets no other in front, so it is not asked for one.
    """
    import sentencepiece
    import transformers

    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    probe = _PROBE if legacy else _PROBE.lstrip()
    if raw.encode(probe, add_special_tokens=False) != model.encode(probe):
        raise SycojaxError(
            f"transformers {transformers.__version__} reads {file} otherwise than SentencePiece does: give a directory with "
            "tokenizer.json, or install transformers 5.24 where that is another"
        )


def _name_ends(raw: PreTrainedTokenizerFast, beside: Mapping[str, Any], source: Path) -> None:
    """Take Llama's BOS and EOS where no file names one; refuse one that is named and in no file.

    transformers would give such a token a new id, for which the model has no embedding.
    """
    config = beside.get("tokenizer_config.json", {})
    named = {**beside.get("special_tokens_map.json", {}), **config}
    listed = (
        *beside.get("tokenizer.json", {}).get("added_tokens", ()),
        *config.get("added_tokens_decoder", {}).values(),
    )
    known = {*beside.get("added_tokens.json", {}), *(token["content"] for token in listed)}
    for key, default in _DEFAULTS.items():
        if key not in named:
            if default in raw.get_vocab():
                raw.add_special_tokens({key: default})
            continue
        text = getattr(raw, key)
        if text is not None and text not in known and raw.get_vocab()[text] >= raw.vocab_size:
            raise SycojaxError(
                f"{source}: the {key[:3]} token {text!r} is not a special token of it"
            )


def _of(cls: type[Tokenizer], raw: PreTrainedTokenizerFast, source: str) -> Tokenizer:
    """The project's tokenizer of transformers' one."""
    backend = raw.backend_tokenizer
    specials = {str(t): i for i, t in raw.added_tokens_decoder.items() if t.special}
    return cls(
        source,
        max(raw.get_vocab().values()) + 1,
        specials,
        *(None if token is None else str(token) for token in (raw.bos_token, raw.eos_token)),
        # The fast form keeps no offsets into the text, which nobody reads here.
        encode_batch=lambda texts: [
            found.ids for found in backend.encode_batch_fast(list(texts), add_special_tokens=False)
        ],
        # Not transformers' decode, which some checkpoints tell to take the spaces before punctuation away.
        decode=lambda ids: backend.decode(ids, skip_special_tokens=True),
        raw=raw,
    )
