"""Every setting says what it affects, and that is what is redone when it changes: no more and no less."""

from __future__ import annotations

import json
import shutil
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from sycojax.config import DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.data.sources import open_source
from sycojax.evals import BUILTIN
from sycojax.models.base import abstract
from sycojax.models.lora import LoRAConfig
from sycojax.settings import settings
from sycojax.study.adapters import study_jobs
from sycojax.study.budget import ORDER
from sycojax.study.datasets import instruments, prepare
from sycojax.study.inputs import read_inputs
from sycojax.study.readouts import asked_with
from sycojax.study.state import State, state_of
from sycojax.toy import base_directory
from sycojax.training.fingerprint import fingerprint
from sycojax.weights.huggingface import load_config
from sycojax.weights.peft import export_adapter
from tests.toy_files import write_world

# Rows of the embedded world. What truthfulqa trains on is among what are_you_sure asks.
STUDY = StudyConfig(
    lora=LoRAConfig(rank=2, alpha=4.0, dropout=0.0, targets=("q_proj",)),
    data=DataConfig(train_limit=60, test_limit=3, probe_limit=20, max_length=128),
    train=TrainConfig(adapters=("truthfulqa", "gsm8k"), seeds=(0,)),
    score=ScoreConfig(evaluations=("gsm8k", "are_you_sure"), audit_items=2),
)
# A probe that asks what truthfulqa trains on, which is then not trained on.
PROBE = """
import dataclasses
from sycojax.data.questions import question_key
from sycojax.evals.declared import Contrast
from sycojax.evals.protocol import Probe
from sycojax.requests import Request

@dataclasses.dataclass(frozen=True)
class Row:
    origin: str
    question: str

class Known(Probe):
    name, rows, flat_fields = "known", "known.jsonl", ("question",)
    contrasts = (Contrast("a", hard="a", floor="a"),)

    def parse(self, record):
        return Row(record.origin, record.text("question"))

    def question(self, row):
        return row.question

    def requests(self, rows, prompts, seed):
        return [Request("known", r.question, "", question_key(r.question), r.question, (" a", " b")) for r in rows]

EVALUATION = Known()
"""
# Another value of every setting; ``pairs`` has those that name files.
CHANGES: dict[str, Any] = {
    "name": "other",
    "base.dtype": "bfloat16",
    "base.quantization": "int8",
    "base.chat_template": "plain",
    "base.template_args": {"bos_token": "<unk>"},
    "base.remat": "full",
    "base.attention": "xla",
    "lora.rank": 4,
    "lora.alpha": 8.0,
    "lora.dropout": 0.5,
    "lora.targets": ("k_proj",),
    "data.world_seed": 5,
    "data.recipe": "published",
    "data.train_limit": 400,
    "data.test_limit": 4,
    "data.probe_limit": 3,
    "data.probe_draw": 10,
    "data.keep_test_items": True,
    "data.validation_fraction": 0.3,
    "data.max_length": 46,
    "data.seed": 7,
    "train.adapters": ("gsm8k",),
    "train.seeds": (0, 1),
    "train.bank_width": 2,
    "train.epochs": 1.0,
    "train.examples_per_step": 8,
    "train.row_length": 128,
    "train.micro_batch_rows": 8,
    "train.logits_chunk": 128,
    "train.learning_rate": 1e-3,
    "train.warmup_steps": 3,
    "train.schedule": "constant",
    "train.weight_decay": 0.1,
    "train.clip_norm": 2.0,
    "train.beta1": 0.8,
    "train.beta2": 0.99,
    "train.epsilon": 1e-6,
    "train.loss_average": "token",
    "train.micro_examples": 4,
    "train.eval_every": 5,
    "train.checkpoint_every": 5,
    "train.log_every": 5,
    "score.evaluations": ("gsm8k", "are_you_sure", "answer"),
    "score.bank_width": 2,
    "score.batch_tokens": 4096,
    "score.buckets": (128, 256),
    "score.decode_batch": 8,
    "score.decode_bank_width": 2,
    "score.max_new_tokens": 32,
    "score.audit_items": 3,
    "score.readout_items": 4,
    "score.readout": ("are_you_sure=letters",),
    "score.budget_minutes": 5.0,
    "score.protocol": "both",
    "mesh.data": 2,
    "mesh.fsdp": 4,
    "mesh.tensor": 2,
    "mesh.bank_over_data": True,
}
# Another value under which the examples and questions of ``STUDY`` are what they were.
UNCHANGED: dict[str, Any] = {
    "data.probe_draw": 10**6,
    "data.validation_fraction": 0.1001,
    "data.max_length": 500,
    "train.adapters": ("gsm8k", "truthfulqa"),
    "score.evaluations": ("are_you_sure", "gsm8k"),
    "score.readout": ("are_you_sure=words",),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[StudyConfig, StudyConfig]]:
    """Every setting -> two studies that differ in it alone, or in what lies where it points to."""
    root = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(base_directory(), root / "base")
    weights = root / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    (root / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base_directory() / name, root / "tokenizer")
    file = root / "tokenizer" / "tokenizer.json"
    document = json.loads(file.read_text())
    ids = document["model"]["vocab"]
    ids["A"], ids["B"] = ids["B"], ids["A"]
    file.write_text(json.dumps(document))
    asked = open_source("toy", "", BUILTIN).raw("truthfulqa", "train")[:5]
    (root / "known.py").write_text(PROBE)
    (root / "known.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    shapes = abstract(load_config(base_directory()), STUDY.lora).lora
    for number in (0, 1):
        write_world(root / f"rows{number}", 5 + number)
        (root / f"adapter{number}").mkdir()
        lora = jax.tree.map(lambda x, n=number: np.full(x.shape, n + 1, np.float32), shapes)
        export_adapter(root / f"adapter{number}", lora, STUDY.lora, "toy")
    rows = [{"data.source": "files", "data.path": str(root / f"rows{n}")} for n in (0, 1)]
    adapters = [{"score.adapters": f"mine={root / f'adapter{n}'}"} for n in (0, 1)]
    return {
        **{key: (STUDY, STUDY.changed({key: value})) for key, value in CHANGES.items()},
        "base.path": (STUDY, STUDY.changed({"base.path": str(root / "base")})),
        "base.tokenizer": (STUDY, STUDY.changed({"base.tokenizer": str(root / "tokenizer")})),
        "data.source": (STUDY, STUDY.changed(rows[0])),
        "data.probes": (STUDY, STUDY.changed({"data.probes": str(root / "known.py")})),
        "data.path": (STUDY.changed(rows[0]), STUDY.changed(rows[1])),
        "score.adapters": (STUDY.changed(adapters[0]), STUDY.changed(adapters[1])),
    }


def state(config: StudyConfig, workdir: Path) -> State:
    given = read_inputs(config)
    data = prepare(config, given.tokenizer)
    found = state_of(config, workdir, given, study_jobs(config, data.training), data.requests)
    # As if the base had shown this: which readout is taken follows from the answers of a model.
    pinned = dict(entry.split("=") for entry in config.score.readout)
    choice = {
        name: {"readout": pinned.get(name, instrument.readouts[0]), "read": []}
        for name, instrument in instruments(config).items()
    }
    # As if the trial had shown that no budget lasts.
    asked = asked_with(config, given, data, choice, ORDER if config.score.budget_minutes else ())
    return state_of(config, workdir, given, found.jobs, asked)


def run_of(config: StudyConfig, found: State, names: Any) -> str:
    """What a checkpoint of some adapters is known by."""
    shape: Any = types.SimpleNamespace(config=load_config(base_directory()), lora=config.lora)
    jobs = [job for job in found.jobs if job.name in names]
    return fingerprint("base", shape, config.train, jobs, 1)


def test_every_setting_says_what_it_affects(pairs: Any) -> None:
    said = settings(StudyConfig())
    assert said.keys() == pairs.keys(), "a new setting needs another value here"
    for key, one in said.items():
        assert one.affects, key
        assert "nothing" not in one.affects or len(one.affects) == 1, key
        assert not one.own or one.affects == {"adapter"}, key


@pytest.mark.parametrize("key", settings(StudyConfig()))
def test_what_a_change_redoes_is_what_the_setting_says(
    pairs: dict[str, tuple[StudyConfig, StudyConfig]], key: str, tmp_path: Path
) -> None:
    said = settings(StudyConfig())[key].affects
    before, after = (state(config, tmp_path) for config in pairs[key])
    shared = before.adapters.keys() & after.adapters.keys()
    assert shared
    retrained = {name for name in shared if before.adapters[name] != after.adapters[name]}
    assert bool(retrained) == ("adapter" in said)
    old, new = (
        {k: output for k, output in found.records.items() if k[0] not in found.adapters}
        for found in (before, after)
    )
    assert (old != new) == ("records" in said), "of the base, and of adapters from elsewhere"
    for configuration, evaluation in before.records.keys() & after.records.keys():
        if configuration in retrained:
            one, other = (f.records[configuration, evaluation] for f in (before, after))
            assert one != other, "records follow their adapter"
    if key.startswith("train."):
        one, other = (
            run_of(c, f, shared) for c, f in zip(pairs[key], (before, after), strict=True)
        )
        assert (one != other) == (not said.isdisjoint(("adapter", "continuation")))


def test_a_change_that_leaves_what_is_made_with_it_as_it_was_redoes_nothing(tmp_path: Path) -> None:
    said, before = settings(StudyConfig()), state(STUDY, tmp_path)
    for key, value in UNCHANGED.items():
        assert said[key].through == "content"
        after = state(STUDY.changed({key: value}), tmp_path)
        assert dict(after.adapters) == dict(before.adapters), key
        assert dict(after.records) == dict(before.records), key
