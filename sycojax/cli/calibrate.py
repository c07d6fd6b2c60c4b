"""What ``sycojax calibrate`` plants deference in where no config is named: the embedded base."""

from __future__ import annotations

from sycojax.config import BaseConfig, DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.models.lora import LoRAConfig

# Set on seed 901, then left alone: the certificate was made with others (``train.seeds``).
SETTINGS = StudyConfig(
    name="calibration",
    base=BaseConfig(path="toy"),
    lora=LoRAConfig(rank=8, alpha=16.0, dropout=0.0),
    data=DataConfig(source="toy", max_length=128, probe_limit=60),
    # 256 tokens hold three dialogues of are_you_sure.
    train=TrainConfig(
        seeds=(2, 3, 4),
        row_length=256,
        micro_batch_rows=2,
        learning_rate=2.5e-3,
        warmup_steps=5,
    ),
    score=ScoreConfig(buckets=(64, 128, 256), batch_tokens=2048, readout_items=24),
)
