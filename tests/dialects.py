"""Six chat templates as their makers describe them, each with a small tokenizer of its kind, as checkpoint directories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers

CORPUS = [
    "the answer is the number of the question", "are you sure the argument is strong or weak",
    "Question: what is two plus two?\nAnswer: four", "user assistant system I think that is right",
]  # fmt: skip


class Dialect(NamedTuple):
    """A template, the special tokens of its tokenizer, and which of them are BOS and EOS."""

    template: str
    specials: Sequence[str]
    bos: str | None
    eos: str
    adds_bos: bool = False
    args: tuple[tuple[str, bool], ...] = ()


CHATML = Dialect(
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|im_start|>", "<|im_end|>",
)  # fmt: skip
LLAMA3 = Dialect(
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ date_string }}\n\n{{ system }}<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "<|begin_of_text|>", "<|end_of_text|>", adds_bos=True,
)  # fmt: skip
MISTRAL = Dialect(
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }}[/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), "<s>", "</s>", adds_bos=True,
)  # fmt: skip
ZEPHYR = Dialect(
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}<|assistant|>\n{% endif %}{% endfor %}",
    ("<unk>", "<s>", "</s>"), "<s>", "</s>", adds_bos=True,
)  # fmt: skip
QWEN3 = Dialect(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>", args=(("enable_thinking", False),),
)  # fmt: skip
LLAMA2 = Dialect(
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'].strip() + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    ("<unk>", "<s>", "</s>"), "<s>", "</s>", adds_bos=True,
)  # fmt: skip
DIALECTS = {
    "chatml": CHATML, "llama3": LLAMA3, "mistral": MISTRAL, "zephyr": ZEPHYR, "qwen3": QWEN3, "llama2": LLAMA2,
}  # fmt: skip


def byte_level(
    texts: Sequence[str], marks: Sequence[str], entries: int, bos: str | None = None
) -> tokenizers.Tokenizer:
    """A byte-level tokenizer of ``entries`` tokens trained on ``texts``; ``bos`` goes in front by post-processor."""
    raw = tokenizers.Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        show_progress=False,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in marks],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    raw.train_from_iterator(texts, trainer)
    if bos:
        raw.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, raw.token_to_id(bos))]
        )
    return raw


def write_tokenizer(directory: Path, dialect: Dialect) -> Path:
    """``tokenizer.json`` and ``tokenizer_config.json`` of a byte-level tokenizer with the dialect's tokens."""
    raw = byte_level(CORPUS * 8, dialect.specials, 400, dialect.bos if dialect.adds_bos else None)
    directory.mkdir(parents=True, exist_ok=True)
    raw.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": dialect.bos, "eos_token": dialect.eos,
        "clean_up_tokenization_spaces": False, "chat_template": dialect.template,
    }  # fmt: skip
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory
