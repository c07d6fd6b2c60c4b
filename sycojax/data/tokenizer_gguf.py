"""The tokenizer of a GGUF file, built from its metadata.

A GGUF file holds vocabulary, merges, kinds of tokens and the chat template. How a text is cut before merging it only
names (``tokenizer.ggml.pre``); a name that is not known here is refused, since every guess gives wrong ids somewhere.
transformers' own conversion knows other names, reads those it does not know as GPT-2's, and needs torch.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

from sycojax.errors import SycojaxError
from sycojax.gguf_file import open_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Kinds of tokens, as llama.cpp numbers them.
_NORMAL, _UNKNOWN, _CONTROL, _USER, _UNUSED, _BYTE = range(1, 7)

_LETTERS_AND_TRIPLES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LETTERS_AND_DIGITS = _LETTERS_AND_TRIPLES.replace(r"\p{N}{1,3}", r"\p{N}")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORDS_BY_CASE = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a byte-level vocabulary cuts a text: ``pattern`` "" is GPT-2's, after single digits where ``digits``."""

    pattern: str = ""
    digits: bool = False
    whole: bool = False  # a piece that is a token is not merged anew (`ignore_merges`)
    composed: bool = False  # Unicode NFC first
    bos: bool = False  # BOS goes in front where the file does not say


_LLAMA3 = Cut(_LETTERS_AND_TRIPLES, whole=True, bos=True)
CUTS = {
    "gpt-2": Cut(),
    "smollm": Cut(digits=True),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "tekken": Cut(_WORDS_BY_CASE, whole=True, bos=True),
    "qwen2": Cut(_LETTERS_AND_DIGITS, composed=True),
}


def read_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """transformers' tokenizer of a GGUF file.

    Raises ``SycojaxError`` as ``open_gguf`` does, and naming the kind of tokenizer that is not known, or what is missing
    or does not fit together. Warns where the file does not say how a text is cut.
    """
    from transformers import PreTrainedTokenizerFast

    file = open_gguf(path)
    said = {
        key.removeprefix("tokenizer.").removeprefix("ggml."): value
        for key, value in file.metadata.items()
        if key.startswith("tokenizer.")
    }
    tokens = said.get("tokens")
    if not isinstance(tokens, list) or not tokens:
        raise SycojaxError(f"{path} holds no tokenizer: set base.tokenizer to a directory with one")
    kinds = said.get("token_type") or [_NORMAL] * len(tokens)
    try:
        if said.get("model") == "gpt2":
            raw, bos = _byte_level(path, said, tokens, kinds)
        elif said.get("model") == "llama" and not any(said.get(key) for key in _REWRITES):
            raw, bos = _sentencepiece(said, tokens, kinds), True
        else:
            kind = f"{said.get('model')}{'' if said.get('model') != 'llama' else ' that rewrites texts'}"
            raise _unknown(path, f"a tokenizer of kind {kind!r}", "gpt2, llama")
        raw.add_tokens(
            [_added(t, kind) for t, kind in zip(tokens, kinds, strict=True) if kind in _ADDED]
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=raw,
            add_bos_token=bool(said.get("add_bos_token", bos)),
            add_eos_token=bool(said.get("add_eos_token", False)),
            clean_up_tokenization_spaces=False,
            chat_template=_templates(said),
            **_named(said, tokens),
        )
    except SycojaxError:
        raise
    except Exception as error:  # what the library raises where merges and vocabulary do not fit
        raise SycojaxError(f"{path}: its tokenizer is damaged ({error})") from error


# Where these are set, SentencePiece changes a text before it cuts it.
_REWRITES = ("precompiled_charsmap", "remove_extra_whitespaces")
_ADDED = (_UNKNOWN, _CONTROL, _USER)
_ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def _added(token: str, kind: int) -> AddedToken:
    return AddedToken(token, normalized=False, special=kind != _USER)


def _named(said: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, str | None]:
    """The texts of BOS, EOS and their like; None where the file names none."""
    ids = {role: said.get(f"{name}_token_id") for role, name in _ROLES.items()}
    return {f"{role}_token": None if i is None else tokens[int(i)] for role, i in ids.items()}


def _templates(said: Mapping[str, Any]) -> str | dict[str, str] | None:
    """The chat template; where there are several, by name."""
    prefix = "chat_template."
    others = {
        key.removeprefix(prefix): text for key, text in said.items() if key.startswith(prefix)
    }
    default = said.get("chat_template")
    return {"default": default, **others} if others and default else default


def _byte_level(
    path: Path, said: Mapping[str, Any], tokens: Sequence[str], kinds: Sequence[int]
) -> tuple[Tokenizer, bool]:
    """Byte-level BPE, and whether BOS goes in front where the file does not say."""
    name = said.get("pre", "")
    if name in ("", "default"):
        warnings.warn(
            f"{path} does not say how its tokenizer cuts a text (tokenizer.ggml.pre); it is read as GPT-2's. If the "
            "model has another, set base.tokenizer to a directory with its tokenizer.json",
            stacklevel=2,
        )
        name = "gpt-2"
    if name not in CUTS:
        raise _unknown(path, f"a tokenizer that cuts texts as {name!r} does", ", ".join(CUTS))
    cut = CUTS[name]
    used = (_NORMAL, *_ADDED)
    vocabulary = {
        t: i for i, (t, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind in used
    }
    raw = Tokenizer(models.BPE(vocabulary, _merges(said), ignore_merges=cut.whole))
    if cut.composed:
        raw.normalizer = normalizers.NFC()
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if cut.digits else []
    if cut.pattern:
        steps.append(pre_tokenizers.Split(Regex(cut.pattern), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not cut.pattern))
    raw.pre_tokenizer = pre_tokenizers.Sequence(steps)
    raw.decoder = decoders.ByteLevel()
    return raw, cut.bos


def _sentencepiece(
    said: Mapping[str, Any], tokens: Sequence[str], kinds: Sequence[int]
) -> Tokenizer:
    """SentencePiece's BPE as Llama-2's tokenizer.json has it: a space in front of every text between special tokens."""
    pieces = dict(zip(tokens, range(len(tokens)), strict=True))
    merges = _merges(said) or _merges_by_score(tokens, kinds, said["scores"])
    unknown = next((t for t, kind in zip(tokens, kinds, strict=True) if kind == _UNKNOWN), None)
    raw = Tokenizer(
        models.BPE(pieces, merges, unk_token=unknown, fuse_unk=True, byte_fallback=_BYTE in kinds)
    )
    prefix = bool(said.get("add_space_prefix", True))
    raw.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend("▁")] if prefix else []), normalizers.Replace(" ", "▁")]
    )
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(" ", 1, 0)] if prefix else [])
    )
    return raw


def _merges(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = (merge.split(" ") for merge in said.get("merges") or ())
    return [(left, right) for left, right in pairs]


def _merges_by_score(
    tokens: Sequence[str], kinds: Sequence[int], scores: Sequence[float]
) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, the better piece first, as SentencePiece merges."""
    rank = {
        token: (-score, i)
        for i, (token, kind, score) in enumerate(zip(tokens, kinds, scores, strict=True))
        if kind == _NORMAL
    }
    found = [
        (*order, token[:cut], token[cut:])
        for token, order in rank.items()
        for cut in range(1, len(token))
        if token[:cut] in rank and token[cut:] in rank
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _unknown(path: Path, what: str, known: str) -> SycojaxError:
    return SycojaxError(
        f"{path} has {what}, which is not known here (known: {known}): set base.tokenizer to a directory with the "
        "model's tokenizer.json"
    )
