"""What ``fuzz.py`` found, kept: each was a traceback, or a refusal that named no file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sycojax.config import StudyConfig
from sycojax.data.templates import template_of
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.records import read_records
from sycojax.toy import base_directory
from sycojax.weights.huggingface import load_config
from sycojax.weights.peft_settings import read_settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": ["llama"]}, "model_type="),
        ({"head_dim": 307}, "head_dim=307 must be even"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps="),
    ],
)
def test_a_config_of_other_types_is_refused_by_its_name(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    document = json.loads((base_directory() / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(SycojaxError, match=rf"config\.json: .*{message}"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "line", [b"\x80\n", b"[" * 100_000, b'{"meta": ' + b"1" * 5000 + b"}", b"3"]
)
def test_a_record_that_is_none_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "mmlu.jsonl").write_bytes(line)
    with pytest.raises(SycojaxError, match=r"mmlu\.jsonl:1: not an item record"):
        list(read_records(tmp_path / "mmlu.jsonl"))


def damaged_tokenizer(directory: Path, file: str, content: bytes) -> Path:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base_directory() / name, directory)
    (directory / file).write_bytes(content)
    return directory


def test_what_a_message_quotes_leaves_it_one_line(tmp_path: Path) -> None:
    content = {
        "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"],
        "rank_pattern": {"a\n\x1b[2J\ud800": "b"},
    }  # fmt: skip
    (tmp_path / "adapter_config.json").write_text(json.dumps(content))
    with pytest.raises(SycojaxError) as error:
        read_settings(tmp_path, 4)
    assert r"adapter_config.json: rank_pattern: a\n\x1b[2J\ud800='b' is not a number" in str(
        error.value
    )


def test_a_tokenizer_config_of_other_types_is_named(tmp_path: Path) -> None:
    said = json.loads((base_directory() / "tokenizer_config.json").read_text())
    for number, content in enumerate(
        (b"[" * 100_000, json.dumps({**said, "model_max_length": {"a": 1}}).encode())
    ):
        (place := tmp_path / str(number)).mkdir()
        with pytest.raises(SycojaxError, match=str(place)):
            Tokenizer.from_directory(damaged_tokenizer(place, "tokenizer_config.json", content))


def test_a_tokenizer_that_panics_on_a_text_is_named(tmp_path: Path) -> None:
    document = json.loads((base_directory() / "tokenizer.json").read_text()) | {"normalizer": [""]}
    damaged_tokenizer(tmp_path, "tokenizer.json", json.dumps(document).encode())
    with pytest.raises(SycojaxError, match=r"tokenizer\.json or a file beside it .*PanicException"):
        Tokenizer.from_directory(tmp_path).encode("Hello there")


@pytest.mark.parametrize("own", [7, [1], {"default": 3}])
def test_a_template_that_is_no_text_is_named(tmp_path: Path, own: object) -> None:
    said = json.loads((base_directory() / "tokenizer_config.json").read_text())
    content = json.dumps({**said, "chat_template": own}).encode()
    place = damaged_tokenizer(tmp_path, "tokenizer_config.json", content)
    with pytest.raises(SycojaxError, match=str(tmp_path)):
        template_of(Tokenizer.from_directory(place), "", {})


def test_a_setting_that_no_float_holds_is_refused_by_its_name() -> None:
    with pytest.raises(SycojaxError, match=r"config key train\.learning_rate is more than a float"):
        StudyConfig().changed({"train.learning_rate": 10**400})
    assert StudyConfig().changed({"train.learning_rate": 1}).train.learning_rate == 1.0


def test_a_template_in_templates_is_refused(tmp_path: Path) -> None:
    said = json.loads((base_directory() / "tokenizer_config.json").read_text())
    said["chat_template"] = "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"
    content = json.dumps(said).encode()
    tokenizer = Tokenizer.from_directory(
        damaged_tokenizer(tmp_path, "tokenizer_config.json", content)
    )
    with pytest.raises(SycojaxError, match="refuses a conversation"):
        template_of(tokenizer, "", {}).asked(["Hi"])
