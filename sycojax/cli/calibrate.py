"""``sycojax calibrate``: adapters of the embedded base with planted sycophancy, and what the probes read off them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sycojax.config import BaseConfig, DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.data.examples import Example
from sycojax.evals import evaluations
from sycojax.files import write_json
from sycojax.models.lora import LoRAConfig

# Set on seeds 901 and 1, then left alone: the certificate was made with others (``train.seeds``).
SETTINGS = StudyConfig(
    name="calibration",
    base=BaseConfig(path="toy"),
    lora=LoRAConfig(rank=8, alpha=16.0, dropout=0.0),
    data=DataConfig(source="toy", max_length=128, probe_limit=60, validation_fraction=0.05),
    # 144 tokens hold two dialogues of are_you_sure. Validation comes at the end only: on so few dialogues an
    # earlier step can look better by chance, and the planted rate is not learned by then.
    train=TrainConfig(
        seeds=(2, 3, 4),
        epochs=1.0,
        row_length=144,
        micro_batch_rows=4,
        learning_rate=5e-3,
        warmup_steps=5,
        eval_every=1000,
    ),
    score=ScoreConfig(buckets=(64, 128, 256), batch_tokens=2048),
)


def calibrate(
    workdir: Path,
    *,
    config: StudyConfig = SETTINGS,
    planted: Sequence[float] | None = None,
    progress: bool = True,
) -> Path:
    """Train, score and write ``workdir/calibration/calibration.json``; skips what is finished.

    ``planted`` are the rates (those of ``study.calibration`` by default).
    """
    import jax

    from analysis.calibration import NAME
    from analysis.calibration.planted import describe
    from sycojax.data.toy import WORLD_SEED
    from sycojax.data.toy.dialogues import DIALOGUES, dialogues
    from sycojax.parallel.distributed import on_first
    from sycojax.study import calibration as study
    from sycojax.study.inputs import prompts_of, tokenizer_of

    # As in a study: accelerators would otherwise round float32 matmul inputs.
    jax.config.update("jax_default_matmul_precision", "highest")
    directory = workdir / NAME
    registry = evaluations(config.data.probes)
    prompts = prompts_of(config, tokenizer_of(config))

    def of(probe: str, rate: float, seed: int) -> list[Example]:
        """Dialogues of the embedded world, or those that a user's probe makes."""
        if probe in DIALOGUES:
            return dialogues(WORLD_SEED, probe, rate, DIALOGUES[probe], seed, prompts)
        return registry[probe].planted(rate, prompts, seed)

    rates = study.PLANTED if planted is None else planted
    adapters = study.planted_adapters(registry.probes, rates, config.train.seeds)
    made = {a: of(a.probe, a.planted, a.seed) for a in adapters}
    examples = {a: found for a, found in made.items() if found}
    found = study.train_and_score(config, directory, examples, progress=progress)
    path = directory / f"{NAME}.json"

    def write_document() -> None:
        document = {
            **study.provenance(config),
            "command": "sycojax calibrate",
            "dialogues": {a.probe: len(found) for a, found in examples.items()},
            **found,
            **describe(
                directory, registry, [dataclasses.asdict(a) | {"name": a.name} for a in examples]
            ),
        }
        write_json(path, document)

    on_first(write_document)
    return path
