"""The training stage: every adapter of the study that is not there yet, bank by bank."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.data.held_out import write_held_out
from sycojax.errors import Diverged
from sycojax.files import atomic_directory, write_json
from sycojax.models.base import FrozenBase
from sycojax.parallel.distributed import on_first
from sycojax.records import PLACEBO
from sycojax.settings import deciding
from sycojax.study.datasets import TrainingSet
from sycojax.study.stages import Stamps, fingerprint
from sycojax.study.state import Output, State
from sycojax.study.workdir import configuration_name
from sycojax.training.loop import AdapterJob, BankTrainer, TrainedAdapter, train_bank
from sycojax.training.tracking import UNTRACKED, Tracking
from sycojax.weights.hub import located
from sycojax.weights.peft import export_adapter


def study_jobs(config: StudyConfig, training: Mapping[str, TrainingSet]) -> list[AdapterJob]:
    """One job per adapter and seed of the config, under its configuration name."""
    return [
        AdapterJob(
            configuration_name(adapter, seed),
            seed,
            training[adapter].train,
            training[adapter].validation,
            last=adapter == PLACEBO,
        )
        for adapter in config.train.adapters
        for seed in config.train.seeds
    ]


def train_adapters(
    config: StudyConfig,
    base: FrozenBase,
    state: State,
    *,
    progress: bool = True,
    tracking: Tracking = UNTRACKED,
    trainer: BankTrainer | None = None,
) -> dict[str, Any]:
    """Train what is missing or outdated; returns each adapter's training summary by configuration name.

    Adapters are written in PEFT's format to ``WORKDIR/adapters/NAME`` with ``training.json`` and ``held_out.json`` beside them;
    metrics stay in ``WORKDIR/training``. ``trainer`` is one for all adapters of the study. Raises ``Diverged`` when the others are written, where a loss is not finite.
    """
    # What process 0 sees goes for all, or they would train different adapters.
    missing = on_first(lambda: [job.name for job in state.untrained()])
    pending = [job for job in state.jobs if job.name in missing]
    if pending:
        # A directory for these adapters as they are trained now: another config starts afresh, the same one continues.
        wanted = {job.name: dict(state.adapters[job.name].inputs) for job in pending}
        key = fingerprint(wanted, deciding(config, "continuation"))[:12]
        directory = state.workdir / "training" / key
        failed: Diverged | None = None
        try:
            trained: Sequence[TrainedAdapter] = train_bank(
                base, pending, config.train, directory, progress=progress, tracking=tracking,
                trainer=trainer if len(pending) == len(state.jobs) else None,
            )  # fmt: skip
        except Diverged as error:
            failed, trained = error, error.others

        def write() -> None:
            for result in trained:
                write_adapter(config, state.workdir, state.adapters[result.name], result)
            # The adapters are out; what was needed to continue is not needed any more. Metrics stay.
            for checkpoints in directory.glob("*/checkpoints"):
                shutil.rmtree(checkpoints)

        on_first(write)
        if failed:
            raise failed
    return on_first(state.training)


def write_adapter(
    config: StudyConfig, workdir: Path, output: Output, result: TrainedAdapter
) -> None:
    """Write a trained adapter to where it belongs and stamp it with what it is made from."""
    with atomic_directory(output.path) as temporary:
        export_adapter(temporary, result.lora, config.lora, located(config.base.path))
        write_json(temporary / "training.json", _summary(result))
        if result.held_out:
            write_held_out(temporary, result.held_out)
    Stamps(workdir).mark(output.path, output.inputs)


def _summary(result: TrainedAdapter) -> dict[str, Any]:
    fields = ("name", "seed", "steps", "best_step", "best_loss", "tokens", "processed_tokens")
    return {name: getattr(result, name) for name in fields}
