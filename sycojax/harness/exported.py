"""What exported task files compute: the measures of a probe, from lm-evaluation-harness's log-likelihoods.

A document is one request of an item, and its value under every metric is its scores. The aggregation makes records
of them and lets the probe measure; an item that ``--limit`` cut in half does not count. The harness asks what is known
beforehand, so a second turn is among the documents once for every answer that the first may get; those count that
follow from the answers the model gave.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.data.prompts import Prompts
from sycojax.data.templates import Template
from sycojax.errors import SycojaxError
from sycojax.evals import evaluations
from sycojax.evals.protocol import Evaluation
from sycojax.records import Record
from sycojax.requests import Request

SETTINGS = "settings.json"  # prompts, measures by probe, and the files of a user
Load = Callable[[], list[dict[str, Any]]]
FIRST = "first"  # marks the documents that are asked whatever the answers are


def documents(
    probe: Evaluation, rows: Sequence[Any], prompts: Prompts, seed: int
) -> list[dict[str, Any]]:
    """Everything that the probe may come to ask of ``rows``, those of an item together.

    Raises ``SycojaxError`` where it has a reply generated, which such tasks cannot read.
    """
    first = probe.requests(rows, prompts, seed)
    asked = {(r.key, r.prompt): r for r in first}
    for best in range(max((len(r.candidates) or 1 for r in first), default=0)):
        requests, todo = list(first), first
        records: list[Record] = []
        while todo:
            records += [_answers(request, best) for request in todo]
            todo = probe.followups(requests, records, prompts)
            requests += todo
        asked |= {(r.key, r.prompt): r for r in requests}
    items: dict[str, list[Request]] = {}
    for request in asked.values():
        items.setdefault(request.item, []).append(request)
    known = {(r.key, r.prompt) for r in first}
    return [
        {
            "number": number, "item": r.item, "condition": r.condition, "cluster": r.cluster,
            "meta": json.dumps(dict(r.meta)),  # as text: columns of a table have one type
            "turns": list(r.turns),
            FIRST: (r.key, r.prompt) in known,
            "prompt": r.prompt, "choices": list(r.candidates), "target": 0,
        }
        for number, r in enumerate(r for own in items.values() for r in own)
    ]  # fmt: skip


def functions(directory: Path) -> dict[str, Callable[..., Any]]:
    """What the task files in ``directory`` name: of each probe its documents, their values, and every metric."""
    settings = json.loads((directory / SETTINGS).read_text(encoding="utf-8"))
    registry = evaluations(directory / file for file in settings["files"])
    written = settings["prompts"]
    prompts = Prompts(written["recipe"], Template(**written["template"]))
    found: dict[str, Callable[..., Any]] = {}
    for name, measures in settings["measures"].items():
        load = functools.cache(functools.partial(_load, directory / f"{name}.jsonl"))
        found[f"{name}_dataset"] = functools.partial(_dataset, load)
        found[f"{name}_scores"] = functools.partial(_scores, measures)
        for measure in measures:
            metric = functools.partial(_metric, registry[name], measure, prompts, load)
            found[f"{name}_{measure}"] = metric
    return found


def _answers(request: Request, best: int) -> Record:
    """A record in which the candidate at ``best``, or the last where there are fewer, is the likeliest."""
    n = len(request.candidates)
    if not n:
        raise SycojaxError(
            f"{request.evaluation} has a reply generated; only what is scored can be exported as a task"
        )
    best = min(best, n - 1)
    return Record.scored(request, [float(i == best) - 1 for i in range(n)], [1] * n, [False] * n)


def _load(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _dataset(load: Load, **_: Any) -> dict[str, Any]:
    import datasets

    return {"test": datasets.Dataset.from_list(load())}


def _scores(
    measures: Sequence[str], doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, Any]:
    value = {"number": doc["number"], "results": results}
    return dict.fromkeys(measures, value)


def _metric(
    probe: Evaluation,
    measure: str,
    prompts: Prompts,
    load: Load,
    values: Iterable[Mapping[str, Any]],
) -> float:
    """A measure over all items of which every document is there; nan where it has none."""
    records = _records(probe, prompts, load(), {v["number"]: v["results"] for v in values})
    measures = probe.measures(records) if records else []
    return next((m.estimate for m in measures if m.name == measure), math.nan)


def _records(
    probe: Evaluation,
    prompts: Prompts,
    docs: Sequence[Mapping[str, Any]],
    results: Mapping[int, Sequence[tuple[float, bool]]],
) -> list[Record]:
    """The records that a study of this model would have of the items that were asked in full."""
    cut = {doc["item"] for doc in docs if doc["number"] not in results}
    whole = [doc for doc in docs if doc["item"] not in cut]
    found = {(d["item"], d["condition"], d["prompt"]): results[d["number"]] for d in whole}
    requests = todo = [_request(probe, doc) for doc in whole if doc[FIRST]]
    records: list[Record] = []
    while todo:
        for request in todo:
            scores = found[request.item, request.condition, request.prompt]
            logprobs, greedy = [s[0] for s in scores], [s[1] for s in scores]
            records.append(Record.scored(request, logprobs, [1] * len(scores), greedy))
        todo = probe.followups(requests, records, prompts)
        requests = [*requests, *todo]
    return records


def _request(probe: Evaluation, doc: Mapping[str, Any]) -> Request:
    return Request(
        probe.name, doc["item"], doc["condition"], doc["cluster"], doc["prompt"],
        candidates=tuple(doc["choices"]), meta=json.loads(doc["meta"]), turns=tuple(doc["turns"]),
    )  # fmt: skip
