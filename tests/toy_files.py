"""A made-up world as files: its rows, in as few of them as a test needs, and an untrained base that speaks its language."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flax import nnx

from pretraining.records import files, scaled
from pretraining.tokenizer import write_tokenizer
from pretraining.toy import make_tokenizer
from sycojax.data.toy.world import World
from sycojax.files import atomic_write
from sycojax.models.base import split
from sycojax.models.config import LlamaConfig
from sycojax.models.llama import Llama
from sycojax.models.lora import LoRAConfig
from sycojax.weights.huggingface import save_base


def write_world(directory: Path, seed: int, scale: float = 1.0) -> None:
    """Write the world of ``seed`` as ``data.source=files`` reads it; ``scale``: the share of its usual rows."""
    for name, content in files(World(seed), scaled(scale)).items():
        atomic_write(directory / name, content)


def write_base(directory: Path, seed: int, kv_heads: int = 1, multiple: int = 1) -> None:
    """Write a Llama of two layers for the world of ``seed``; its table of tokens has a ``multiple`` of rows."""
    tokenizer, lora = make_tokenizer(World(seed)), LoRAConfig(rank=1)
    rows = -(-tokenizer.get_vocab_size() // multiple) * multiple
    config = LlamaConfig(rows, 16, 32, 2, 2, kv_heads, 8, 256, 1e-5, 1e4, None, False, 1, (2,))
    save_base(directory, config, split(Llama(config, lora, rngs=nnx.Rngs(0))).base)
    write_tokenizer(directory, tokenizer)


def evaluate_toy(directory: Path, *flags: str, until: str = "evaluate") -> None:
    """Train and score the embedded study by its command, as far as the records (or ``until`` "train"), on one device."""
    repository = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "sycojax", until, "--config=configs/toy.py"]
    environment = {**os.environ, "XLA_FLAGS": ""}
    work = f"--workdir={directory}"
    subprocess.run([*command, work, *flags], cwd=repository, env=environment, check=True)
