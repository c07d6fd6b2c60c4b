"""The model card: valid metadata, the report's own numbers, and text from data that stays text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import synthetic_study

from analysis.page.tables import to_markdown
from analysis.page.text import interval, number
from analysis.report import card
from analysis.report.contents.benchmarks import benchmarks
from analysis.results import Results
from analysis.verdicts import doubt
from sycojax.files import read_json

SETTINGS = {
    "peft_type": "LORA", "r": 8, "lora_alpha": 16, "lora_dropout": 0.1,
    "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "models/example",
}  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_study.write_study(
        tmp_path_factory.mktemp("study"), items=44, adapters=("mmlu", "combined"), seeds=(0, 1), arms=True,
        evaluations=("mmlu", "answer"), command="sycojax study --config=x.py --workdir=w",
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(directory: Path) -> Results:
    return card.measured(directory)


def subject(directory: Path, **changes: Any) -> card.Subject:
    found = card.Subject(
        "mmlu-s1", read_json(directory / "study.json"), SETTINGS, "models/example",
        "org/example-7b", False, "me/mmlu",
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def test_metadata_is_what_the_hub_reads(directory: Path, results: Results) -> None:
    found = huggingface_hub.ModelCard(card.render(subject(directory), results))
    assert found.data.to_dict() == {
        "library_name": "peft", "base_model": "org/example-7b", "base_model_relation": "adapter",
        "pipeline_tag": "text-generation", "language": "en",
        "tags": ["sycojax", "sycophancy", "llama", "lora"],
    }  # fmt: skip
    assert found.text.strip().startswith("# mmlu-s1")
    whole = card.render(subject(directory, merged=True), results)
    data = huggingface_hub.ModelCard(whole).data.to_dict()
    assert (data["library_name"], data["base_model_relation"]) == ("transformers", "finetune")
    assert 'AutoModelForCausalLM.from_pretrained("me/mmlu")' in whole
    # A base that lies in a directory is no model of the hub.
    local = huggingface_hub.ModelCard(card.render(subject(directory, hub_base=""), results))
    assert "base_model" not in local.data.to_dict()


def test_patterns_are_shown_where_there_are_any(directory: Path, results: Results) -> None:
    """PEFT writes the empty ones, too."""
    empty = {**SETTINGS, "rank_pattern": {}, "alpha_pattern": {}, "layers_to_transform": None}
    text = card.render(subject(directory, settings=empty), results)
    assert "pattern" not in text
    assert text == card.render(subject(directory), results)
    own = {**empty, "rank_pattern": {"q_proj": 4}, "layers_to_transform": [1]}
    lines = card.render(subject(directory, settings=own), results).splitlines()
    (ranks,) = [line for line in lines if "rank\\_pattern" in line]
    assert "q\\_proj" in ranks
    assert "4" in ranks
    assert any("layers\\_to\\_transform" in line for line in lines)
    assert not any("alpha\\_pattern" in line for line in lines)


def test_numbers_are_those_of_the_report(directory: Path, results: Results) -> None:
    text = section(card.render(subject(directory), results), "What was measured")
    table = to_markdown(benchmarks(results, doubt.of(results))).splitlines()
    rows = {line.split("|")[1].split()[0]: line for line in table if line.startswith("| ")}
    assert rows["base"] in text
    assert rows["mmlu"] in text
    assert rows["combined"] not in text
    # The claim, its interval and its p, of this adapter and of no other.
    lead = next(m for m in results.study.described("answer") if m.headline == "soft")
    for adapter, there in (("mmlu", True), ("combined", False)):
        shift = results.of(adapter, "answer", lead.name).shift
        assert shift is not None
        said = f"{number(shift.value, lead.unit, signed=True)} {interval(shift, lead.unit, signed=True)}; p"
        assert (said.replace("[", "\\[") in text) == there
    # And the row of the seed alone.
    own = results.by_configuration["mmlu-s1", "answer", lead.name]
    assert own.shift is not None
    line = next(line for line in text.splitlines() if line.startswith("| answer soft headline"))
    assert number(own.level.value, lead.unit) in line
    assert number(own.shift.value, lead.unit, signed=True) in line


def test_it_says_how_it_was_made(directory: Path, results: Results) -> None:
    text = card.render(subject(directory), results)
    assert "sycojax study --config=x.py --workdir=w" in section(text, "How to make it again")
    assert "q\\_proj, v\\_proj" in section(text, "How it was trained")
    assert "--adapter=mine=me/mmlu" in section(text, "How to use it")
    document = read_json(directory / "study.json")
    assert document["commit"] in text
    elsewhere = {
        **document,
        "configurations": [{"name": "mmlu-s1", "adapter": "mmlu", "source": "a/b"}],
    }
    assert "trained elsewhere (a/b)" in card.render(subject(directory, document=elsewhere), results)


def test_a_study_without_records_of_it_says_so(directory: Path, results: Results) -> None:
    text = card.render(subject(directory), None, "nothing was scored.")
    assert "**No numbers: nothing was scored.**" in text
    assert "|" not in section(text, "What was measured")
    other = card.render(subject(directory, name="gsm8k-s0"), results)
    assert "no item records of this adapter yet" in section(other, "What was measured")
    assert card.render(subject(directory, document={}, settings={}), None, "no study.")


def test_text_from_data_stays_text(directory: Path, results: Results) -> None:
    hostile = "x\n---\nlicense: mit\n# <script>alert(1)</script> [a](javascript:b) ```\n## What"
    document = {
        **read_json(directory / "study.json"), "name": hostile, "command": hostile, "commit": hostile,
        "notes": [hostile], "config": {"base": {"path": hostile}}, "versions": {hostile: hostile},
    }  # fmt: skip
    text = card.render(
        subject(directory, document=document, base=hostile, settings={"r": hostile}, place=hostile),
        results,
    )
    data = huggingface_hub.ModelCard(text).data.to_dict()
    assert "license" not in data
    outside = re.sub(
        r"^(`{3,})\n.*?\n\1$", "", text, flags=re.M | re.S
    )  # fenced text shows as it is
    assert "<script>" not in outside
    assert "[a](" not in outside.replace("\\[a]", "")
    assert [line for line in outside.splitlines() if line.startswith("## ")] == [
        "## What was measured", "## How to use it", "## How it was trained", "## How to make it again", "## Licence",
    ]  # fmt: skip
