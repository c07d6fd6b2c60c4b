"""The tables of what was done: rows, examples, training, settings, and the formula of every measure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.page.document import Block, Folded, Paragraph
from analysis.page.tables import Entry, Table, brief, matrix
from analysis.records.load import section
from analysis.results import Learning, Results, fall_of, learning
from analysis.verdicts.learning import nats

ELSEWHERE = (
    "fingerprints",
    "label_positions",
)  # parts of study.json's ``data`` that have a table of their own
CAPTIONS = {
    "contamination": "Probe rows whose question stands in a training split, a test split, or neither",
    "contaminated_rows_dropped": "Training rows dropped because a probe asks their question",
    "longer_than_the_context": "Items not asked because they are longer than the model's context",
    "test_items_trained_on": "Training rows that are test items of the same benchmark",
    "irregular": "Rows left out because they cannot be asked, and rows in which something was set right",
    "trained_on_probe": "Distinct probe questions in what was really trained on",
    "placebo": "Rows of the placebo, and those that were dealt an answer that reads as their own",
    "training_examples": "Training examples after encoding",
}


def data(described: Mapping[str, Any]) -> list[Table]:
    """What study.json's ``data`` counts: rows and requests per data set in one table, each nested count in another."""
    rows: dict[str, Mapping[str, Any]] = {}
    others = []
    for key, value in described.items():
        if key in ELSEWHERE or not isinstance(value, Mapping):
            continue
        nested = bool(value) and all(isinstance(v, Mapping) for v in value.values())
        if key == "rows" and nested:
            rows |= {f"{split} rows": per_set for split, per_set in value.items()}
        elif nested:
            others.append(matrix(key, CAPTIONS.get(key, key.replace("_", " ")), "", value))
        else:
            rows[key] = value
    first = matrix("data", "Rows read, dropped and asked", "data set", rows)
    return [first, *others]


def label_positions(data: Mapping[str, Any]) -> Table:
    """Per task: how often the right option stands at each place, as stored and as the examples show it."""
    rows = []
    for task, counts in section(data, "label_positions").items():
        for order in ("stored", "shown", "expected"):
            places = counts.get(order) if isinstance(counts, Mapping) else None
            if isinstance(places, list):
                rows.append((Entry(str(task), order), ", ".join(f"{n:,.4g}" for n in places)))
    return Table(
        "label_positions", "Position of the right option over the training examples: counts at A, B, C, ...",
        ("task", "counts"), tuple(rows), prose=True,
    )  # fmt: skip


def training(results: Results) -> Table:
    """What study.json says about the training of each adapter, and what it did to the loss on its held-out examples.

    Lists and nested values are left out.
    """
    study = results.study
    rows = {
        name: {k: v for k, v in one.items() if not isinstance(v, list | dict) and k != "name"}
        for name, one in section(study.document, "training").items()
        if isinstance(one, Mapping)
    }
    columns = list(dict.fromkeys(k for one in rows.values() for k in one))
    adapters = {c.name: learning(study, c.adapter) for c in study.configurations}
    return Table(
        "training",
        "Training, one row per adapter and seed. The fall of the held-out loss, in nats per token with 95 % interval, is that from the "
        "base to the adapter that was written; an adapter learned where that of its seeds together is above 0",
        ("configuration", *(c.replace("_", " ") for c in columns), "held-out loss fell by", "learned"),
        tuple(
            (name, *(brief(one.get(c, "")) for c in columns), _fall(results, name), _learned(adapters.get(name)))
            for name, one in rows.items()
        ),
    )  # fmt: skip


def _fall(results: Results, configuration: str) -> Entry:
    fall = fall_of(results.study, configuration)
    return Entry(nats(fall)) if fall else Entry("n/a")


def _learned(found: Learning | None) -> Entry:
    outcome = found.outcome if found else "unknown"
    return Entry(outcome, strong="text" if outcome == "did not learn" else "")


def origin(document: Mapping[str, Any], keys: Sequence[str]) -> list[tuple[str, str]]:
    """(key in words, value) of each of these keys that study.json has."""
    found = []
    for key in keys:
        if value := document.get(key):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((f"{key.replace('_', ' ')}:", text))
    return found


def resolved_config(title: str, config: Any) -> Folded:
    """The config as JSON behind a heading."""
    return Folded(title, json.dumps(config, indent=2, ensure_ascii=False))


def template(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """How conversations were written, with the template itself behind a heading; nothing where study.json does not say."""
    said = section(document, "template")
    if not said:
        return ()
    arguments = ", ".join(f"{k}={v!r}" for k, v in section(said, "arguments").items()) or "none"
    name = str(said.get("name"))
    whose = "the base's own chat template" if name == "own" else f"the template {name}"
    text = (
        f"Conversations were written by {whose} (sha256 {str(said.get('digest'))[:16]}; arguments: {arguments}; a template that prints "
        f"the date prints {said.get('date')}). An answer ends with {said.get('end of an answer')!r}."
    )
    return Paragraph(text), Folded("The chat template", str(said.get("source")))


def asked(described: Mapping[str, Any]) -> tuple[Folded, ...]:
    """One example of each kind of prompt, with what is scored or trained on behind it."""
    found = []
    for one in described.get("prompts") or []:
        answers = "\n".join(f"\u27e6{answer}\u27e7" for answer in one["answers"])
        found.append(Folded(f"Asked: {one['title']}", f"{one['prompt']}\n{answers}".rstrip("\n")))
    return tuple(found)


def facts(name: str, caption: str, values: Mapping[str, Any]) -> Table:
    """A mapping as a table of two columns; what is nested in it gets a row of its own."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = value.items() if isinstance(value, Mapping) else (("", value),)
        flat |= {f"{key} {k}".strip(): v for k, v in inner}
    return matrix(name, caption, "", flat)


def times(document: Mapping[str, Any]) -> Table:
    """What every stage took in all runs, and what was estimated before the first."""
    took, before = section(document, "seconds"), section(document, "estimate")
    rows = {
        stage: {"took": took.get(stage, "not run"), **({"estimated": before[stage]} if before.get(stage) else {})}
        for stage in dict.fromkeys((*took, *before))
    }  # fmt: skip
    return matrix("seconds", "Wall time in seconds", "stage", rows)


def work(document: Mapping[str, Any]) -> Table:
    """What each stage that a single run did has computed, against the least there is to compute and the speed of a matrix product."""
    product, rows = document.get("product_flops") or 0.0, {}
    for stage, done in section(document, "work").items():
        speed = done["flops"] / done["seconds"] if done["seconds"] else 0.0
        rows[stage] = {
            "tokens computed": f"{done['tokens']:,.0f}",
            "at least": f"{done['least']:,.0f}",
            "times": f"{done['tokens'] / max(done['least'], 1):.2f}",
            "GFLOP/s": f"{speed / 1e9:,.1f}",
            "of a product": f"{speed / product:.0%}" if product else "",
        }
    return matrix(
        "work",
        "Tokens that the stages computed, padding included, and the least that any scheme could: distinct ones. GFLOP/s: of the layers' projections alone, over "
        "all that a stage does; of a product: of what one matrix product of that width gets on this machine"
        + (f", {product / 1e9:,.0f} GFLOP/s" if product else ""),
        "stage",
        rows,
    )


def formulas(results: Results) -> Table:
    """Every measure with its formula, as the evaluation states it."""
    rows = []
    for name in results.study.evaluations:
        for measure in results.study.described(name):
            kind = f"{measure.headline} headline" if measure.headline else measure.unit
            rows.append((Entry(measure.label, f"{name}: {measure.name}"), kind, measure.formula))
    return Table("formulas", "Measures", ("measure", "kind", "formula"), tuple(rows), prose=True)
