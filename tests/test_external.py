"""Adapters that were trained elsewhere: scored with the study's own, refused with one message."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_models import GQA

from sycojax.config import ScoreConfig, StudyConfig, TrainConfig
from sycojax.errors import SycojaxError
from sycojax.models.base import abstract
from sycojax.models.lora import LoRAConfig, covering
from sycojax.study.external import external_adapters, find_external
from sycojax.weights.peft import export_adapter

CONFIG = dataclasses.replace(GQA, num_hidden_layers=2)


def study(*entries: str) -> StudyConfig:
    return StudyConfig(
        train=TrainConfig(adapters=("mmlu",)), score=ScoreConfig(adapters=tuple(entries))
    )


def test_seeds_are_read_from_the_name() -> None:
    found = external_adapters(study("mine=a/b", "mine-s3=c", "other-small=d=e"))
    assert [(e.name, e.adapter, e.seed, e.source) for e in found] == [
        ("mine", "mine", None, "a/b"),
        ("mine-s3", "mine", 3, "c"),
        ("other-small", "other-small", None, "d=e"),
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("path/only",), "write NAME=PATH"),
        (("=x",), "write NAME=PATH"),
        (("mine=",), "write NAME=PATH"),
        (("../up=x",), "write NAME=PATH"),
        (("base=x",), "'base': the name is taken"),
        (("base-s1=x",), "'base-s1': the name is taken"),
        (("mmlu-s0=x",), "'mmlu-s0': the name is taken"),
        (("a=x", "a=y"), "'a': the name is taken"),
    ],
)
def test_names_that_cannot_be_used(entries: tuple[str, ...], message: str) -> None:
    with pytest.raises(SycojaxError, match=message):
        external_adapters(study(*entries))


def write_adapter(directory: Path, lora: LoRAConfig, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    tree = jax.tree.map(
        lambda leaf: random.normal(0, 0.1, leaf.shape).astype(np.float32),
        abstract(CONFIG, lora).lora,
    )
    directory.mkdir()
    export_adapter(directory, tree, lora, "some/base")
    return directory


def test_the_fingerprint_is_of_the_files(tmp_path: Path) -> None:
    """Not of where they lie: an adapter that is moved is not scored again, one that is trained again is."""
    lora = LoRAConfig(rank=2, targets=("q_proj",))
    directories = [
        write_adapter(tmp_path / name, lora, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    (directories[1] / "README.md").write_text("the same adapter")
    config = study(*(f"x{i}={directory}" for i, directory in enumerate(directories)))
    found = list(find_external(external_adapters(config), CONFIG, tmp_path, "my/base").values())
    assert [adapter.directory for adapter in found] == directories
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint
    assert [adapter.shape for adapter in found] == [lora] * 3


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    place = write_adapter(tmp_path / "a", LoRAConfig(rank=2))
    other = dataclasses.replace(CONFIG, num_hidden_layers=3)
    with pytest.raises(SycojaxError, match="of some/base does not fit my/llama: missing tensors"):
        find_external(external_adapters(study(f"a={place}")), other, tmp_path, "my/llama")


def test_the_covering_shape() -> None:
    small = LoRAConfig(rank=2, alpha=4.0, dropout=0.1, targets=("q_proj",))
    assert covering([small]) == small
    assert covering([small, dataclasses.replace(small, dropout=0.0)]) == small
    wide = covering([small, LoRAConfig(rank=8, alpha=4.0, targets=("up_proj", "v_proj"))])
    assert wide == LoRAConfig(8, 8.0, 0.0, ("q_proj", "v_proj", "up_proj"))
    # Another alpha alone is another shape: the factor is the model's, not the adapter's.
    assert covering([small, dataclasses.replace(small, alpha=8.0)]).scaling == 1.0
