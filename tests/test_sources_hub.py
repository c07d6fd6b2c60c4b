"""Rows from the hub, which tests cannot reach: what is asked of it is recorded instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import datasets
import huggingface_hub
import pytest
from sources_cases import GOOD, FakeHub

from sycojax.data import sources_hub
from sycojax.data.data_sets import Split
from sycojax.data.sources import open_source
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    fake = FakeHub(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", fake.load_dataset)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.hf_hub_download)
    return fake


@pytest.mark.parametrize(
    ("name", "train", "test", "asked"),
    [
        ("gsm8k", 1000, 500, ("openai/gsm8k", "main", {"split": "train"})),
        ("mmlu", 1000, 500, ("cais/mmlu", "all", {"split": "test"})),
        ("hellaswag", 1000, 500, ("Rowan/hellaswag", None, {"split": "validation"})),
        ("truthfulqa", 600, 200, ("truthfulqa/truthful_qa", "multiple_choice", {"split": "validation"})),
    ],
)  # fmt: skip
def test_hub_tasks_are_drawn_disjoint_and_repeatably(
    hub: FakeHub, name: str, train: int, test: int, asked: tuple[Any, ...]
) -> None:
    source = open_source("hub", "", BUILTIN)
    rows = {split: source.rows(name, split) for split in ("train", "test")}
    assert (len(rows["train"]), len(rows["test"])) == (train, test)
    assert set(map(str, hub.asked)) == {str(asked)}
    questions = {
        split: {getattr(row, "ctx", "") or row.question for row in found}  # pyright: ignore
        for split, found in rows.items()
    }
    assert not questions["train"] & questions["test"]
    assert open_source("hub", "", BUILTIN).fingerprint(name, "test") == source.fingerprint(
        name, "test"
    )


@pytest.mark.parametrize("name", BUILTIN.probes)
def test_hub_probes_come_from_the_parts_the_study_used(hub: FakeHub, name: str) -> None:
    rows = open_source("hub", "", BUILTIN).rows(name, "probe")
    assert len({row.origin for row in rows}) == 300
    assert {row.dataset for row in rows} == {GOOD[name]["base"]["dataset"]}  # pyright: ignore
    assert hub.asked == [("meg-tong/sycophancy-eval", f"{name}.jsonl", "dataset")]


def test_too_few_rows_to_draw_from_are_an_error() -> None:
    with pytest.raises(SycojaxError, match="5 rows are too few to draw 4 for training and 2"):
        sources_hub.draw(list("abcde"), 4, 2)
    with pytest.raises(SycojaxError, match="too few"):
        sources_hub.draw(["same", "Same?", "other"], 2, 1, seed=3)


@pytest.mark.parametrize(
    ("name", "raised", "said"),
    [
        ("gsm8k", ConnectionError("no route"), "(ConnectionError: no route); check the net"),
        ("answer", ConnectionError("no route"), "(ConnectionError: no route); check the net"),
        # What a hub says in paragraphs is one line.
        (
            "answer",
            OSError("401 Client Error.\n\nRepository Not Found for url: https://hub/x.\n"),
            "(OSError: 401 Client Error. Repository Not Found",
        ),
    ],
)
def test_an_unreachable_hub_is_one_message(
    monkeypatch: pytest.MonkeyPatch, name: str, raised: Exception, said: str
) -> None:
    for place, function in ((datasets, "load_dataset"), (huggingface_hub, "hf_hub_download")):
        monkeypatch.setattr(place, function, Mock(side_effect=raised))
    split: Split = "probe" if name in BUILTIN.probes else "train"
    with pytest.raises(SycojaxError) as caught:
        open_source("hub", "", BUILTIN).rows(name, split)
    assert f"from the hub {said}" in str(caught.value)
    assert "\n" not in str(caught.value)
