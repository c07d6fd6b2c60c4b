"""The scoring stage: base and adapters on every benchmark and probe, a bank of configurations at a time."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sycojax import evals
from sycojax.config import StudyConfig
from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import Evaluation
from sycojax.evals.readouts import in_arms
from sycojax.files import atomic_write
from sycojax.models.base import FrozenBase, Tree, fit_adapter, zero_lora
from sycojax.models.lora import covering
from sycojax.parallel.distributed import is_first, on_first
from sycojax.parallel.preemption import Preemption
from sycojax.progress import Progress
from sycojax.records import BASE, Record, read_records, write_records
from sycojax.requests import Request
from sycojax.scoring.journal import NAME, Journal, Section
from sycojax.scoring.scorer import Scorer
from sycojax.study import determinism
from sycojax.study.inputs import Inputs, prompts_of
from sycojax.study.stages import Stamps, fingerprint
from sycojax.study.state import State, items_path
from sycojax.weights.peft import load_adapter


def scorer_of(config: StudyConfig, given: Inputs, base: FrozenBase) -> Scorer:
    """What asks ``base`` and all adapters of a study with ``config``.

    Adapters of other shapes share one program with the study's own, the smallest that holds all of them.
    """
    shapes = [adapter.shape for adapter in given.external.values()]
    scored = dataclasses.replace(base, lora=covering([config.lora, *shapes]))
    ends = given.prompts.template.end_ids(given.tokenizer)
    return Scorer(scored, given.tokenizer, config.score, ends)


def write_items(workdir: Path, requests: Mapping[str, Sequence[Request]]) -> None:
    """Write down the texts that are asked, once per study; records refer to them by item and condition."""
    for name, asked in requests.items():
        lines = (json.dumps(r.to_json(), ensure_ascii=False) + "\n" for r in asked)
        atomic_write(items_path(workdir, name), "".join(lines))


# (prompt, candidates) -> the arguments of ``Record.scored``.
Answered = Mapping[tuple[str, tuple[str, ...]], tuple[Any, ...]]


def answered(state: State) -> Answered:
    """The base's answers to the likelihood requests of ``state``, whose records must all be there."""

    def scores() -> dict[str, list[Any]]:
        return {
            name: [
                [r.logprobs, r.n_tokens, r.greedy, r.dropped_tokens]
                for r in read_records(state.records[BASE, name].path)
            ]
            for name in state.requests
        }

    found = on_first(scores)
    return {
        (request.prompt, request.candidates): tuple(own)
        for name, requests in state.requests.items()
        for request, own in zip(requests, found[name], strict=True)
        if request.candidates
    }


def score_configurations(
    config: StudyConfig, base: FrozenBase, scorer: Scorer, state: State, *, progress: bool = True,
    journal_name: str = NAME, known: Answered | None = None,
    checked: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score what is missing or outdated and write one records file per configuration and evaluation.

    ``base.lora`` covers the shapes of all adapters. What is ``known`` of the base is not asked again where it is scored by
    itself. Returns the scorer's counts; empty when there was nothing to do. With ``checked`` they have how reproducible the last
    configuration's scores are (``determinism.measure``), and ``checked`` gets them before the last records are written: a run that
    is killed then does it again. Raises ``Stopped`` on SIGTERM and Ctrl-C: what was
    computed until then is in ``WORKDIR/scoring.jsonl`` (or ``journal_name``), also when the process is killed.
    """
    stamps, prompts = Stamps(state.workdir), prompts_of(config, scorer.tokenizer)
    registry = evals.evaluations(config.data.probes)
    pending, path = on_first(state.unscored), state.workdir / journal_name
    if not pending:
        on_first(lambda: path.unlink(missing_ok=True))
        return {}
    counts: dict[str, Any] = {}
    with Preemption(base.mesh) as stop, Journal(path, stop) as journal:
        banks = _begin(journal, config, scorer, state, pending)
        total = sum(len(names) for _, names in banks)
        with Progress("scored", total, "configuration", shown=progress and is_first()) as bar:
            for number, (evaluations, names) in enumerate(banks):
                started = time.monotonic()
                questions = [r for name in evaluations for r in state.requests[name]]
                bank = stack([load_lora(state.adapter(name), base) for name in names])
                asked_of, kept = [registry[name] for name in evaluations], journal.of(str(number))
                before = known if known and names == [BASE] else {}
                answers = _ask(scorer, bank, asked_of, questions, prompts, progress, kept, before)
                if number == len(banks) - 1:
                    counts = scorer.report()
                if checked and number == len(banks) - 1:
                    bar.say("checking  how far scores depend on the batches that they are computed in")  # fmt: skip
                    alone = stack([load_lora(state.adapter(names[-1]), base)])
                    seed, unkept = config.data.seed, kept.unkept()
                    found = determinism.measure(scorer, alone, asked_of, questions, answers[-1], seed, unkept)  # fmt: skip
                    counts |= {"determinism": found} if found else {}
                    checked(counts)

                def write(
                    names: Sequence[str] = names,
                    answers: Sequence[Sequence[Record]] = answers,
                    evaluations: Sequence[str] = evaluations,
                ) -> None:
                    for name, records in zip(names, answers, strict=True):
                        for evaluation in evaluations:
                            output = state.records[name, evaluation]
                            if not state.current(output):  # of a run before this one
                                own = (r for r in records if r.evaluation == evaluation)
                                write_records(output.path, own)
                                stamps.mark(output.path, output.inputs)

                on_first(write)
                bar.update(len(names))
                took = f"{len(evaluations)} evaluations in {time.monotonic() - started:.0f} s"
                bar.say(f"scored    {', '.join(names)}: {took}")
    on_first(lambda: path.unlink())
    return counts


Banks = list[
    tuple[list[str], list[str]]
]  # evaluations, and the configurations that are asked them together


def _begin(
    journal: Journal, config: StudyConfig, scorer: Scorer, state: State, pending: Mapping[str, Sequence[str]]
) -> Banks:  # fmt: skip
    """The banks to score. Where a run was stopped that also wanted what is ``pending`` now: all of its banks, finished ones too.

    Which batches are made depends on the batches before them. So a run that continues makes all batches again, and takes the results
    of those that are done from the journal.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for configuration, evaluations in pending.items():
        groups.setdefault(tuple(evaluations), []).append(configuration)
    banks: Banks = []
    for evaluations, names in groups.items():
        width = scorer.together(len(names))
        banks += [
            (list(evaluations), names[start : start + width])
            for start in range(0, len(names), width)
        ]

    def inputs(banks: Banks) -> list[str]:
        wanted = [
            state.records.get((n, e)) for evaluations, ns in banks for n in ns for e in evaluations
        ]
        return [fingerprint(output.inputs) if output else "" for output in wanted]

    def continues(header: Any) -> bool:
        asked = {
            (n, e) for evaluations, names in header["banks"] for n in names for e in evaluations
        }
        return (
            header["settings"] == settings
            and header["inputs"] == inputs(header["banks"])
            and all((n, e) in asked for n, evaluations in pending.items() for e in evaluations)
        )

    settings = fingerprint(config.score, config.base, config.mesh)
    header = {"settings": settings, "banks": banks, "inputs": inputs(banks)}
    return journal.begin(header, continues)["banks"]


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
    kept: Section,
    known: Answered,
) -> list[list[Record]]:
    """Score ``questions``, then what depends on the answers (a second turn quotes the first), until nothing is left."""
    new = [r for r in questions if (r.prompt, r.candidates) not in known]
    answers = scorer.score(new, bank, progress=progress, kept=kept)
    if len(new) < len(questions):
        answers = [_in_order(questions, iter(found), known) for found in answers]
    asked = [list(questions) for _ in answers]
    while True:
        more = [
            [
                request
                for evaluation in evaluations
                for request in evaluation.followups(
                    [r for r in requests if r.evaluation == evaluation.name and not in_arms(r)],
                    [r for r in records if r.evaluation == evaluation.name and not in_arms(r)],
                    prompts,
                )
            ]
            for requests, records in zip(asked, answers, strict=True)
        ]
        if not any(more):
            return answers
        more_answers = scorer.score_each(more, bank, progress=progress, kept=kept)
        for index, records in enumerate(more_answers):
            asked[index].extend(more[index])
            answers[index].extend(records)


def _in_order(questions: Sequence[Request], new: Iterator[Record], known: Answered) -> list[Record]:
    """The records of ``questions`` in their order: from ``known`` where it has them, else the next of ``new``."""
    return [
        Record.scored(asked, *known[words]) if (words := (asked.prompt, asked.candidates)) in known else next(new)
        for asked in questions
    ]  # fmt: skip
