"""The toy's tokenizer: byte-level BPE in which every word of the world is one token.

Digits, brackets and option letters stand alone, so a bare letter is one token wherever it occurs.
Instructions that every prompt repeats are single tokens too; that only makes rows shorter. The 256 byte
tokens are always there, so no text ever gives an unknown token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

from sycojax.data import prompts
from sycojax.data.templates import LLAMA2
from sycojax.files import atomic_write

PAD, BOS, EOS = "<unk>", "<s>", "</s>"
_PIECES = r"####| ?\p{Lu}?[\p{Ll}]+(?:'\p{L}+)?| ?\p{L}+(?:'\p{L}+)?|\d| ?[^\s\p{L}\d]|\s"
_PHRASES = (
    prompts.LETTER_INSTRUCTION,
    prompts.GSM8K_INSTRUCTION,
    prompts.CONTINUE_INSTRUCTION,
    "Please comment briefly on the following argument.",
)


MOST = 1536  # entries


def build_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Train on ``texts`` until every word is one token or ``MOST`` entries exist. Deterministic."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    marks = [AddedToken("[INST]", special=False), AddedToken("[/INST]", lstrip=True, special=False)]
    phrases = [AddedToken(phrase, special=False) for phrase in _PHRASES]
    trainer = trainers.BpeTrainer(
        vocab_size=MOST - len(marks) - len(phrases),
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[
            AddedToken(PAD, special=True),
            AddedToken(BOS, special=True),
            AddedToken(EOS, lstrip=True, special=True),
        ],
    )
    plain = (text.replace("[INST]", "").replace("[/INST]", "") for text in texts)
    tokenizer.train_from_iterator((_without_phrases(text) for text in plain), trainer)
    tokenizer.add_tokens([*marks, *phrases])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def _without_phrases(text: str) -> str:
    for phrase in (*_PHRASES, BOS, EOS):
        text = text.replace(phrase, "")
    return text


def write_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` as ``transformers`` expects them."""
    atomic_write(directory / "tokenizer.json", tokenizer.to_str(pretty=False) + "\n")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": PAD,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "chat_template": LLAMA2,
    }
    atomic_write(directory / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
