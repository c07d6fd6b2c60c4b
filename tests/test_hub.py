"""Bases that are hub ids: what is fetched, and one message for every way in which it is not."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.constants
import pytest
import tiny_models as tiny

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.weights import huggingface
from sycojax.weights.huggingface import load_config

SMALL = dataclasses.replace(tiny.MHA, num_hidden_layers=2)


@pytest.fixture
def checkpoint(tmp_path):
    return tiny.write(tmp_path / "base", SMALL)


def test_hub_id_fetches_weights_configs_and_tokenizer_only(checkpoint, monkeypatch):
    asked = {}

    def snapshot(repo, *, allow_patterns):
        asked.update(repo=repo, patterns=allow_patterns)
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert load_config("some-org/tiny-llama") == SMALL
    assert asked["patterns"] == ["config.json", "generation_config.json"]
    assert huggingface.resolve_base("some-org/tiny-llama") == checkpoint
    assert asked["repo"] == "some-org/tiny-llama"
    names = [
        "model-00001-of-00002.safetensors", "config.json", "tokenizer.json", "tokenizer.model",
        "chat_template.jinja", "model.safetensors.index.json",
        "pytorch_model.bin", "consolidated.00.pth", "modeling_llama.py", "README.md", "x.gguf",
    ]  # fmt: skip
    kept = list(huggingface_hub.utils.filter_repo_objects(names, allow_patterns=asked["patterns"]))
    assert kept == names[:6]


def test_hub_id_offline_is_a_clear_error(tmp_path, monkeypatch):
    assert huggingface_hub.constants.HF_HUB_OFFLINE  # set for all tests
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SycojaxError) as error:
        load_config("some-org/tiny-llama")
    assert "some-org/tiny-llama is not a local directory and could not be fetched" in str(
        error.value
    )
    assert "\n" not in str(error.value)


ERRORS = huggingface_hub.errors


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (
            ERRORS.GatedRepoError,
            "ask for access at https://huggingface.co/some-org/tiny-llama, then",
        ),
        (ERRORS.RepositoryNotFoundError, "there is no such repository, or it is private"),
        (ConnectionError, "this machine reaches no hub"),
        (ERRORS.OfflineModeIsEnabled, "run `hf download some-org/tiny-llama` where there is one"),
        (ERRORS.LocalEntryNotFoundError, "has no whole copy in its cache"),
        (OSError, "check the name, the network"),
    ],
)
def test_hub_failures_are_clear_errors(monkeypatch, kind, advice):
    def fail(*_, **__):
        error = kind.__new__(kind, "no access")
        OSError.__init__(error, "no access")
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(SycojaxError) as error:
        huggingface.resolve("some-org/tiny-llama")
    assert f"could not be fetched from the hub ({kind.__name__}: no access); " in str(error.value)
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "the hub does not take the token: run `hf auth login` again"),
        (403, "the token may not read it"),
        (429, "with HTTP status 429: try again later"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_hub_that_answers_is_not_called_out_of_reach(monkeypatch, status, advice, wrapped):
    """With nothing in the cache the hub's client raises the answer itself, or something offline from it."""
    answer = ERRORS.HfHubHTTPError.__new__(ERRORS.HfHubHTTPError, "no")
    answer.response = SimpleNamespace(status_code=status)

    def fail(*_, **__):
        if wrapped:
            raise ERRORS.LocalEntryNotFoundError("Got: no") from answer
        raise answer

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(SycojaxError) as error:
        huggingface.resolve("some-org/tiny-llama")
    assert advice in str(error.value)
    assert "reaches no hub" not in str(error.value)


def test_no_weights_of_another_architecture_are_fetched(checkpoint, monkeypatch):
    asked = []

    def snapshot(_, *, allow_patterns):
        asked.append(allow_patterns)
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    (checkpoint / "config.json").write_text('{"model_type": "gemma2"}')
    with pytest.raises(SycojaxError, match="model_type='gemma2' is not supported"):
        huggingface.resolve_base("some-org/mistral")
    assert asked == [["config.json", "generation_config.json"]]


def test_half_downloaded_snapshot_is_refused(checkpoint, monkeypatch):
    (checkpoint / "model-00002-of-00002.safetensors").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(checkpoint))
    with pytest.raises(SycojaxError, match="the download is incomplete: run `hf download ORG/NAME"):
        huggingface.resolve_base("some-org/tiny-llama")
    cached = checkpoint.parent / "models--some-org--tiny-llama" / "snapshots" / "0123abcd"
    cached.parent.mkdir(parents=True)
    checkpoint.rename(cached)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(cached))
    with pytest.raises(SycojaxError) as error:
        huggingface.resolve_base("some-org/tiny-llama")
    assert str(error.value) == (
        f"{cached}: 1 of 2 weight files are missing (model-00002-of-00002.safetensors); the download is incomplete: "
        "run `hf download some-org/tiny-llama` to finish it"
    )


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def test_a_git_lfs_pointer_is_called_one(checkpoint):
    file = checkpoint / "model-00001-of-00002.safetensors"
    file.write_text(POINTER)
    with pytest.raises(SycojaxError, match="it is a Git LFS pointer: run `git lfs pull`"):
        huggingface.resolve_base(checkpoint)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("config.json", load_config),
        ("tokenizer.json", Tokenizer.from_directory),
        ("tokenizer.model", Tokenizer.from_directory),
    ],
)
def test_so_are_those_in_place_of_other_files(checkpoint, name, read):
    (checkpoint / name).write_text(POINTER)
    with pytest.raises(SycojaxError, match=f"{name} is a Git LFS pointer: run `git lfs pull`"):
        read(checkpoint)
