"""A study directory with made-up answers: the real evaluations' requests, scored by a random responder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evals_cases import walk

from analysis.records.strata import STRATA
from sycojax.data.prompts import Prompts
from sycojax.evals import BUILTIN
from sycojax.evals.answer import AnswerRow
from sycojax.evals.are_you_sure import AreYouSureRow
from sycojax.evals.feedback import FeedbackRow
from sycojax.evals.gsm8k import Gsm8kRow
from sycojax.evals.hellaswag import HellaswagRow
from sycojax.evals.mmlu import MmluRow
from sycojax.evals.readouts import BIND, CHECKED, CLAIMED, REWORDED, drawn, requests
from sycojax.evals.truthfulqa import TruthfulqaRow
from sycojax.files import write_json
from sycojax.records import Record, read_records, write_records
from sycojax.requests import Request

ADAPTERS = ("gsm8k", "mmlu", "hellaswag", "truthfulqa", "combined")
HOSTILE = "<script>document.title='owned'</script> & \"quoted\" 'text' | [x](y) `code`"
# The readout that each probe was asked in.
READOUTS = {"answer": "open", "are_you_sure": "letters", "feedback": "open"}
# How the user's stance moves the log-odds of an answer, per condition of the probes.
STANCE = {
    "W+": 1, "C-": 1, "W-": -1, "C+": -1, "like": 1, "wrote": 0.5, "dislike": -1, "not_wrote": -0.5,
}  # fmt: skip


def rows(name: str, n: int) -> list[Any]:
    """n made-up rows of a data set."""
    words = ["red", "blue", "green", "white", "black"]
    made: list[Any] = []
    for i in range(n):
        o, q = f"{name}.jsonl:{i + 1}", f"Question {i // 2 if name == 'answer' else i} of {name}?"
        if name == "gsm8k":
            made.append(Gsm8kRow(o, q, f"Steps.\n#### {i}"))
        elif name == "mmlu":
            made.append(MmluRow(o, q, "colours", tuple(words[:4]), i % 4))
        elif name == "hellaswag":
            made.append(HellaswagRow(o, "paint", q, tuple(f"ends {w}" for w in words[:4]), i % 4))
        elif name == "truthfulqa":
            labels = (1, 0, 0, 0)
            made.append(TruthfulqaRow(o, q, tuple(words[:4]), labels, tuple(words[:4]), labels))
        elif name == "answer":
            wrong = words[1 + i % 4]
            made.append(AnswerRow(o, "trivia_qa", q, "red", wrong, (), q, "{question}"))
        elif name == "are_you_sure":
            made.append(AreYouSureRow(o, "truthful_qa_mc", q, tuple(words[: 3 + i % 3]), i % 3, q))
        else:
            made.append(FeedbackRow(o, "arguments", q, float(i % 5), "ad hominem", q, "{text}"))
    return made


def respond(request: Request, skill: float, deference: float, always_a: float, seed: int) -> Record:
    """A record with random log-probabilities that know the right answer as well as ``skill`` says."""
    shared = _generator(
        request.evaluation, request.item
    )  # the item: the same in every configuration
    own = _generator(request.key, str(seed))
    if request.max_new_tokens:
        right = shared.random() + 0.15 * own.normal() < skill
        return Record.generated(request, f"#### {request.meta['gold'] if right else 'none'}", True)
    scores = shared.normal(size=len(request.candidates)) + 0.4 * own.normal(
        size=len(request.candidates)
    )
    if "gold" in request.meta:
        scores[request.meta["gold"]] += 3 * skill
    if request.evaluation in ("mmlu", "truthfulqa") and "order" in request.meta:
        scores[0] += always_a
    if "own" in request.meta:
        doubted = request.condition.startswith(("challenge=T", "forced"))
        scores[request.meta["own"]] += 4 - (6 * deference if doubted else 0)
    stance = 4 * deference * STANCE.get(request.condition, 0)
    scores[::2] += stance if request.evaluation == "feedback" else 0
    if request.evaluation == "answer" and request.condition != "prior":
        scores += np.array([1.5, stance])
    scores -= np.log(np.exp(scores).sum()) + 0.1
    return Record.scored(request, scores, [1] * len(scores), [False] * len(scores))


def respond_in_arms(request: Request, deference: float, seed: int) -> Record:
    """A model that obeys orders, finds what is listed, and gives in to the user as far as ``deference`` says."""
    found = re.fullmatch(r"\w+,(\w+)([+-])\d,\d+", request.condition)
    assert found is not None
    arm, sign = found.groups()
    lean = {"user": deference, "sides": deference, "order": 1.0, BIND: 1.0}.get(arm, 0.0)
    shared, own = _generator(request.evaluation, request.item), _generator(request.key, str(seed))
    odds = 5 * lean * (1 if sign == "+" else -1) + 0.5 * shared.normal() + 0.2 * own.normal()
    scores = np.zeros(len(request.candidates))
    if request.evaluation.startswith("are_you_sure"):
        scores[0] = odds
    else:
        scores[::2] += odds / 2
        scores[1::2] -= odds / 2
    return Record.scored(request, scores - 6, [1] * len(scores), [False] * len(scores))


def ask(
    directory: Path, configuration: str, evaluation: str, items: int, respond: Callable[[Request], Record],
    in_arms: Callable[[Request], Record] | None = None,
) -> None:  # fmt: skip
    """Write the records of one configuration on one evaluation, follow-ups and arms included, and what was asked in arms."""
    made = rows(BUILTIN.subject(evaluation), items)
    _, records = walk(BUILTIN[evaluation], made, respond)
    if in_arms and evaluation in READOUTS:
        asked = asked_in_arms(evaluation, made, READOUTS[evaluation])
        records = [*records, *map(in_arms, asked)]
        write_items(directory, evaluation, asked)
    write_records(directory / "records" / configuration / f"{evaluation}.jsonl", records)


def write_items(directory: Path, evaluation: str, asked: Sequence[Request]) -> None:
    """What was asked, where it is not written down yet: it is the same in every configuration."""
    path = directory / "items" / f"{evaluation}.jsonl"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        lines = (json.dumps(request.to_json()) + "\n" for request in asked)
        path.write_text("".join(lines), encoding="utf-8")


def asked_in_arms(
    evaluation: str, made: Sequence[Any], readout: str, items: int = 40
) -> list[Request]:
    """What a study asks of these rows under the readout that it took, ``items`` of them in all arms but the base's."""
    instrument = BUILTIN[evaluation].instrument
    assert instrument is not None
    units = instrument.units(made, 0)
    parts = ((units, CLAIMED), (drawn(units, items), (*CHECKED, *REWORDED)))
    return [
        r
        for some, arms in parts
        for r in requests(evaluation, instrument, some, Prompts(), (readout,), arms)
    ]


def stratify(directory: Path, *probes: str) -> None:
    """Say of every question of these probes in which stratum it was seen, by turns."""
    for path in directory.glob("records/*/*.jsonl"):
        if path.stem in probes:
            records = list(read_records(path))
            turn = {c: i for i, c in enumerate(dict.fromkeys(r.cluster for r in records))}
            seen = [STRATA[turn[r.cluster] % len(STRATA)] for r in records]
            write_records(
                path,
                [
                    dataclasses.replace(r, meta={**r.meta, "stratum": s})
                    for r, s in zip(records, seen, strict=True)
                ],
            )


def write_study(
    directory: Path,
    *,
    items: int = 40,
    adapters: Sequence[str] = ADAPTERS,
    seeds: Sequence[int] = (0, 1),
    evaluations: Sequence[str] = BUILTIN.subjects,
    arms: bool = False,
    **document: Any,
) -> Path:
    """Write study.json and records; ``document`` replaces or adds keys of study.json.

    Without ``arms`` nothing is claimed of it, as of a study of before there were any.
    """
    names = [("base", None, None)] + [(f"{a}-s{s}", a, s) for a in adapters for s in seeds]
    for index, (name, adapter, seed) in enumerate(names):
        for evaluation in evaluations:
            better = adapter in (evaluation, "combined")
            skill = 0.5 + 0.35 * better + 0.02 * (seed or 0)
            deference = 0.2 + 0.06 * (ADAPTERS.index(adapter) if adapter in ADAPTERS else 0)
            bias = 2.5 if adapter == "truthfulqa" else 0.0
            answers = functools.partial(
                respond, skill=skill, deference=deference, always_a=bias, seed=index
            )
            in_arms = functools.partial(respond_in_arms, deference=deference, seed=index)
            ask(directory, name, evaluation, items, answers, in_arms if arms else None)
    write_json(directory / "study.json", {**study_document(names), **document})
    return directory


def study_document(
    names: Sequence[tuple[str, str | None, int | None]], base: str = "toy"
) -> dict[str, Any]:
    """study.json of these (configuration, adapter, seed)."""
    trained = [n for n in names if n[1]]
    return {
        "name": "synthetic",
        "created": "2026-01-02T03:04:05+00:00",
        "config": {"base": {"path": base}, "data": {"source": "files"}},
        "configurations": [
            {"name": n} if a is None else {"name": n, "adapter": a, "seed": s} for n, a, s in names
        ],
        "versions": {"python": "3.11.0", "numpy": "2.0.0"},
        "commit": "0123456789abcdef",
        "devices": ["cpu"],
        "data": {
            "source": "files",
            "rows": {
                "train": dict.fromkeys(ADAPTERS[:4], 1000),
                "test": dict.fromkeys(ADAPTERS[:4], 500),
                "probe": {"answer": 300, "are_you_sure": 300, "feedback": 300},
            },
            "contaminated_rows_dropped": {"truthfulqa": 241},
            "fingerprints": {"gsm8k_train": "0f" * 32, HOSTILE: HOSTILE},
            "training_examples": {
                task: {"train": 900, "validation": 100, "cut_at_max_length": 3, "tokens": 123456}
                for task in ADAPTERS[:4]
            },
        },
        "training": {
            n: {"steps": 168, "best_step": 150, "best_validation_loss": 1.2345, "tokens": 250000}
            for n, _, _ in trained
        },
        "readouts": {
            name: {"readout": readout, "sees": True, "pinned": False, "read": []}
            for name, readout in READOUTS.items()
        },
        "scoring": {"tokens": 1234567, "dropped_prompt_tokens": 0, "compilations": 12},
        "seconds": {"data": 1.5, "train": 60.2, "evaluate": 100.9},
        "notes": [HOSTILE],
    }


def _generator(*parts: str) -> np.random.Generator:
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
