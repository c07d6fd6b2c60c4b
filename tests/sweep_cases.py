"""A small world, an untrained base that speaks its language, and sweep files over them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from flax import nnx

from pretraining.tokenizer import write_tokenizer
from pretraining.toy import make_tokenizer
from sycojax.config import BaseConfig, DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.data.toy.world import World
from sycojax.models.base import split
from sycojax.models.config import LlamaConfig
from sycojax.models.llama import Llama
from sycojax.models.lora import LoRAConfig
from sycojax.weights.huggingface import save_base
from tests.toy_files import write_world

LORA = LoRAConfig(rank=2, alpha=4.0, dropout=0.1, targets=("v_proj",))


def make_inputs(root: Path) -> StudyConfig:
    """A base and rows in ``root``, and a study over them that takes seconds."""
    base, data = root / "base", root / "data"
    tokenizer = make_tokenizer(World(5))
    size = tokenizer.get_vocab_size()
    config = LlamaConfig(size, 16, 32, 2, 2, 1, 8, 256, 1e-5, 1e4, None, False, 1, (2,))
    save_base(base, config, split(Llama(config, LORA, rngs=nnx.Rngs(0))).base)
    write_tokenizer(base, tokenizer)
    write_world(data, 5, 0.05)
    return StudyConfig(
        name="small",
        base=BaseConfig(path=str(base)),
        lora=LORA,
        data=DataConfig(source="files", path=str(data), max_length=128, test_limit=8, probe_limit=8),
        train=TrainConfig(
            adapters=("mmlu",), seeds=(0,), bank_width=4, epochs=2.0, examples_per_step=8,
            row_length=128, micro_batch_rows=8, warmup_steps=1, learning_rate=1e-3, checkpoint_every=1,
        ),
        score=ScoreConfig(
            evaluations=("mmlu", "answer"), batch_tokens=2048, buckets=(128,), max_new_tokens=8, audit_items=0,
        ),
    )  # fmt: skip


def write_sweep(path: Path, study: StudyConfig, sweep: Any) -> str:
    """A config file of ``study`` with ``sweep`` over it; returns its flag."""
    lines = [
        "from sycojax.config import default_config",
        "def get_config():",
        "    c = default_config()",
    ]
    for group, values in study.to_dict().items():
        entries = values.items() if isinstance(values, dict) else [("", values)]
        for key, value in entries:
            lines.append(f"    c.{'.'.join(p for p in (group, key) if p)} = {value!r}")
    lines += ["    return c", "def get_sweep():", f"    return {sweep!r}"]
    path.write_text("\n".join(lines) + "\n")
    return f"--config={path}"


def shorter(study: StudyConfig) -> StudyConfig:
    """The same with a single evaluation."""
    return dataclasses.replace(study, score=dataclasses.replace(study.score, evaluations=("mmlu",)))
