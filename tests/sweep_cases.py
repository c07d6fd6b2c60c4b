"""A small world, an untrained base that speaks its language, and sweep files over them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from sycojax.config import BaseConfig, DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.models.lora import LoRAConfig
from tests.toy_files import write_base, write_world

LORA = LoRAConfig(rank=2, alpha=4.0, dropout=0.1, targets=("v_proj",))


def make_inputs(root: Path) -> StudyConfig:
    """A base and rows in ``root``, and a study over them that takes seconds."""
    base, data = root / "base", root / "data"
    write_base(base, 5)
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
            readout_items=2,
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


def silent(*_: object) -> None:
    """What a study says goes nowhere."""
