"""The scoring stage: base and adapters on every benchmark and probe, a bank of configurations at a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from sycojax import evals
from sycojax.config import StudyConfig
from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import Evaluation
from sycojax.files import atomic_write
from sycojax.models.base import FrozenBase, Tree, fit_adapter, zero_lora
from sycojax.parallel.distributed import is_first, on_first
from sycojax.records import Record, write_records
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.study import determinism
from sycojax.study.inputs import prompts_of
from sycojax.study.stages import Stamps
from sycojax.study.state import State, items_path
from sycojax.weights.peft import load_adapter


def write_items(workdir: Path, requests: Mapping[str, Sequence[Request]]) -> None:
    """Write down the texts that are asked, once per study; records refer to them by item and condition."""
    for name, asked in requests.items():
        lines = (json.dumps(dataclasses.asdict(r), ensure_ascii=False) + "\n" for r in asked)
        atomic_write(items_path(workdir, name), "".join(lines))


def score_configurations(
    config: StudyConfig, base: FrozenBase, scorer: Scorer, state: State, *, progress: bool = True
) -> dict[str, Any]:
    """Score what is missing or outdated and write one records file per configuration and evaluation.

    ``base.lora`` covers the shapes of all adapters. Returns the scorer's counts and how reproducible the last
    configuration's scores are (``determinism.measure``), empty when there was nothing to do.
    """
    stamps, prompts = Stamps(state.workdir), prompts_of(config, scorer.tokenizer)
    registry = evals.evaluations(config.data.probes)
    pending: dict[tuple[str, ...], list[str]] = {}
    for configuration, evaluations in on_first(state.unscored).items():
        pending.setdefault(tuple(evaluations), []).append(configuration)
    if not pending:
        return {}
    batches = []
    for evaluations, configurations in pending.items():
        width = scorer.together(len(configurations))
        for start in range(0, len(configurations), width):
            batches.append((evaluations, configurations[start : start + width]))
    counts: dict[str, Any] = {}
    bar = tqdm(
        total=sum(map(len, pending.values())), unit="configuration", desc="scored",
        disable=None if progress and is_first() else True,
    )  # fmt: skip
    with bar:
        for number, (evaluations, names) in enumerate(batches, 1):
            questions = [r for name in evaluations for r in state.requests[name]]
            bank = stack([load_lora(state.adapter(name), base) for name in names])
            asked_of = [registry[name] for name in evaluations]
            answers = _ask(scorer, bank, asked_of, questions, prompts, progress)
            if number == len(batches):
                # Before the last records are written: a run that is killed here comes back to it.
                counts = scorer.report()
                alone = stack([load_lora(state.adapter(names[-1]), base)])
                found = determinism.measure(scorer, alone, questions, answers[-1], config.data.seed)
                counts |= {"determinism": found} if found else {}

            def write(
                names: Sequence[str] = names,
                answers: Sequence[Sequence[Record]] = answers,
                evaluations: Sequence[str] = evaluations,
            ) -> None:
                for name, records in zip(names, answers, strict=True):
                    for evaluation in evaluations:
                        output = state.records[name, evaluation]
                        own = (r for r in records if r.evaluation == evaluation)
                        write_records(output.path, own)
                        stamps.mark(output.path, output.inputs)

            on_first(write)
            bar.update(len(names))
    return counts


def load_lora(directory: Path | None, base: FrozenBase) -> Tree:
    """The adapter in ``directory`` in the shape of ``base.lora``; all zeros for None, the base."""
    if directory is None:
        return zero_lora(base.config, base.lora)
    own, lora = load_adapter(directory, base.config)
    return fit_adapter(lora, own, base)


def stack(adapters: Sequence[Tree]) -> Tree:
    """Adapters as a bank: each leaf gets a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *adapters)


def _ask(
    scorer: Scorer,
    bank: Tree,
    evaluations: Sequence[Evaluation],
    questions: Sequence[Request],
    prompts: Prompts,
    progress: bool,
) -> list[list[Record]]:
    """Score ``questions``, then what depends on the answers (a second turn quotes the first), until nothing is left."""
    answers = scorer.score(questions, bank, progress=progress)
    asked = [list(questions) for _ in answers]
    while True:
        more = [
            [
                request
                for evaluation in evaluations
                for request in evaluation.followups(
                    [r for r in requests if r.evaluation == evaluation.name],
                    [r for r in records if r.evaluation == evaluation.name],
                    prompts,
                )
            ]
            for requests, records in zip(asked, answers, strict=True)
        ]
        if not any(more):
            return answers
        for index, records in enumerate(scorer.score_each(more, bank, progress=progress)):
            asked[index].extend(more[index])
            answers[index].extend(records)
