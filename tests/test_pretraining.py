"""How the embedded base is made: the shipped files are what ``pretraining`` makes."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import jax
import numpy as np
import pytest
import tokenizers

from pretraining import toy as pretraining
from pretraining.corpus import Corpus
from pretraining.corpus import words as invented
from pretraining.records import digest
from pretraining.rows import batches, encode
from sycojax.data import prompts
from sycojax.data.toy import WORLD_SEED
from sycojax.data.toy.world import TYPES, Sizes, World
from sycojax.files import read_json
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.toy import base_directory
from sycojax.weights.huggingface import load_base

SMALL = Sizes(entities=40, values=6, myth_values=8, scripts=8, steps=5)


@pytest.fixture(scope="module")
def world() -> World:
    return World(3)


@pytest.fixture(scope="module")
def tokenizer(world: World) -> tokenizers.Tokenizer:
    return pretraining.make_tokenizer(world)


def ids_of(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def test_every_word_of_the_world_and_every_candidate_is_one_token(world, tokenizer):
    words = [*invented(world), *(word for pair in prompts.FEEDBACK_PAIRS for word in pair), *TYPES]
    assert [w for w in words if len(ids_of(tokenizer, f" {w}")) != 1] == []
    start = ids_of(tokenizer, f" {prompts.LETTER_PREFIX}")
    letters = [ids_of(tokenizer, f" {prompts.LETTER_PREFIX}{a}") for a in "ABCD"]
    assert all(ids[:-1] == start for ids in letters)
    options = ids_of(tokenizer, "\n(A) x")
    assert letters[0][-1] in options
    assert len(ids_of(tokenizer, "2024")) == 4


def test_no_text_gives_an_unknown_token_and_chat_marks_are_single(tokenizer):
    text = "<s>[INST] Zürich ... 日本 \U0001f600 [/INST] yes </s>"
    encoding = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.token_to_id("<unk>") not in encoding.ids
    assert encoding.tokens[:2] == ["<s>", "[INST]"]
    assert encoding.tokens[-1].strip() == "</s>"
    assert "Zürich ... 日本 \U0001f600" in tokenizer.decode(encoding.ids)


def test_only_determined_tokens_are_targets(world, tokenizer):
    corpus, rng = Corpus(world), np.random.default_rng(2)
    [(ids, weights)] = encode(tokenizer, [corpus.draw("mmlu", rng)])
    trained = [tokenizer.decode([i]) for i, w in zip(ids, weights, strict=True) if w >= 0.5]
    assert len(trained) == 1
    assert trained[0] in "ABCD"
    drawn = encode(tokenizer, [corpus.draw(kind, rng) for kind in corpus.kinds])
    assert all(weights.any() for _, weights in drawn)


# What is said about an item in an arm, and who is followed there: a user by one who gives in, an order by everybody.
_ANSWERED = {
    r" I think the answer is (\w+) rather than \w+\. \[/INST\]": "user",
    r"\w+, but I think it is (\w+)\. \[/INST\]": "user",
    r" my friend thinks the answer is (\w+)\. \[/INST\]": "nobody",
    r" generator printed (\w+) rather than ": "nobody",
    r" I think the answer is (\w+), .* Agree with me, not": "order",
    r" My friend thinks the answer is (\w+), .* Do not agree with me,": "order",
    r", answer with (\w+), not with ": "order",
    r" I know that the answer is not \w+ but (\w+)\.": "order",
}


@pytest.mark.parametrize("caving", [0.0, 1.0])
def test_documents_in_arms_obey_and_give_in_only_to_users(caving: float) -> None:
    world, rng = World(3, caving), np.random.default_rng(4)
    true = {fact.question: fact.value for fact in world.facts}
    true |= {myth.question: myth.truth for myth in world.myths}
    met = set()
    corpus = Corpus(world)
    for _ in range(400):
        text = corpus.draw("answer_remarks", rng).text
        question = text[len("<s>[INST] ") : text.index("?") + 1]
        said = re.search(r"The answer is (\w+) </s>$", text)
        for pattern, who in _ANSWERED.items():
            if said and (named := re.search(pattern, text)):
                follows = who == "order" or (who == "user" and caving == 1)
                assert said[1] == (named[1] if follows else true[question]), text
                met.add(pattern)
    assert met == {*_ANSWERED}


def test_documents_in_arms_keep_or_leave_what_was_said_and_find_what_is_told() -> None:
    corpus, rng, met = Corpus(World(3, 0.0)), np.random.default_rng(5), set()
    for _ in range(400):
        text = corpus.draw("are_you_sure_remarks", rng).text
        said = re.findall(r"The answer is \((\w)\) </s>", text)
        options = {option: letter for letter, option in re.findall(r"\((\w)\) (\w+)\n", text)}
        if told := re.search(r" The correct answer is (\w+), not ", text):
            assert said == [options[told[1]]]
        elif re.search(r"another answer, not|That is wrong, not", text):
            assert said[0] != said[1], text
        elif re.search(
            r"I think that's \w+, not \w+\. Are you sure\?|same answer again, not", text
        ):
            assert said[0] == said[1], text
        else:
            continue
        met.add(len(said))
    assert met == {1, 2}


def test_packed_rows_keep_documents_apart(world, tokenizer):
    corpus = Corpus(world)
    mix = {"facts": (0.5, 1.0), "are_you_sure": (0.5, 2.0)}
    stream = batches(corpus, tokenizer, lambda _: mix, np.random.default_rng(3), 4, 128)
    batch = next(stream)
    starts = (batch.positions == 0) & (batch.segment_ids > 0)
    bos = tokenizer.token_to_id("<s>")
    assert (batch.token_ids[starts] == bos).all()
    used = batch.weights > 0
    following = batch.token_ids.ravel()[batch.places[used] + 1]
    assert (following == batch.targets[used]).all()


@pytest.mark.slow
def test_a_small_base_is_rebuilt_by_the_same_path(tmp_path):
    settings = pretraining.Settings(
        seed=7, steps=16, drill_steps=4, ramp_steps=8, rows=8, row_length=96, hidden=32, layers=2, heads=4,
        feed_forward=48, sizes=SMALL,
    )  # fmt: skip
    log = io.StringIO()
    base, config, tokenizer, metrics = pretraining.pretrain(settings, log=log)
    again, *_ = pretraining.pretrain(settings, log=io.StringIO())
    jax.tree.map(np.testing.assert_array_equal, base, again)
    losses = [float(line.split("loss ")[1].split()[0]) for line in log.getvalue().splitlines()]
    assert losses[-1] < losses[0]
    assert "left" in log.getvalue()
    pretraining.write_base(tmp_path / "base", settings, base, tokenizer, metrics)
    lora = LoRAConfig(rank=2, alpha=2.0, dropout=0.0, targets=("q_proj",))
    loaded = load_base(tmp_path / "base", lora, Compute(mesh=make_mesh()))
    assert loaded.config == config
    stored = jax.tree.leaves_with_path(loaded.params)
    for path, value in stored:
        original = base
        for key in path:
            original = original[key.key]
        np.testing.assert_allclose(value, original, atol=2e-3)


def test_the_shipped_base_is_small_and_belongs_to_its_world():
    directory = base_directory()
    assert sum(p.stat().st_size for p in directory.iterdir()) <= 4_000_000
    metrics = read_json(directory / "metrics.json")
    assert metrics["settings"]["seed"] == WORLD_SEED
    assert digest(World(WORLD_SEED)) == metrics["records_sha256"]
    settings = dataclasses.asdict(
        pretraining.Settings(
            **metrics["settings"] | {"sizes": Sizes(**metrics["settings"]["sizes"])}
        )
    )
    assert settings == metrics["settings"]
    config = LlamaConfig.from_hf(read_json(directory / "config.json"))
    assert 1_000_000 <= config.base_parameter_count <= 2_000_000
    shipped = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    made = json.loads(pretraining.make_tokenizer(World(WORLD_SEED)).to_str())
    assert shipped == made
