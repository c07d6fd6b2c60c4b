"""A tiny frozen base, made-up examples and a killable run, for the tests of training.

Run as a script (``python training_cases.py DIRECTORY CHECKPOINT``) it trains ``JOBS`` and kills itself with
SIGKILL right after beginning to save at step CHECKPOINT.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tiny_models as tiny
from distributed_cases import signal_when_saving
from jax.sharding import Mesh

from sycojax.config import TrainConfig
from sycojax.data.encode import EncodedExample
from sycojax.models.base import FrozenBase, abstract_base
from sycojax.models.compute import Compute
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.training import loop
from sycojax.training.bank import AdapterJob
from sycojax.training.step import BankProgram

VOCABULARY = 48
CONFIG = TrainConfig(
    epochs=1.5,
    examples_per_step=4,
    row_length=16,
    micro_batch_rows=2,
    learning_rate=1e-2,
    warmup_steps=2,
    eval_every=3,
    checkpoint_every=2,
    log_every=1,
    bank_width=2,
)


def compilations(program: BankProgram) -> tuple[int, int]:
    """How often the training and the validation function were compiled so far."""
    # `_cache_size` is missing from the declared type of a jitted function.
    train: Any = program._train
    validate: Any = program._validate
    return train._cache_size(), validate._cache_size()


def make_base(mesh: Mesh | None = None, dropout: float = 0.1, **differences: Any) -> FrozenBase:
    """Small random weights, on one device unless told; ``differences`` are attributes of the config."""
    mesh = make_mesh(devices=jax.devices()[:1]) if mesh is None else mesh
    config = dataclasses.replace(
        tiny.GQA,
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        head_dim=4,
        max_position_embeddings=64,
        **differences,
    )
    # Few targets: every dropout site costs compile time.
    targets = ("v_proj", "down_proj")
    lora = LoRAConfig(rank=2, alpha=4.0, dropout=dropout, targets=targets)
    base = abstract_base(config, lora, Compute(mesh=mesh))
    # NumPy's draws are the same bits in every process, however jax was told to compile.
    rng = np.random.default_rng(7)
    weights = jax.tree.map(
        lambda s: (rng.standard_normal(s.shape) * 0.1).astype(s.dtype), base.params
    )
    where = jax.tree.map(lambda s: s.sharding, base.params)
    return dataclasses.replace(base, params=jax.device_put(weights, where))


def make_examples(count: int, seed: int, longest: int = 14) -> list[EncodedExample]:
    """Random examples of 3 to ``longest`` tokens whose last one to four targets count."""
    rng = np.random.default_rng(seed)
    examples = []
    for i in range(count):
        length = int(rng.integers(3, longest + 1))
        ids = rng.integers(3, VOCABULARY, length + 1).astype(np.int32)
        mask = np.arange(length) >= length - int(rng.integers(1, 4))
        examples.append(EncodedExample("toy", f"{seed}-{i}", ids[:-1], ids[1:], mask))
    return examples


def make_jobs() -> list[AdapterJob]:
    """Three runs of 4, 7 and 5 steps: in banks of two, the first two to train are the longer ones."""
    return [
        AdapterJob(name, seed, make_examples(count, data), make_examples(5, 100 + data))
        for name, seed, count, data in (
            ("mmlu-s1", 1, 10, 5),
            ("gsm8k-s0", 0, 18, 6),
            ("mmlu-s0", 0, 12, 5),
        )
    ]


if __name__ == "__main__":
    signal_when_saving(int(sys.argv[2]), signal.SIGKILL)
    loop.train_bank(make_base(), make_jobs(), CONFIG, Path(sys.argv[1]))
