"""Tokenizers out of GGUF files: the ids of the tokenizer.json that llama.cpp's converter was given."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

pytest.importorskip("gguf", reason="the gguf extra is not installed")
import gguf
import gguf_cases as cases

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError

TEXTS = (
    "", " ", "Hello", "  two  spaces ", "a\n\n b\t\n", "é e\u0301 日本😀", "12 345  6789", "x1y22",
    "it's WE'LL", "<|im_start|>user\nHi<|im_end|>\n", "a<|im_end|>", "<think>\n\n</think> x", "(!)  ?!\r\n",
)  # fmt: skip
LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)


def make(directory: Path, pre: str, **config: Any) -> Path:
    """A tokenizer.json that cuts texts as ``pre`` says, trained on little, with ChatML's tokens."""
    whole = pre == "llama-bpe"
    raw = tokenizers.Tokenizer(models.BPE(ignore_merges=whole))
    if pre == "qwen2":
        raw.normalizer = normalizers.NFC()
    pattern = {"llama-bpe": LETTERS, "qwen2": LETTERS.replace("{1,3}", "")}.get(pre)
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if pre == "smollm" else []
    if pattern:
        steps.append(pre_tokenizers.Split(Regex(pattern), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None))
    raw.pre_tokenizer = pre_tokenizers.Sequence(steps)
    raw.decoder = decoders.ByteLevel()
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in marks],
    )  # fmt: skip
    raw.train_from_iterator(
        ["  two  spaces it's 12 345 hello Hello", "\n\n (!) 日本 é we'll"] * 9, trainer
    )
    raw.add_tokens(
        [AddedToken(t, special=False, normalized=False) for t in ("<think>", "</think>")]
    )
    directory.mkdir(parents=True, exist_ok=True)
    raw.save(str(directory / "tokenizer.json"))
    said = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
        "chat_template": TEMPLATE, "pre": pre, **config,
    }  # fmt: skip
    (directory / "tokenizer_config.json").write_text(json.dumps(said))
    return directory


def packed(path: Path, directory: Path, rows: int, pre: str = "", **strings: str) -> Path:
    """A GGUF file with nothing but a tokenizer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    cases.add_tokenizer(writer, directory, rows, pre)
    for key, value in strings.items():
        writer.add_string(key.replace("__", "."), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def agrees(path: Path, directory: Path) -> Tokenizer:
    ours, judge = (
        Tokenizer.from_directory(path),
        transformers.AutoTokenizer.from_pretrained(directory),
    )
    raw: Any = ours.raw
    for text in TEXTS:
        plain = judge.encode(text, add_special_tokens=False)
        assert raw.encode(text, add_special_tokens=False) == plain, text
        assert raw.decode(plain) == judge.decode(plain), text
    for name in ("bos_token_id", "eos_token_id", "chat_template"):
        assert getattr(raw, name) == getattr(judge, name)
    marks = {i: (t.content, t.special) for i, t in judge.added_tokens_decoder.items()}
    assert {i: (t.content, t.special) for i, t in raw.added_tokens_decoder.items()} == marks
    return ours


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_ids_are_those_of_the_file_it_was_made_from(pre: str, tmp_path: Path) -> None:
    directory = make(tmp_path / "own", pre)
    ours = agrees(packed(tmp_path / "model.gguf", directory, rows=450), directory)
    # Rows of a padded table are no tokens.
    assert (
        ours.vocab_size
        == len(json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]) + 2
    )
    assert ours.start_ids == ([ours.bos_id] if pre == "llama-bpe" else [])


def test_what_the_file_says_of_bos_counts(tmp_path: Path) -> None:
    for pre, said in (("llama-bpe", False), ("gpt-2", True)):
        directory = make(tmp_path / pre, pre, add_bos_token=said)
        ours = Tokenizer.from_directory(packed(tmp_path / f"{pre}.gguf", directory, rows=0))
        assert ours.start_ids == ([ours.bos_id] if said else [])


def test_templates_by_name(tmp_path: Path) -> None:
    directory = make(tmp_path / "own", "gpt-2")
    path = packed(tmp_path / "model.gguf", directory, 0, tokenizer__chat_template__tool_use="tools")
    raw: Any = Tokenizer.from_directory(path).raw
    assert raw.chat_template == {"default": TEMPLATE, "tool_use": "tools"}
    turns = [{"role": "user", "content": "Hi"}]
    assert raw.apply_chat_template(turns, tokenize=False) == "<|im_start|>user\nHi<|im_end|>\n"


def test_a_way_to_cut_that_is_not_known_is_refused(tmp_path: Path) -> None:
    directory = make(tmp_path / "own", "gpt-2")
    path = packed(tmp_path / "model.gguf", directory, 0, pre="superbpe")
    with pytest.raises(
        SycojaxError, match=r"cuts texts as 'superbpe' does.*base\.tokenizer"
    ) as error:
        Tokenizer.from_directory(path)
    assert "\n" not in str(error.value)
    # A tokenizer.json beside the file goes before what the file says.
    (directory / "model.gguf").write_bytes(path.read_bytes())
    assert Tokenizer.from_directory(directory).encode("<|im_end|>")[-1] == 2


def test_one_that_names_no_way_to_cut_is_read_as_gpt2_with_a_warning(tmp_path: Path) -> None:
    directory = make(tmp_path / "own", "gpt-2")
    path = packed(tmp_path / "model.gguf", directory, 0, pre="default")
    with pytest.warns(UserWarning, match="does not say how its tokenizer cuts a text"):
        agrees(path, directory)


def test_no_tokenizer_or_a_damaged_one(tmp_path: Path) -> None:
    def file(*add: Any) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        for what in add:
            what(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    with pytest.raises(SycojaxError, match="holds no tokenizer: set base"):
        Tokenizer.from_directory(file())
    tokens = lambda w: w.add_token_list(["a", "b"])  # noqa: E731
    with pytest.raises(SycojaxError, match="a tokenizer of kind 'bert'"):
        Tokenizer.from_directory(file(lambda w: w.add_tokenizer_model("bert"), tokens))
    with pytest.raises(SycojaxError, match="'llama that rewrites texts'"):
        Tokenizer.from_directory(
            file(
                lambda w: w.add_tokenizer_model("llama"),
                tokens,
                lambda w: w.add_bool("tokenizer.ggml.remove_extra_whitespaces", True),
            )
        )
    bpe = (lambda w: w.add_tokenizer_model("gpt2"), lambda w: w.add_tokenizer_pre("gpt-2"), tokens)
    with pytest.raises(SycojaxError, match="its tokenizer is damaged"):
        Tokenizer.from_directory(file(*bpe, lambda w: w.add_token_merges(["a c"])))


def test_sentencepiece_is_llama2s(shared_data: Path, tmp_path: Path) -> None:
    """Pieces with scores and without merges, as converted from a tokenizer.model."""
    import sentencepiece

    directory = shared_data / "models" / "llama2_tokenizer"
    model = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    ids = range(model.vocab_size())
    kinds = [
        2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1
        for i in ids
    ]
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([model.id_to_piece(i) for i in ids])
    writer.add_token_scores([model.get_score(i) for i in ids])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours = Tokenizer.from_directory(tmp_path / "model.gguf")
    published = Tokenizer.from_directory(directory)
    chat = "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Sure? [/INST]"
    for text in (*TEXTS, chat, " a", "a  b"):
        assert ours.encode(text) == published.encode(text), text
        assert ours.decode(ours.encode(text)) == published.decode(published.encode(text))
    assert ours.start_ids == [1]


@pytest.mark.parametrize(("name", "pre"), [("llama3_1", "llama-bpe"), ("qwen3", "qwen2")])
def test_real_tokenizers(name: str, pre: str, real_models: Path, tmp_path: Path) -> None:
    directory = real_models / f"tokenizer-{name}"
    if not (directory / "tokenizer.json").is_file():
        pytest.skip(f"{directory} holds no tokenizer.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agrees(packed(tmp_path / "model.gguf", directory, 0, pre), directory)
