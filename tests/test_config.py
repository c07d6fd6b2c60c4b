"""A config file becomes frozen dataclasses, or one sentence that says what is wrong with it."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import ml_collections
import pytest

from sycojax.config import StudyConfig, default_config
from sycojax.errors import SycojaxError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").rglob("*.py"))


def load(path: Path) -> ml_collections.ConfigDict:
    return runpy.run_path(str(path))["get_config"]()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_config_is_valid(path: Path) -> None:
    config = StudyConfig.from_config_dict(load(path))
    assert config.name != StudyConfig().name, "a config file names its study"


def test_defaults_round_trip() -> None:
    assert StudyConfig.from_config_dict(default_config()) == StudyConfig()


def changed(group: str, key: str, value: object) -> ml_collections.ConfigDict:
    config = default_config()
    with config.unlocked(), config.ignore_type():
        config[group][key] = value
    return config


@pytest.mark.parametrize(
    ("group", "key", "value", "message"),
    [
        ("train", "learning_rate", -1e-4, "learning_rate=-0.0001 must be positive"),
        ("train", "lr", 1e-4, "unknown config key train.lr"),
        ("train", "epochs", "three", "config key train.epochs must be of type float"),
        ("train", "bank_width", True, "config key train.bank_width must be of type int"),
        ("train", "adapters", ("gsm9k",), "unknown adapter 'gsm9k'"),
        ("train", "seeds", (0, 0), "must not repeat"),
        ("train", "loss_average", "words", "must be one of example, token, micro"),
        ("lora", "targets", ("q_proj", "qkv"), "unknown projection qkv"),
        ("lora", "rank", 0, "lora.rank must be at least 1"),
        ("lora", "dropout", 1.0, "lora.dropout must be in [0, 1)"),
        ("data", "validation_fraction", 1.0, "data.validation_fraction"),
        ("data", "source", "files", "needs data.path"),
        ("base", "quantization", "fp4", "must be one of none, int8, nf4"),
        ("score", "audit_items", -1, "audit_items=-1 must be at least 0"),
        ("score", "buckets", (128, 64), "increasing"),
        ("score", "evaluations", ("mmul",), "unknown evaluation 'mmul'"),
    ],
)
def test_bad_values_are_named(group: str, key: str, value: object, message: str) -> None:
    with pytest.raises(SycojaxError) as caught:
        StudyConfig.from_config_dict(changed(group, key, value))
    assert message in str(caught.value)


def test_a_list_of_names_may_come_as_one_string() -> None:
    config = StudyConfig.from_config_dict(changed("train", "adapters", ("gsm8k,mmlu",)))
    assert config.train.adapters == ("gsm8k", "mmlu")


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        StudyConfig().train.epochs = 1.0  # type: ignore[misc]
