"""Whether an adapter belongs to a base: refused by fingerprint, warned of by name, silent where they agree."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.weights.fingerprint import weights_fingerprint
from sycojax.weights.origin import check_origin, write_origin


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "Llama-2-7b-chat-hf", tiny.MHA)


def made_for(directory: Path, name: str | None) -> Path:
    directory.mkdir()
    (directory / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": name}))
    return directory


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-2-7b-chat-hf", "/models/llama-2-7b-chat-hf/", "", None,
        "/cache/models--meta-llama--Llama-2-7b-chat-hf/snapshots/f5db02db724555f92da89c216ac04704f23d4590",
    ],
)  # fmt: skip
def test_another_path_of_the_same_model_is_silent(base: Path, tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_origin(made_for(tmp_path / "a", name), base, base)
        snapshot = "models--NousResearch--Llama-2-7b-chat-hf/snapshots/0123"
        check_origin(tmp_path / "a", base, f"/cache/{snapshot}")


def test_another_name_is_a_warning(base: Path, tmp_path: Path) -> None:
    adapter = made_for(tmp_path / "a", "meta-llama/Llama-2-7b-hf")
    with pytest.warns(
        UserWarning, match="made for meta-llama/Llama-2-7b-hf, and is used on my/chat"
    ):
        check_origin(adapter, base, "my/chat")


def test_the_weights_decide_where_they_are_known(base: Path, tmp_path: Path) -> None:
    adapter = made_for(tmp_path / "a", "meta-llama/Llama-2-7b-hf")
    write_origin(adapter, "meta-llama/Llama-2-7b-hf", weights_fingerprint(base))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_origin(adapter, base, "some/copy")  # the name does not matter any more
    file = base / "model-00001-of-00002.safetensors"
    tensors = safetensors.numpy.load_file(file)
    changed = {k: v * np.float32(1.001) for k, v in tensors.items()}
    safetensors.numpy.save_file(changed, file, metadata={"format": "pt"})
    with pytest.raises(SycojaxError) as error:
        check_origin(adapter, base, "some/copy")
    assert (
        "some/copy has other weights than those the adapter was trained on (it names meta-llama"
        in str(error.value)
    )
    assert f"delete {adapter / 'sycojax.json'}" in str(error.value)
