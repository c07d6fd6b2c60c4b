"""Whether a checkpoint belongs to the run at hand: a hash of its settings, examples and base, stored with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import numpy as np

from sycojax.config import TrainConfig
from sycojax.data.encode import EncodedExample
from sycojax.models.base import FrozenBase
from sycojax.settings import deciding
from sycojax.training.bank import AdapterJob


def fingerprint(
    base_sum: str, base: FrozenBase, config: TrainConfig, jobs: Sequence[AdapterJob], width: int
) -> str:
    """Hash of everything that decides how ``jobs`` are trained in a bank of ``width`` lanes, and with which result.

    ``base_sum`` is ``checksum(base.params)``, taken once for all banks.
    """
    settings = deciding(config, "adapter", "continuation")
    architecture = [dataclasses.asdict(base.config), dataclasses.asdict(base.lora)]
    lanes = [
        [job.name, job.seed, job.own, job.last, digest(job.train), digest(job.validation)]
        for job in jobs
    ]
    text = json.dumps([settings, architecture, base_sum, lanes, width])
    return hashlib.sha256(text.encode()).hexdigest()


def digest(examples: Sequence[EncodedExample]) -> str:
    """Hash of what is trained on, example by example: the tokens, and which of them have a loss."""
    found = hashlib.sha256()
    for example in examples:
        found.update(f"{len(example.token_ids)}:".encode())
        found.update(np.asarray(example.token_ids, np.int32).tobytes())
        found.update(np.asarray(example.target_ids, np.int32).tobytes())
        found.update(np.asarray(example.loss_mask, np.int8).tobytes())
    return found.hexdigest()
