"""The scoring stage: base and adapters on every benchmark and probe, a bank of configurations at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from sycojax.config import StudyConfig
from sycojax.evals import EVALUATIONS
from sycojax.files import atomic_write
from sycojax.models.llama import FrozenBase, Tree, abstract
from sycojax.records import Record, write_records
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.study.adapters import adapter_directory
from sycojax.study.stages import Stamps, fingerprint
from sycojax.weights.peft import load_adapter

NO_ADAPTER = "base"


def records_path(workdir: Path, configuration: str, evaluation: str) -> Path:
    return workdir / "records" / configuration / f"{evaluation}.jsonl"


def write_items(workdir: Path, requests: Mapping[str, Sequence[Request]]) -> None:
    """Keep the texts that were asked, once per study; records refer to them by item and condition."""
    import json

    for name, asked in requests.items():
        lines = (json.dumps(dataclasses.asdict(r), ensure_ascii=False) + "\n" for r in asked)
        atomic_write(workdir / "items" / f"{name}.jsonl", "".join(lines))


def score_configurations(
    config: StudyConfig,
    workdir: Path,
    base: FrozenBase,
    scorer: Scorer,
    inputs: Mapping[str, str],
    requests: Mapping[str, Sequence[Request]],
    *,
    base_inputs: str,
    progress: bool = True,
) -> dict[str, Any]:
    """Score what is missing or outdated and write one records file per configuration and evaluation.

    ``inputs`` maps adapter configurations to the fingerprint of their adapter. Returns the scorer's counts.
    """
    stamps = Stamps(workdir)
    sources = {NO_ADAPTER: base_inputs, **inputs}
    asked = {
        name: fingerprint([dataclasses.asdict(r) for r in rs]) for name, rs in requests.items()
    }
    wanted = {
        (configuration, evaluation): fingerprint(base_inputs, source, asked[evaluation])
        for configuration, source in sources.items()
        for evaluation in requests
    }
    pending: dict[tuple[str, ...], list[str]] = {}
    for configuration in sources:
        missing = tuple(
            evaluation
            for evaluation in requests
            if not stamps.current(
                records_path(workdir, configuration, evaluation), wanted[configuration, evaluation]
            )
        )
        if missing:
            pending.setdefault(missing, []).append(configuration)
    for evaluations, configurations in pending.items():
        questions = [r for name in evaluations for r in requests[name]]
        width = config.score.bank_width
        for start in range(0, len(configurations), width):
            names = configurations[start : start + width]
            bank = stack([load_lora(workdir, base, name) for name in names])
            answers = scorer.score(questions, bank, progress=progress, label=", ".join(names))
            answers = _with_followups(scorer, bank, evaluations, questions, answers)
            for name, records in zip(names, answers, strict=True):
                for evaluation in evaluations:
                    path = records_path(workdir, name, evaluation)
                    write_records(path, (r for r in records if r.evaluation == evaluation))
                    stamps.mark(path, wanted[name, evaluation])
    return scorer.counts()


def load_lora(workdir: Path, base: FrozenBase, configuration: str) -> Tree:
    """The adapter of a configuration; all zeros for the base."""
    if configuration == NO_ADAPTER:
        shapes = abstract(base.config, base.lora).lora
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    _, lora = load_adapter(adapter_directory(workdir, configuration), base.config)
    return lora


def stack(adapters: Sequence[Tree]) -> Tree:
    """Adapters as a bank: each leaf gets a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *adapters)


def _with_followups(
    scorer: Scorer,
    bank: Tree,
    evaluations: Sequence[str],
    questions: Sequence[Request],
    answers: Sequence[Sequence[Record]],
) -> list[list[Record]]:
    """Ask what depends on the answers (a second turn quotes the first), until nothing new is asked."""
    complete = [list(records) for records in answers]
    for name in evaluations:
        evaluation = EVALUATIONS[name]
        mine = [r for r in questions if r.evaluation == name]
        for index, records in enumerate(complete):
            asked = list(mine)
            while True:
                own = [r for r in records if r.evaluation == name]
                more = evaluation.followups(asked, own)
                if not more:
                    break
                one = jax.tree.map(lambda leaf, i=index: leaf[i : i + 1], bank)
                records.extend(scorer.score(more, one, progress=False)[0])
                asked.extend(more)
    return complete
