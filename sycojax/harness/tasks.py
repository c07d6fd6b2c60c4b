"""The three probes as task files of lm-evaluation-harness, to be measured with any of its models.

The harness asks single turns that are known beforehand. ``answer`` and ``feedback`` are that already. The second
turn of ``are_you_sure`` depends on the model's first answer, so it is asked after every answer that the letters
allow, and the functions beside the task files count the one that the model gave: the numbers are those of the
probe, for n times as many second turns. Prompts are whole texts in the config's chat template.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.data.prompts import OPINIONS, Prompts
from sycojax.errors import SycojaxError
from sycojax.evals import EVALUATIONS
from sycojax.files import atomic_directory
from sycojax.harness import probe_measures
from sycojax.records import Record
from sycojax.requests import Request
from sycojax.study.datasets import probe_rows

MEASURES = {
    "answer": probe_measures.ANSWER,
    "are_you_sure": probe_measures.ARE_YOU_SURE,
    "feedback": probe_measures.FEEDBACK,
}
ANSWER_CONDITIONS = ("prior", "H", "H2", "C+", "C-", "W+", "W-")
TURNS = ("T", "R")
TASK = """\
task: sycojax_{probe}
tag: sycojax_probes
custom_dataset: !function probe_measures.{probe}_dataset
output_type: multiple_choice
test_split: test
num_fewshot: 0
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: target
target_delimiter: ""
process_results: !function probe_measures.{probe}_scores
metric_list:
{metrics}metadata:
  version: 1.0
"""
METRIC = """\
  - metric: {name}
    aggregation: !function probe_measures.{probe}_{name}
    higher_is_better: {better}
"""
README = """\
# Sycophancy probes for lm-evaluation-harness

    lm_eval --model hf --model_args pretrained=MODEL --include_path DIRECTORY --tasks sycojax_probes

`DIRECTORY` is this one. {counts}.

- Prompts are whole texts in the chat template `{template}`. Leave `--apply_chat_template`, `--system_instruction`
  and `--num_fewshot` out: they would put a second template or foreign text around the prompts.{bos}
- `are_you_sure` asks its second turns after every possible first answer; only those after the answer that
  the model itself found likeliest count. The user's neutral repeat is part of it, the approving and the
  bare second question, and the concession sentences, are not.
- `dP` is 0 for a model that ignores the user and positive for one that follows; `floor` is what the same
  difference comes to where nobody's opinion was named. What each number means: `probe_measures.py`.
- No standard error is printed: documents of an item belong together. `--log_samples` keeps all scores.
"""
BOS_NOTE = """
  They begin with `<s>`, which must be the model's BOS token; for other models, export with
  `--config.base.chat_template=plain`."""


def write_tasks(to: Path, config: StudyConfig) -> dict[str, int]:
    """Write task files, documents and functions into the new directory ``to``; documents by probe.

    Items, prompts and seed are those of a study with ``config``. Raises ``SycojaxError`` where ``to`` exists or
    the config's data cannot be read; then nothing is written.
    """
    if to.exists():
        raise SycojaxError(f"--to={to} exists already: choose a new directory")
    prompts = Prompts(config.data.recipe, config.base.chat_template)
    found = {
        probe: documents(probe, rows, prompts, config.data.seed)
        for probe, rows in probe_rows(config).items()
    }
    counts = {probe: len(docs) for probe, docs in found.items()}
    with atomic_directory(to) as temporary:
        for probe, docs in found.items():
            lines = "".join(f"{json.dumps(doc, ensure_ascii=False)}\n" for doc in docs)
            (temporary / f"{probe}.jsonl").write_text(lines, encoding="utf-8")
            (temporary / f"sycojax_{probe}.yaml").write_text(_task(probe), encoding="utf-8")
        shutil.copyfile(probe_measures.__file__, temporary / "probe_measures.py")
        (temporary / "README.md").write_text(_readme(found, prompts), encoding="utf-8")
    return counts


def documents(probe: str, rows: Sequence[Any], prompts: Prompts, seed: int) -> list[dict[str, Any]]:
    """The documents of a probe, those of an item together."""
    requests = EVALUATIONS[probe].requests(rows, prompts, seed)
    if probe == "are_you_sure":
        docs = _are_you_sure(requests, prompts)
    else:
        kept = ANSWER_CONDITIONS if probe == "answer" else tuple(OPINIONS)
        # Of the answers only the first two are named in the prompts; others are spellings of the right one.
        docs = [
            _document(
                r, r.condition, choices=r.candidates[:2] if probe == "answer" else r.candidates
            )
            for r in requests
            if r.condition in kept
        ]
    items: dict[str, list[dict[str, Any]]] = {}
    for doc in docs:
        items.setdefault(doc["item"], []).append(doc)
    return [{**doc, "documents": len(own)} for own in items.values() for doc in own]


def _are_you_sure(requests: Sequence[Request], prompts: Prompts) -> list[dict[str, Any]]:
    """First turns, and the doubted and the repeated second turn after every answer to each."""
    asked = {(r.item, r.condition): r for r in requests}
    firsts = [r for r in requests if r.condition.startswith("rotation=")]
    placed = {
        first.key: {
            "rotation": int(first.condition.removeprefix("rotation=")),
            "gold": first.meta["gold"],
            "wrong": asked[first.item, f"forced=wrong,{first.condition}"].meta["own"],
        }
        for first in firsts
    }
    docs = [_document(first, "first", own=-1, **placed[first.key]) for first in firsts]
    for own in range(max(len(first.candidates) for first in firsts)):
        answered = [_answers(first, own) for first in firsts if own < len(first.candidates)]
        for second in EVALUATIONS["are_you_sure"].followups(requests, answered, prompts):
            turn, _, rotation = second.condition.partition(",")
            if turn in [f"challenge={u}" for u in TURNS]:
                first = asked[second.item, rotation]
                turn = turn.removeprefix("challenge=")
                docs.append(_document(second, turn, own=own, **placed[first.key]))
    return docs


def _answers(first: Request, own: int) -> Record:
    """A record in which the letter at ``own`` is the likeliest."""
    n = len(first.candidates)
    return Record.scored(first, [float(i == own) - 1 for i in range(n)], [1] * n, [False] * n)


def _document(
    request: Request, condition: str, choices: Sequence[str] | None = None, **more: int
) -> dict[str, Any]:
    return {
        "item": request.item,
        "condition": condition,
        **more,
        "prompt": request.prompt,
        "choices": list(request.candidates if choices is None else choices),
        "target": more.get("gold", 0),
    }


def _task(probe: str) -> str:
    metrics = "".join(
        METRIC.format(probe=probe, name=name, better="true" if _is_better(name) else "false")
        for name in MEASURES[probe]
    )
    return TASK.format(probe=probe, metrics=metrics)


def _is_better(name: str) -> bool:
    return name in ("accuracy", "discrimination", "leave_wrong")


def _readme(found: Mapping[str, Sequence[Mapping[str, Any]]], prompts: Prompts) -> str:
    counts = ", ".join(
        f"`sycojax_{probe}`: {len({doc['item'] for doc in docs})} items in {len(docs)} documents"
        for probe, docs in found.items()
    )
    bos = BOS_NOTE if prompts.template == "llama2" else ""
    return README.format(counts=counts, template=prompts.template, bos=bos)
