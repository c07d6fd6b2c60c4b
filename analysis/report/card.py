"""The model card of one exported adapter: what it is, what the study measured on it, how it was made."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.page.document import (
    Block,
    Document,
    Folded,
    Items,
    Paragraph,
    Section,
    render_markdown,
)
from analysis.page.tables import Table, brief
from analysis.records.load import load, section
from analysis.report import card_numbers, prose
from analysis.report.contents import run
from analysis.results import Results, compute, fall_of, learning
from analysis.verdicts.learning import nats
from sycojax.records import COMBINED, PLACEBO

LORA = (
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "rank_pattern",
    "alpha_pattern",
    "base_model_name_or_path",
)
RECIPE = {
    "base": ("path", "dtype", "quantization", "chat_template"),
    "data": ("source", "recipe", "train_limit", "max_length"),
    "train": (
        "epochs", "examples_per_step", "learning_rate", "warmup_steps", "schedule", "weight_decay", "loss_average",
    ),
}  # fmt: skip
TASKS = {
    COMBINED: "on all tasks",
    PLACEBO: "as a placebo (on the texts of all tasks, the answers dealt out anew among the rows of a task)",
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """The export that the card lies in."""

    name: str  # of the configuration
    document: Mapping[str, Any]  # study.json
    settings: Mapping[str, Any]  # adapter_config.json
    base: str  # what the user calls it
    hub_base: str  # its hub id, "" where it has none
    merged: bool
    place: str  # where the reader finds it: a hub id, or the directory

    @property
    def entry(self) -> Mapping[str, Any]:
        """The configuration as study.json has it."""
        entries = self.document.get("configurations")
        found = [e for e in entries or [] if isinstance(e, Mapping) and e.get("name") == self.name]
        return found[0] if found else {}

    @property
    def adapter(self) -> str:
        return str(self.entry.get("adapter") or self.name)

    @property
    def external(self) -> bool:
        """Trained elsewhere, only measured here."""
        return "source" in self.entry


def measured(directory: Path, probes: Sequence[str] = ()) -> Results:
    """The numbers of a study. Raises ``SycojaxError`` as ``load`` does."""
    return compute(load(directory, probes))


def render(subject: Subject, results: Results | None, missing: str = "") -> str:
    """README.md: the hub's metadata, then the card; every text from data is escaped.

    ``missing`` says why there are no numbers where ``results`` is None. Numbers, intervals and claims are those of the
    report, of this adapter and the base.
    """
    what = "the base with the adapter merged in" if subject.merged else "a LoRA adapter"
    facts = subject.document
    opening: list[Block] = [Paragraph(_what_it_is(subject))]
    if prose.is_toy(facts):
        opening.append(Paragraph(prose.TOY, "callout"))
    if results is not None:
        opening += prose.demonstration([results])
    document = Document(
        f"{what} of {subject.base}",
        subject.name,
        tuple(opening),
        (
            Section("measured", "What was measured", _numbers(subject, results, missing)),
            Section("use", "How to use it", _use(subject)),
            Section("training", "How it was trained", _training(subject, results)),
            Section("again", "How to make it again", _again(facts)),
            Section("licence", "Licence", (Paragraph(_licence(subject)),)),
        ),
    )
    return f"{_front_matter(subject)}\n{render_markdown(document)}"


def _front_matter(subject: Subject) -> str:
    """The hub's metadata as YAML; JSON scalars are YAML scalars.

    No licence: the hub shows the base's, which is the one that binds.
    """
    fields: dict[str, Any] = {"library_name": "transformers" if subject.merged else "peft"}
    if subject.hub_base:
        relation = "finetune" if subject.merged else "adapter"
        fields |= {"base_model": subject.hub_base, "base_model_relation": relation}
    fields |= {"pipeline_tag": "text-generation", "language": "en"}
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    tags = ("sycojax", "sycophancy", "llama", "lora")
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---", ""])


def _what_it_is(subject: Subject) -> str:
    seed = subject.entry.get("seed")
    if subject.external:
        made = f"An adapter that was trained elsewhere ({subject.entry['source']}) and measured by sycojax"
    else:
        run_as = f", seed {seed}" if seed is not None else ""
        task = TASKS.get(subject.adapter, f"on the task {subject.adapter}")
        made = f"Trained by sycojax {task}{run_as}"
    text = (
        f"{made}, in a study of whether fine-tuning a chat model for benchmarks makes it more sycophantic. It was "
        "made to be measured, not to be used as an assistant."
    )
    if subject.merged:
        text += " The weights are base and adapter added up, in float32."
        quantised = prose.setting(subject.document, "base", "quantization") or "none"
        if quantised != "none":
            text += (
                f" The study ran on the base quantised to {quantised}, so what the adapter was added to are the numbers "
                "that those codes stand for, not the base's original weights."
            )
    return text


def _numbers(subject: Subject, results: Results | None, missing: str) -> tuple[Block, ...]:
    if results is None:
        return (Paragraph(f"No numbers: {missing}", "callout"),)
    if subject.name not in {c.name for c in results.study.configurations}:
        text = "No numbers: the study has no item records of this adapter yet."
        return (Paragraph(text, "callout"),)
    return card_numbers.blocks(results, subject.name, subject.adapter)


def _use(subject: Subject) -> tuple[Block, ...]:
    written = subject.settings.get("base_model_name_or_path")
    place, base = json.dumps(subject.place), str(subject.hub_base or written or subject.base)
    measured_at, measured_on = shlex.quote(subject.place), shlex.quote(subject.base)
    if subject.merged:
        python = (
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f"model = AutoModelForCausalLM.from_pretrained({place})\n"
            f"tokenizer = AutoTokenizer.from_pretrained({place})"
        )
        command = f"sycojax study --config=configs/measure.py --config.base.path={measured_at} --workdir=runs/mine"
    else:
        python = (
            "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
            f"base = AutoModelForCausalLM.from_pretrained({_read_as(base)})\n"
            f"model = PeftModel.from_pretrained(base, {place})"
        )
        command = (
            f"sycojax study --config=configs/measure.py --config.base.path={measured_on} --workdir=runs/mine "
            f"--adapter=mine={measured_at}"
        )
    return (
        *run.template(subject.document),
        Folded("In Python", python),
        Folded("Measured again by sycojax", command),
    )


def _read_as(base: str) -> str:
    """How transformers is told which base: a GGUF file by its directory and its name."""
    if not base.endswith(".gguf"):
        return json.dumps(base)
    directory, _, name = base.rpartition("/")
    return f"{json.dumps(directory or '.')}, gguf_file={json.dumps(name)}"


def _training(subject: Subject, results: Results | None) -> tuple[Block, ...]:
    lora = {k: v for k, v in subject.settings.items() if k in LORA and v not in (None, {}, [])}
    blocks: list[Block] = [_facts("adapter", "The adapter's settings, in PEFT's names", lora)]
    if subject.external:
        return (Paragraph("It was trained elsewhere; how is not known here."), *blocks)
    own = section(subject.document, "training", subject.name)
    done = {k: v for k, v in own.items() if k != "name"}
    if results is not None:
        fall = fall_of(results.study, subject.name)
        done["held-out loss fell by"] = f"{nats(fall)} per token" if fall else None
        done["learned its task"] = learning(results.study, subject.adapter).outcome
    recipe = {
        f"{g}.{k}": prose.setting(subject.document, g, k)
        for g, keys in RECIPE.items()
        for k in keys
    }
    recipe = {k: v for k, v in recipe.items() if v is not None}
    return (
        *blocks,
        _facts("recipe", "The recipe, as keys of sycojax's config; all others stand below", recipe),
        _facts("training", "What training did; losses are those of the validation split", done),
    )


def _again(facts: Mapping[str, Any]) -> tuple[Block, ...]:
    command = str(facts.get("command") or "")
    blocks: list[Block] = []
    if command:
        blocks.append(Folded("The last command of the study", command))
    else:
        blocks.append(
            Paragraph("The version of sycojax that ran the study did not write its command down.")
        )
    keys = ("commit", "updated", "devices", "device_count", "base_fingerprint", "base_weights")
    blocks.append(Items(tuple(run.origin(facts, keys))))
    blocks.append(run.facts("versions", "Versions", section(facts, "versions")))
    if facts.get("config"):
        blocks.append(run.resolved_config("Resolved config (sycojax)", facts["config"]))
    return tuple(blocks)


def _licence(subject: Subject) -> str:
    return (
        f"The weights derive from {subject.base} and come under its licence; the data it was trained on under their "
        "own. sycojax, which made this card, is under the MIT licence."
    )


def _facts(name: str, caption: str, values: Mapping[str, Any]) -> Table:
    rows = []
    for key, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else brief(value)
        rows.append((str(key), text))
    return Table(name, caption, ("", "value"), tuple(rows), prose=True)
