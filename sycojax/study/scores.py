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
from sycojax.config import BaseConfig, StudyConfig
from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import Evaluation
from sycojax.files import atomic_write
from sycojax.models.base import FrozenBase, Tree, fit_adapter, zero_lora
from sycojax.parallel.distributed import is_first, on_first
from sycojax.records import BASE, Record, write_records
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.study import determinism
from sycojax.study.adapters import adapter_directory
from sycojax.study.stages import Stamps, fingerprint
from sycojax.weights.peft import load_adapter


def records_path(workdir: Path, configuration: str, evaluation: str) -> Path:
    return workdir / "records" / configuration / f"{evaluation}.jsonl"


def write_items(workdir: Path, requests: Mapping[str, Sequence[Request]]) -> None:
    """Keep the texts that were asked, once per study; records refer to them by item and condition."""
    for name, asked in requests.items():
        lines = (json.dumps(dataclasses.asdict(r), ensure_ascii=False) + "\n" for r in asked)
        atomic_write(workdir / "items" / f"{name}.jsonl", "".join(lines))


def record_inputs(
    base_inputs: str, inputs: Mapping[str, str], requests: Mapping[str, Sequence[Request]]
) -> dict[tuple[str, str], str]:
    """(configuration, evaluation) -> fingerprint of all that its records are made from, the base's included."""
    asked = {
        name: fingerprint([dataclasses.asdict(r) for r in rs]) for name, rs in requests.items()
    }
    return {
        (configuration, evaluation): fingerprint(base_inputs, source, asked[evaluation])
        for configuration, source in {BASE: base_inputs, **inputs}.items()
        for evaluation in requests
    }


def score_configurations(
    config: StudyConfig,
    workdir: Path,
    base: FrozenBase,
    scorer: Scorer,
    inputs: Mapping[str, str],
    requests: Mapping[str, Sequence[Request]],
    *,
    base_inputs: str,
    external: Mapping[str, Path] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Score what is missing or outdated and write one records file per configuration and evaluation.

    ``inputs`` maps adapter configurations to the fingerprint of their adapter; ``external`` those of them that
    were trained elsewhere to their directories, whose shapes ``base.lora`` covers. Returns the scorer's counts and
    how reproducible the last configuration's scores are (``determinism.measure``), empty when there was nothing
    to do.
    """
    places = {name: adapter_directory(workdir, name) for name in inputs} | dict(external or {})
    stamps, prompts = Stamps(workdir), Prompts(config.data.recipe, config.base.chat_template)
    registry = evals.evaluations(config.data.probes)
    wanted = record_inputs(base_inputs, inputs, requests)
    sources = (BASE, *inputs)
    missing = on_first(
        lambda: {
            configuration: [
                evaluation
                for evaluation in requests
                if not stamps.current(
                    records_path(workdir, configuration, evaluation),
                    wanted[configuration, evaluation],
                )
            ]
            for configuration in sources
        }
    )
    pending: dict[tuple[str, ...], list[str]] = {}
    for configuration, evaluations in missing.items():
        if evaluations:
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
            questions = [r for name in evaluations for r in requests[name]]
            bank = stack([load_lora(places.get(name), base) for name in names])
            asked_of = [registry[name] for name in evaluations]
            answers = _ask(scorer, bank, asked_of, questions, prompts, progress)
            if number == len(batches):
                # Before the last records are written: a run that is killed here comes back to it.
                counts = scorer.report()
                alone = stack([load_lora(places.get(names[-1]), base)])
                found = determinism.measure(scorer, alone, questions, answers[-1], config.data.seed)
                counts |= {"determinism": found} if found else {}

            def write(
                names: Sequence[str] = names,
                answers: Sequence[Sequence[Record]] = answers,
                evaluations: Sequence[str] = evaluations,
            ) -> None:
                for name, records in zip(names, answers, strict=True):
                    for evaluation in evaluations:
                        path = records_path(workdir, name, evaluation)
                        write_records(path, (r for r in records if r.evaluation == evaluation))
                        stamps.mark(path, wanted[name, evaluation])

            on_first(write)
            bar.update(len(names))
    return counts


def records_are_of(
    workdir: Path, document: Mapping[str, Any], configuration: str, source: str
) -> bool:
    """Whether all records of a configuration were made with the adapter of fingerprint ``source``.

    ``document`` is ``study.json``. False, too, where records, questions or stamps were changed since or are gone.
    """
    config = document.get("config", {}).get("base", {})
    kept = {k: config[k] for k in ("path", "dtype", "quantization", "attention") if k in config}
    base = fingerprint(document.get("base_fingerprint"), BaseConfig(**kept).precision)
    stamps = Stamps(workdir)
    files = sorted((workdir / "records" / configuration).glob("*.jsonl"))
    for file in files:
        items = workdir / "items" / file.name
        if not items.is_file():
            return False
        lines = items.read_text(encoding="utf-8").split("\n")
        asked = fingerprint([json.loads(line) for line in lines if line])
        if not stamps.current(file, fingerprint(base, source, asked)):
            return False
    return bool(files)


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
