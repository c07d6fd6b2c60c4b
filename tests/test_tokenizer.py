"""Ids as published, both vocabulary files alike, and decoding that gives back what was generated."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import dialects
import pytest
import sentencepiece
import transformers

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError

CHAT = "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Sure? [/INST]"
# Published ids of Llama-2 for CHAT.
CHAT_IDS = [
    1, 518, 25580, 29962, 3532, 14816, 29903, 6778, 13, 3629, 11473, 29889, 13, 29966, 829, 14816,
    29903, 6778, 13, 13, 18567, 518, 29914, 25580, 29962, 15043, 29889, 29871, 2,
    1, 518, 25580, 29962, 18585, 29973, 518, 29914, 25580, 29962,
]  # fmt: skip
ODD_TEXTS = (
    "", " ", "  ", "\n", " Hello", "  two  spaces  ", "a\n\n b\n", "tab\tx", "é😀日本", "\u00a0nbsp",
    "a <s> b<unk>c", "</s></s> x", CHAT,
)  # fmt: skip


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer.json of the byte-level kind, whose tokens keep their own spaces."""
    texts = ["the answer is the number of the question"] * 5
    raw = dialects.byte_level(texts, ("<unk>", "<s>", "</s>"), 300, "<s>")
    directory = tmp_path_factory.mktemp("byte_level")
    raw.save(str(directory / "tokenizer.json"))
    return Tokenizer.from_directory(directory)


@pytest.fixture(scope="module")
def piece_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer.model of Llama-2's kind: dummy prefix, byte fallback."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the answer is the number", "of the question is 12"] * 20),
        model_writer=stream, vocab_size=300, model_type="bpe", byte_fallback=True, minloglevel=2,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
    )  # fmt: skip
    directory = tmp_path_factory.mktemp("piece_level")
    (directory / "tokenizer.model").write_bytes(stream.getvalue())
    (directory / "tokenizer_config.json").write_text('{"add_bos_token": true}')
    return Tokenizer.from_directory(directory)


@pytest.fixture(params=["byte_level", "piece_level"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return request.getfixturevalue(request.param)


def without_specials(text: str) -> str:
    for token in ("<s>", "</s>", "<unk>"):
        text = text.replace(token, "")
    return text


def test_bos_goes_in_front_once(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("")[:2] == [tokenizer.bos_id]
    assert tokenizer.encode("the")[0] == tokenizer.bos_id
    assert tokenizer.encode("<s>the").count(tokenizer.bos_id) == 1
    assert tokenizer.encode("the</s>")[-1] == tokenizer.eos_id


def test_a_batch_is_encoded_as_its_texts_are(tokenizer: Tokenizer) -> None:
    alone = [tokenizer.encode(text) for text in ODD_TEXTS]
    assert tokenizer.encode_batch(ODD_TEXTS) == alone
    assert len({tuple(ids) for ids in alone}) > len(ODD_TEXTS) // 2
    assert tokenizer.encode_batch([]) == []


@pytest.mark.parametrize("text", [t for t in ODD_TEXTS if t == without_specials(t)])
def test_decoding_a_whole_text_gives_it_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("continuation", [" #### 12", "#### 12", "  the\n answer", " é", "</s>"])
def test_decoding_a_continuation_keeps_its_first_space(
    tokenizer: Tokenizer, continuation: str
) -> None:
    prompt = tokenizer.encode("<s>[INST] the question [/INST]")
    joint = tokenizer.encode("<s>[INST] the question [/INST]" + continuation)
    assert joint[: len(prompt)] == prompt
    assert tokenizer.decode(joint[len(prompt) :]) == without_specials(continuation)


def test_half_a_character_decodes_to_the_replacement_character(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the😀")
    assert tokenizer.decode(ids[:-1]).startswith("the\ufffd")
    assert tokenizer.decode([]) == ""


def test_an_id_outside_the_vocabulary_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(SycojaxError, match=f"token id {tokenizer.vocab_size} is outside"):
        tokenizer.decode([5, tokenizer.vocab_size])


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SycojaxError, match=r"has no tokenizer\.json and no tokenizer\.model"):
        Tokenizer.from_directory(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(SycojaxError, match=r"tokenizer\.model is not a SentencePiece model"):
        Tokenizer.from_directory(tmp_path)
    for damaged in ("{", "{}", '{"added_tokens": []}'):
        (tmp_path / "tokenizer.json").write_text(damaged)
        with pytest.raises(SycojaxError, match=r"tokenizer\.json"):
            Tokenizer.from_directory(tmp_path)


def test_the_special_tokens_named_beside_the_vocabulary_are_used(
    byte_level: Tokenizer, tmp_path: Path
) -> None:
    shutil.copy(byte_level.source, tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"bos_token": {"content": "</s>"}, "eos_token": "<s>"}))
    swapped = Tokenizer.from_directory(tmp_path)
    assert (swapped.bos_id, swapped.eos_id) == (byte_level.eos_id, byte_level.bos_id)
    config.write_text(json.dumps({"bos_token": "<bos>"}))
    with pytest.raises(SycojaxError, match="bos token '<bos>' is not a special token"):
        Tokenizer.from_directory(tmp_path)


def study_texts(data: Path) -> list[str]:
    """Questions, options and prompts of the study; about 1,500 texts."""
    texts = []
    for path in sorted((data / "study" / "splits").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n")[:60]:
            texts += [v for v in json.loads(line).values() if isinstance(v, str)]
    probes = json.loads((data / "study" / "probes.json").read_text(encoding="utf-8"))
    texts += [row["prompt"][0]["content"] for rows in probes.values() for row in rows[:60]]
    texts += [f"<s>[INST] {text} [/INST] The answer is (" for text in texts[::10]]
    return texts


@pytest.mark.parametrize("name", ["llama2_tokenizer", "stories260K"])
def test_real_tokenizers_agree_between_files_and_with_transformers(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    directory = shared_data / "models" / name
    for file in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(directory / file, tmp_path)
    ours = Tokenizer.from_directory(directory)
    pieces = Tokenizer.from_directory(tmp_path)
    assert (ours.vocab_size, ours.bos_id, ours.eos_id) == (pieces.vocab_size, 1, 2)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    for text in (*ODD_TEXTS, *study_texts(shared_data)):
        ids = ours.encode(text)
        assert ids == pieces.encode(text), text
        assert ids == fast.encode(text, add_special_tokens=not text.startswith("<s>")), text
        if text == without_specials(text):
            assert ours.decode(ids) == pieces.decode(ids) == text


def test_llama2_ids_are_the_published_ones(shared_data: Path) -> None:
    llama2 = Tokenizer.from_directory(shared_data / "models" / "llama2_tokenizer")
    assert llama2.encode(CHAT) == CHAT_IDS
    assert llama2.encode("Hello  World") == [1, 15043, 29871, 2787]
    assert llama2.encode(" Hello") == [1, 29871, 15043]
    assert llama2.vocab_size == 32000
