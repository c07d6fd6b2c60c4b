"""Probes as task files of lm-evaluation-harness, to be measured with any of its models.

The harness asks single turns that are known beforehand. A second turn depends on the model's first answer, so it is
asked after every answer that the first may get, and those that follow from the model's own answers count: the numbers
are those of the probe, computed by the probe. Prompts are whole texts in the config's chat template.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.data.prompts import Prompts
from sycojax.data.templates import Template
from sycojax.errors import SycojaxError
from sycojax.evals import Evaluations, evaluations
from sycojax.evals.protocol import Evaluation
from sycojax.files import atomic_directory
from sycojax.harness.exported import SETTINGS, documents
from sycojax.study.datasets import probe_rows
from sycojax.study.inputs import prompts_of, tokenizer_of

# Into every task file, from where the harness copies it to its results.
VERDICT = "none: a number of one model says nothing of sycophancy before `sycojax readouts` has shown that the probe sees on it"
HIGHER_IS_BETTER = ("accuracy", "discrimination", "leave_wrong")
FUNCTIONS = '''\
"""What the task files name; sycojax has to be installed."""

from pathlib import Path

from sycojax.harness.exported import functions

globals().update(functions(Path(__file__).parent))
'''
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
  version: 2.0
  verdict: "{verdict}"
"""
METRIC = """\
  - metric: {name}
    aggregation: !function probe_measures.{probe}_{name}
    higher_is_better: {better}
"""
README = """\
# Sycophancy probes for lm-evaluation-harness

    lm_eval --model hf --model_args pretrained=MODEL --include_path DIRECTORY --tasks sycojax_probes

`DIRECTORY` is this one; sycojax, installed beside lm_eval, computes the measures. {counts}.

- Prompts are whole texts written by {template}. Leave `--apply_chat_template`, `--system_instruction`
  and `--num_fewshot` out: they would put a second template or foreign text around the prompts. What the
  template begins with is in them: a tokenizer that adds a BOS token of its own, which its template does not write,
  needs `--model_args ...,add_bos_token=False`.
- Second turns are asked after every possible first answer; only those that follow from the answers that the model
  itself found likeliest count.
- No number here is a verdict. A model that copies what is named, or that never looks at the question, has a `dP`, too.
  Whether a probe sees anything on a base is what `sycojax readouts` measures, and whether an adapter changed it a study
  (`sycojax study`), which claims nothing where a gate fails: sycojax's `docs/readouts.md`.
- `dP` is 0 for a model that ignores the user and positive for one that follows; `floor` is what the same
  difference comes to where nobody's opinion was named. What each number means: sycojax's `docs/metrics.md`.
- No standard error is printed: documents of an item belong together. `--log_samples` keeps all scores.
"""


def write_tasks(to: Path, config: StudyConfig) -> dict[str, int]:
    """Write task files, documents and functions into the new directory ``to``; documents by probe.

    Items, prompts and seed are those of a study with ``config``. Raises ``SycojaxError`` where ``to`` exists or
    the config's data cannot be read; then nothing is written.
    """
    if to.exists():
        raise SycojaxError(f"--to={to} exists already: choose a new directory")
    prompts = prompts_of(config, tokenizer_of(config))
    registry = evaluations(config.data.probes)
    return write_probes(to, registry, probe_rows(config), prompts, config.data.seed)


def write_probes(
    to: Path, registry: Evaluations, rows: Mapping[str, Sequence[Any]], prompts: Prompts, seed: int
) -> dict[str, int]:
    """The same for ``rows`` by probe."""
    found = {name: documents(registry[name], own, prompts, seed) for name, own in rows.items()}
    files = {f"{file.evaluation.name}.py": file for file in registry.files}
    measures = {name: _measures(registry[name]) for name in found}
    settings = {
        "prompts": {"recipe": prompts.recipe, "template": _portable(prompts.template)}, "measures": measures, "files": list(files),
    }  # fmt: skip
    with atomic_directory(to) as temporary:
        for probe, docs in found.items():
            lines = "".join(f"{json.dumps(doc, ensure_ascii=False)}\n" for doc in docs)
            (temporary / f"{probe}.jsonl").write_text(lines, encoding="utf-8")
            task = _task(probe, measures[probe])
            (temporary / f"sycojax_{probe}.yaml").write_text(task, encoding="utf-8")
        for name, file in files.items():
            (temporary / name).write_bytes(file.source)
        (temporary / SETTINGS).write_text(json.dumps(settings, indent=2), encoding="utf-8")
        (temporary / "probe_measures.py").write_text(FUNCTIONS, encoding="utf-8")
        (temporary / "README.md").write_text(_readme(found, prompts), encoding="utf-8")
    return {probe: len(docs) for probe, docs in found.items()}


def _portable(template: Template) -> dict[str, Any]:
    """All of it but where it was read, which is a place of this machine."""
    return {k: v for k, v in dataclasses.asdict(template).items() if k != "origin"}


def _measures(probe: Evaluation) -> list[str]:
    """What the task of a probe reports: what it says, else what its contrasts name."""
    named = [name for c in probe.contrasts for name in (c.hard, c.measure, c.floor)]
    return list(dict.fromkeys(probe.exported or named))


def _task(probe: str, measures: Sequence[str]) -> str:
    metrics = "".join(
        METRIC.format(probe=probe, name=name, better=str(name in HIGHER_IS_BETTER).lower())
        for name in measures
    )
    return TASK.format(probe=probe, metrics=metrics, verdict=VERDICT)


def _readme(found: Mapping[str, Sequence[Mapping[str, Any]]], prompts: Prompts) -> str:
    counts = ", ".join(
        f"`sycojax_{probe}`: {len({doc['item'] for doc in docs})} items in {len(docs)} documents"
        for probe, docs in found.items()
    )
    return README.format(counts=counts, template=f"the chat template `{prompts.template.name}`")
