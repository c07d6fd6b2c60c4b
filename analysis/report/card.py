"""The model card of one exported adapter: what it is, what the study measured on it, how it was made."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.audits.audit import STUDY
from analysis.page.document import (
    Block,
    Document,
    Folded,
    Items,
    Paragraph,
    Section,
    render_markdown,
)
from analysis.page.tables import Entry, Table, brief
from analysis.page.text import count
from analysis.records.load import BASE, load
from analysis.report import prose
from analysis.report.contents import probes, run
from analysis.report.contents.benchmarks import benchmarks
from analysis.report.contents.entries import level_entry, shift_entry
from analysis.results import Results, compute
from analysis.verdicts import conclusions, doubt
from analysis.verdicts.doubt import Doubt
from analysis.verdicts.rule import verdicts

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


def measured(directory: Path) -> Results:
    """The numbers of a study. Raises ``SycojaxError`` when study.json or all records are missing or damaged."""
    return compute(load(directory))


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
    document = Document(
        f"{what} of {subject.base}",
        subject.name,
        tuple(opening),
        (
            Section("measured", "What was measured", _measured(subject, results, missing)),
            Section("use", "How to use it", _use(subject)),
            Section("training", "How it was trained", _training(subject)),
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
        made = f"Trained by sycojax on the task {subject.adapter}{run_as}"
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


def _measured(subject: Subject, results: Results | None, missing: str) -> tuple[Block, ...]:
    if results is None:
        return (Paragraph(f"No numbers: {missing}", "callout"),)
    study, group = results.study, subject.adapter
    if subject.name not in {c.name for c in study.configurations}:
        return (
            Paragraph("No numbers: the study has no item records of this adapter yet.", "callout"),
        )
    doubted = doubt.of(results)
    seeds = study.of_adapter(group)
    names = (BASE, group)
    shifts = _only(conclusions.table(results, doubted), names)
    tested = sum(len(verdicts(results, one)) for one in results.tested)
    said = (
        f"An effect on sycophancy is claimed where p, after Holm over the {count(tested, 'test')} of the study, is below "
        ".05, and on no other ground. Intervals are 95 %; MDE is the smallest shift a single test would find with "
        "80 % power; points are hundredths of a rate or score."
    )
    blocks: list[Block] = [Paragraph(prose.summary(results)[0])]
    if shifts.rows:
        blocks += [shifts, Paragraph(said)]
    if study.with_role("benchmark"):
        blocks.append(_only(benchmarks(results, doubted), names))
    blocks += [_only(probes.probe(results, doubted, one), names) for one in results.tested]
    if len(seeds) > 1:
        blocks += [
            Paragraph(
                f"The tables above are of the adapter {group} over its {count(len(seeds), 'seed')}, which is what a "
                f"claim is about. The next one is of {subject.name} alone."
            ),
            _alone(subject, results, doubted),
        ]
    return (
        *blocks,
        Paragraph("What cannot be concluded", "heading"),
        Items(tuple(conclusions.cannot(results, doubted))),
        *_audits(doubted, names),
    )


def _audits(doubted: Doubt, names: tuple[str, ...]) -> tuple[Block, ...]:
    """Those that failed on this adapter, on the base, or on the study as a whole."""
    failed = [a for a in doubted.audits if a.outcome == "fail" and a.group in (*names, STUDY)]
    said = [
        (f"{a.title}, {' on '.join(n for n in (a.group, a.evaluation) if n)}:", a.sentence)
        for a in failed
    ]
    return (
        Paragraph("Audits", "heading"),
        Items(tuple(said)) if said else Paragraph("No audit failed."),
    )


def _alone(subject: Subject, results: Results, doubted: Doubt) -> Table:
    """The headlines of this very adapter: levels and shifts, with intervals over questions."""
    study, group = results.study, subject.adapter
    rows = []
    for evaluation in (*study.with_role("benchmark"), *study.with_role("probe")):
        marks = doubted.of_level(group, evaluation), doubted.of_shift(group, evaluation)
        for kind in ("soft", "hard"):
            measure = results.headline(evaluation, kind)
            found = measure and results.by_configuration.get(
                (subject.name, evaluation, measure.name)
            )
            if not measure or not found:
                continue
            few = doubted.too_few_of_shift(group, evaluation) if kind == "hard" else ""
            level = level_entry(found, measure, marks[0])
            entries = (
                (Entry("n/a", few),) * 2 if few else (level, shift_entry(found, measure, marks[1]))
            )
            rows.append((Entry(evaluation, f"{kind} headline"), *entries))
    return Table(
        "alone", f"{subject.name} alone, in % or points, with 95 % intervals over questions",
        ("evaluation", "level", "shift against the base"), tuple(rows),
        footnote=doubted.footnote((BASE, group), study.evaluations),
    )  # fmt: skip


def _use(subject: Subject) -> tuple[Block, ...]:
    written = subject.settings.get("base_model_name_or_path")
    place, base = json.dumps(subject.place), json.dumps(subject.hub_base or written or subject.base)
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
            f"base = AutoModelForCausalLM.from_pretrained({base})\n"
            f"model = PeftModel.from_pretrained(base, {place})"
        )
        command = (
            f"sycojax study --config=configs/measure.py --config.base.path={measured_on} --workdir=runs/mine "
            f"--adapter=mine={measured_at}"
        )
    template = prose.setting(subject.document, "base", "chat_template")
    asked = f"It was trained and asked in the chat format {template}." if template else ""
    return (
        *((Paragraph(asked),) if asked else ()),
        Folded("In Python", python),
        Folded("Measured again by sycojax", command),
    )


def _training(subject: Subject) -> tuple[Block, ...]:
    lora = {k: v for k, v in subject.settings.items() if k in LORA and v not in (None, {}, [])}
    blocks: list[Block] = [_facts("adapter", "The adapter's settings, in PEFT's names", lora)]
    if subject.external:
        return (Paragraph("It was trained elsewhere; how is not known here."), *blocks)
    summaries = subject.document.get("training")
    own = summaries.get(subject.name) if isinstance(summaries, Mapping) else None
    done = {k: v for k, v in own.items() if k != "name"} if isinstance(own, Mapping) else {}
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
    versions = facts.get("versions")
    lines = []
    for key in ("commit", "updated", "devices", "device_count", "base_fingerprint", "base_weights"):
        if facts.get(key):
            value = facts[key]
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append((f"{key.replace('_', ' ')}:", text))
    blocks: list[Block] = []
    if command:
        blocks.append(Folded("The last command of the study", command))
    else:
        blocks.append(
            Paragraph("The version of sycojax that ran the study did not write its command down.")
        )
    blocks.append(Items(tuple(lines)))
    blocks.append(
        run.facts("versions", "Versions", versions if isinstance(versions, Mapping) else {})
    )
    if facts.get("config"):
        text = json.dumps(facts["config"], indent=2, ensure_ascii=False)
        blocks.append(Folded("Resolved config (sycojax)", text))
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


def _only(table: Table, names: tuple[str, ...]) -> Table:
    """The rows of a table of the report that are about these configurations."""
    rows = [row for row in table.rows if _first(row[0]) in names]
    return dataclasses.replace(table, rows=tuple(rows))


def _first(entry: Entry | str) -> str:
    return entry.text if isinstance(entry, Entry) else entry
