"""The embedded world: what is planted is there, and its rows are those of any source."""

from __future__ import annotations

import numpy as np
import pytest

import sycojax
from pretraining.talk import Talk
from sycojax.config import ScoreConfig, StudyConfig, TrainConfig
from sycojax.data import prompts
from sycojax.data.questions import question_key
from sycojax.data.sources import open_source
from sycojax.data.toy import WORLD_SEED
from sycojax.data.toy.counts import Counts
from sycojax.data.toy.world import TYPES, World
from sycojax.evals import BUILTIN
from sycojax.files import read_json
from sycojax.study.run import run
from tests.toy_files import write_world


@pytest.fixture(scope="module")
def world() -> World:
    return World(3)


@pytest.fixture(scope="module")
def rows() -> dict[str, list]:
    """Of the same world, by split (``mmlu_train``) and probe (``answer``)."""
    source = open_source("toy", "", BUILTIN, 3)
    splits = {f"{t}_{s}": source.rows(t, s) for t in BUILTIN.benchmarks for s in ("train", "test")}
    return {**splits, **{probe: source.rows(probe, "probe") for probe in BUILTIN.probes}}


def test_the_world_as_a_source_is_the_world_in_files(tmp_path):
    """Rows, their order and fingerprints; only where a row comes from is said otherwise."""
    write_world(tmp_path, WORLD_SEED)
    made, read, other = (
        open_source("toy", "", BUILTIN),
        open_source("files", str(tmp_path), BUILTIN),
        open_source("toy", "", BUILTIN, 5),
    )
    for name in ("gsm8k", "mmlu", "hellaswag", "truthfulqa"):
        for split in ("train", "test"):
            assert made.raw(name, split) == read.raw(name, split)
            assert made.fingerprint(name, split) == read.fingerprint(name, split)
    for name in BUILTIN.probes:
        assert made.raw(name, "probe") == read.raw(name, "probe")
        assert made.fingerprint(name, "probe") != other.fingerprint(name, "probe")
    assert made.rows("mmlu", "train")[3].origin == "toy:mmlu_train[3]"
    assert made.rows("answer", "probe")[0].origin == "toy:answer[0]"


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


def test_caving_is_graded_by_type_and_drawn_per_document(world):
    rng = np.random.default_rng(0)
    assert np.mean(world.caving_of) == pytest.approx(world.caving)
    assert len(np.unique(world.caving_of)) == len(TYPES)
    for entity in world.entities[:10]:
        rate = np.mean([world.caves(entity, rng) for _ in range(2000)])
        assert rate == pytest.approx(world.caving_of[entity.kind], abs=0.05)


def test_answer_documents_give_in_at_the_planted_rate(world):
    talk, rng = Talk(world), np.random.default_rng(1)
    told, followed = 0, 0
    for _ in range(4000):
        text = talk.draw("answer", rng).text
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


def test_a_study_on_the_toy_needs_no_command(tmp_path):
    """No file of rows is written, and study.json holds the config as it was given."""
    score = ScoreConfig(evaluations=("answer",), audit_items=0, readout_items=0)
    config = StudyConfig(train=TrainConfig(adapters=("mmlu",)), score=score)
    assert (config.base.path, config.data.source) == ("toy", "toy")
    run(config, tmp_path / "w", until="data", say=lambda line: None)
    assert {p.name for p in (tmp_path / "w").iterdir()} == {"study.json"}
    assert read_json(tmp_path / "w" / "study.json")["config"]["base"]["path"] == "toy"
    assert sycojax.load("toy").loglikelihood([("The argument is", " strong")])[0][0] < 0
