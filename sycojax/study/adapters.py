"""The training stage: every adapter of the study that is not there yet, bank by bank."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sycojax.config import StudyConfig
from sycojax.data.encode import EncodedExample
from sycojax.files import atomic_directory, read_json, write_json
from sycojax.models.base import FrozenBase
from sycojax.parallel.distributed import on_first
from sycojax.study.datasets import TrainingSet
from sycojax.study.stages import Stamps, fingerprint
from sycojax.study.workdir import configuration_name
from sycojax.training.loop import AdapterJob, TrainedAdapter, train_bank
from sycojax.training.tracking import UNTRACKED, Tracking
from sycojax.weights.hub import located
from sycojax.weights.peft import export_adapter

# Settings that change how the work is laid out or tracked, never its result.
# (Packing is not among them: dropout masks follow the rows.)
LAYOUT_KEYS = ("adapters", "seeds", "bank_width", "checkpoint_every", "log_every")


def study_jobs(config: StudyConfig, training: Mapping[str, TrainingSet]) -> list[AdapterJob]:
    """One job per adapter and seed of the config, under its configuration name."""
    return [
        AdapterJob(
            configuration_name(adapter, seed),
            seed,
            training[adapter].train,
            training[adapter].validation,
        )
        for adapter in config.train.adapters
        for seed in config.train.seeds
    ]


def adapter_inputs(
    config: StudyConfig, base: str, training: Mapping[str, TrainingSet]
) -> dict[str, str]:
    """Configuration name -> fingerprint of all that determines its adapter."""
    return job_inputs(config, base, study_jobs(config, training))


def job_inputs(config: StudyConfig, base: str, jobs: Sequence[AdapterJob]) -> dict[str, str]:
    """Job name -> fingerprint of all that determines its adapter."""
    recipe = {k: v for k, v in dataclasses.asdict(config.train).items() if k not in LAYOUT_KEYS}
    shared = [base, config.base.precision, dataclasses.asdict(config.lora), recipe]
    return {
        job.name: fingerprint(*shared, _digest(job.train), _digest(job.validation), job.seed)
        for job in jobs
    }


def adapter_directory(workdir: Path, name: str) -> Path:
    return workdir / "adapters" / name


def train_adapters(
    config: StudyConfig,
    workdir: Path,
    base: FrozenBase,
    inputs: Mapping[str, str],
    training: Mapping[str, TrainingSet],
    *,
    progress: bool = True,
    tracking: Tracking = UNTRACKED,
) -> dict[str, Any]:
    """``train_jobs`` of the adapters and seeds of the config."""
    jobs = study_jobs(config, training)
    return train_jobs(config, workdir, base, inputs, jobs, progress=progress, tracking=tracking)


def train_jobs(
    config: StudyConfig,
    workdir: Path,
    base: FrozenBase,
    inputs: Mapping[str, str],
    jobs: Sequence[AdapterJob],
    *,
    progress: bool = True,
    tracking: Tracking = UNTRACKED,
) -> dict[str, Any]:
    """Train what is missing or outdated; returns each adapter's training summary by job name.

    Adapters are written in PEFT's format to ``WORKDIR/adapters/NAME`` with ``training.json`` beside them;
    metrics stay in ``WORKDIR/training``.
    """
    stamps = Stamps(workdir)
    missing = on_first(
        lambda: [
            job.name
            for job in jobs
            if not stamps.current(adapter_directory(workdir, job.name), inputs[job.name])
        ]
    )
    pending = [job for job in jobs if job.name in missing]
    if pending:
        # One directory per set of jobs and layout: a changed config starts afresh, the same one continues.
        wanted, train = {job.name: inputs[job.name] for job in pending}, config.train
        key = fingerprint(wanted, train.bank_width, train.log_every)[:12]
        directory = workdir / "training" / key
        trained = train_bank(base, pending, train, directory, progress=progress, tracking=tracking)

        def write() -> None:
            for result in trained:
                write_adapter(config, workdir, result, inputs[result.name])
            # The adapters are out; what was needed to continue is not needed any more. Metrics stay.
            for checkpoints in directory.glob("*/checkpoints"):
                shutil.rmtree(checkpoints)

        on_first(write)
    return on_first(
        lambda: {
            name: read_json(adapter_directory(workdir, name) / "training.json") for name in inputs
        }
    )


def write_adapter(config: StudyConfig, workdir: Path, result: TrainedAdapter, inputs: str) -> None:
    """Write a trained adapter to ``WORKDIR/adapters/NAME`` and stamp it with the fingerprint of its ``inputs``."""
    adapter = adapter_directory(workdir, result.name)
    with atomic_directory(adapter) as temporary:
        export_adapter(temporary, result.lora, config.lora, located(config.base.path))
        write_json(temporary / "training.json", _summary(result))
    Stamps(workdir).mark(adapter, inputs)


def _summary(result: TrainedAdapter) -> dict[str, Any]:
    fields = ("name", "seed", "steps", "best_step", "best_loss", "tokens", "processed_tokens")
    return {name: getattr(result, name) for name in fields}


def _digest(examples: Sequence[EncodedExample]) -> bytes:
    parts = []
    for example in examples:
        parts.append(np.asarray(example.token_ids, np.int32).tobytes())
        parts.append(np.asarray(example.loss_mask, np.int8).tobytes())
    return b"\0".join(parts)
