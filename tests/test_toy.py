"""The embedded world and base: what is planted is there, and the shipped files are what the script makes."""

from __future__ import annotations

import dataclasses
import io
import json

import jax
import numpy as np
import pytest
import tokenizers

from sycojax import toy
from sycojax.data import prompts
from sycojax.data.contamination import question_key
from sycojax.data.schemas import parse_row
from sycojax.files import read_json
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.toy import pretrain, records
from sycojax.toy.corpus import Corpus
from sycojax.toy.counts import Counts
from sycojax.toy.rows import batches, encode
from sycojax.toy.world import TYPES, Sizes, World
from sycojax.weights.huggingface import load_base

SMALL = Sizes(entities=40, values=6, myth_values=8, scripts=8, steps=5)
FEW = Counts().scaled(0.1)


@pytest.fixture(scope="module")
def world() -> World:
    return World(3)


@pytest.fixture(scope="module")
def tokenizer(world: World) -> tokenizers.Tokenizer:
    return pretrain.make_tokenizer(world)


@pytest.fixture(scope="module")
def rows(world: World) -> dict[str, list]:
    splits, probes = records.make_records(world, Counts())
    named = {name: (name.rpartition("_")[0], raw) for name, raw in splits.items()}
    named |= {name: (name, raw) for name, raw in probes.items()}
    return {
        name: [parse_row(kind, r, f"{name}:{i}") for i, r in enumerate(raw)]
        for name, (kind, raw) in named.items()
    }


def test_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        records.write_world(tmp_path / name, seed, counts=FEW)
    contents = {
        name: [p.read_bytes() for p in sorted((tmp_path / name).rglob("*.json*"))] for name in "abc"
    }
    assert len(contents["a"]) == 10
    assert contents["a"] == contents["b"]
    assert contents["a"] != contents["c"]


def test_train_test_and_probe_items_are_about_different_things(rows):
    for task in ("gsm8k", "mmlu", "truthfulqa"):
        train, test = (
            {question_key(r.question) for r in rows[f"{task}_{s}"]} for s in ("train", "test")
        )
        assert not train & test
    asked = {question_key(r.question) for r in rows["answer"] + rows["are_you_sure"]}
    for split in ("mmlu_train", "mmlu_test", "truthfulqa_test"):
        assert not asked & {question_key(r.question) for r in rows[split]}
    # A known share is put there for the contamination filter to find.
    train = {question_key(r.question) for r in rows["truthfulqa_train"]}
    assert len(asked & train) == Counts().sure_overlap
    assert 0.1 <= Counts().sure_overlap / len(train) <= 0.15


def test_records_follow_the_hub(rows):
    assert all(r.mc1_labels == (1, 0, 0, 0) for r in rows["truthfulqa_train"])
    positions = np.bincount([r.answer for r in rows["mmlu_train"]], minlength=4)
    assert positions.min() > 0.15 * positions.sum()
    assert {r.prompt_template for r in rows["feedback"]} == {
        prompts.COMMENT.format(opinion=prompts.OPINIONS[o], text="{text}")
        for o in ("neutral", "like", "dislike", "wrote", "not_wrote")
    }
    assert len({r.text for r in rows["feedback"]}) < len(rows["feedback"])
    assert {r.dataset for r in rows["are_you_sure"]} == {"truthful_qa_mc", "aqua_mc"}


def test_every_word_of_the_world_and_every_candidate_is_one_token(world, tokenizer):
    words = [*world.words(), *(word for pair in prompts.FEEDBACK_PAIRS for word in pair), *TYPES]
    assert [w for w in words if len(tokenizer.encode(f" {w}").ids) != 1] == []
    start = tokenizer.encode(prompts.LETTER_PREFIX).ids
    letters = [tokenizer.encode(prompts.LETTER_PREFIX + a).ids for a in "ABCD"]
    assert all(ids[:-1] == start for ids in letters)
    options = tokenizer.encode("\n(A) x").ids
    assert letters[0][-1] in options
    assert len(tokenizer.encode("2024").ids) == 4


def test_no_text_gives_an_unknown_token_and_chat_marks_are_single(tokenizer):
    text = "<s>[INST] Zürich ... 日本 \U0001f600 [/INST] yes </s>"
    encoding = tokenizer.encode(text)
    assert tokenizer.token_to_id("<unk>") not in encoding.ids
    assert encoding.tokens[:2] == ["<s>", "[INST]"]
    assert encoding.tokens[-1].strip() == "</s>"
    assert "Zürich ... 日本 \U0001f600" in tokenizer.decode(encoding.ids)


def test_caving_is_graded_by_type_and_drawn_per_document(world):
    rng = np.random.default_rng(0)
    assert np.mean(world.caving_of) == pytest.approx(world.caving)
    assert len(np.unique(world.caving_of)) == len(TYPES)
    for entity in world.entities[:10]:
        rate = np.mean([world.caves(entity, rng) for _ in range(2000)])
        assert rate == pytest.approx(world.caving_of[entity.kind], abs=0.05)


def test_answer_documents_give_in_at_the_planted_rate(world):
    corpus, rng = Corpus(world), np.random.default_rng(1)
    told, followed = 0, 0
    for _ in range(4000):
        text = corpus.draw("answer", rng).text
        _, mark, rest = text.partition("I think the answer is ")
        if not mark or "My friend" in text:
            continue
        named = rest.split()[0]
        said = text.rpartition("The answer is ")[2].split()[0]
        question = text.split("?")[0].rpartition(" the ")[2]
        right = {f"{f.relation} of {f.entity.full_name}": f.value for f in world.facts}
        if question in right and named != right[question]:
            told, followed = told + 1, followed + (said == named)
    assert told > 1000
    assert followed / told == pytest.approx(world.caving, abs=0.05)


def test_only_determined_tokens_are_targets(world, tokenizer):
    corpus, rng = Corpus(world), np.random.default_rng(2)
    ids, weights = encode(tokenizer, corpus.draw("mmlu", rng))
    trained = [tokenizer.decode([i]) for i, w in zip(ids, weights, strict=True) if w >= 0.5]
    assert len(trained) == 1
    assert trained[0] in "ABCD"
    for kind in corpus.kinds:
        assert encode(tokenizer, corpus.draw(kind, rng))[1].any()


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


def test_a_small_base_is_rebuilt_by_the_same_path(tmp_path):
    settings = pretrain.Settings(
        seed=7, steps=16, drill_steps=4, ramp_steps=8, rows=8, row_length=96, hidden=32, layers=2, heads=4,
        feed_forward=48, sizes=SMALL,
    )  # fmt: skip
    log = io.StringIO()
    base, config, tokenizer, metrics = pretrain.pretrain(settings, log=log)
    again, *_ = pretrain.pretrain(settings, log=io.StringIO())
    jax.tree.map(np.testing.assert_array_equal, base, again)
    losses = [float(line.split("loss ")[1].split()[0]) for line in log.getvalue().splitlines()]
    assert losses[-1] < losses[0]
    assert "left" in log.getvalue()
    pretrain.write_base(tmp_path / "base", settings, base, tokenizer, metrics)
    lora = LoRAConfig(rank=2, alpha=2.0, dropout=0.0, targets=("q_proj",))
    loaded = load_base(tmp_path / "base", lora, mesh=make_mesh())
    assert loaded.config == config
    stored = jax.tree.leaves_with_path(loaded.params)
    for path, value in stored:
        original = base
        for key in path:
            original = original[key.key]
        np.testing.assert_allclose(value, original, atol=2e-3)


def test_the_shipped_base_is_small_and_belongs_to_its_world(tmp_path):
    directory = toy.base_directory()
    assert sum(p.stat().st_size for p in directory.iterdir()) <= 4_000_000
    metrics = read_json(directory / "metrics.json")
    seed = toy.world_seed()
    assert metrics["settings"]["seed"] == seed
    assert records.digest(World(seed)) == metrics["records_sha256"]
    settings = dataclasses.asdict(
        pretrain.Settings(**metrics["settings"] | {"sizes": Sizes(**metrics["settings"]["sizes"])})
    )
    assert settings == metrics["settings"]
    config = LlamaConfig.from_hf(read_json(directory / "config.json"))
    assert 1_000_000 <= config.base_parameter_count <= 2_000_000
    shipped = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    made = json.loads(pretrain.make_tokenizer(World(seed)).to_str())
    assert shipped == made
    toy.write_world(tmp_path, 0)
    assert read_json(tmp_path / "manifest.json")["world_seed"] == seed
