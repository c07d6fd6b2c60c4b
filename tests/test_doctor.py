"""``sycojax doctor``: what it says of machines that lack something."""

from __future__ import annotations

import http.server
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path
from unittest.mock import Mock

import huggingface_hub
import jax
import pytest
from fsspec.registry import _registry as known_protocols

from sycojax.cli import compilation_cache, doctor, main
from sycojax.config import StudyConfig
from sycojax.study.inputs import tokenizer_of
from sycojax.toy import base_directory


def test_this_machine_is_ready(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", f"--workdir={tmp_path / 'new' / 'w'}", "--config=configs/toy.py"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok") and "8 x cpu (cpu)" in line for line in lines)
    assert any("GiB free at" in line and str(tmp_path) in line for line in lines)
    assert not any(line.startswith("PROBLEM") for line in lines)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("jax", "flax", "state", "said"),
    [
        ("0.10.2", "0.12.8", "ok", "tested"),
        ("0.12.0", "0.12.12", "note", "jax 0.11.2 with flax 0.12.12"),
    ],
)
def test_versions_are_held_against_the_tested_ones(
    monkeypatch: pytest.MonkeyPatch, jax: str, flax: str, state: str, said: str
) -> None:
    version, told = importlib.metadata.version, {"jax": jax, "flax": flax}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: told.get(name) or version(name))
    found = {f.subject: f for f in doctor.examine(Path("."), "")}["versions"]
    assert found.state == state
    assert said in f"{found.text} {found.advice}"


def test_the_tested_pairs_are_those_of_the_package_file() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"jax {a} + flax {b}" in text for a, b in doctor.TESTED)


def test_a_base_that_the_hub_does_not_give(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = "401: access to some/model is restricted\nlong explanation"
    refused = Mock(side_effect=OSError(said))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refused)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctor, "_silence", lambda _: "")
    arguments = ["doctor", f"--workdir={tmp_path}", "--config=configs/toy.py"]
    assert main([*arguments, "--config.base.path=some/model"]) == 2
    captured = capsys.readouterr()
    assert "PROBLEM base" in captured.out
    assert "401: access to some/model is restricted" in captured.out
    assert "hf auth login" in captured.out
    assert captured.err == "sycojax: to be mended: base\n"
    cached = tmp_path / "snapshot"
    shutil.copytree(base_directory(), cached)
    weights = cached / "model.safetensors"
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda _, name: str(weights) if name == weights.name else None,
    )
    assert main([*arguments, "--config.base.path=some/model"]) == 0
    assert "some/model is cached" in capsys.readouterr().out
    weights.write_bytes(weights.read_bytes()[:1000])
    assert main([*arguments, "--config.base.path=some/model"]) == 2
    said = capsys.readouterr().out
    assert f"some/model is here in part ({weights} is truncated" in said


def test_a_config_s_prompts_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One of each kind, special tokens written out, what is scored or trained on in brackets."""
    assert main(["doctor", f"--workdir={tmp_path}", "--config=configs/toy.py", "--ids"]) == 0
    shown = capsys.readouterr().out.partition("--- written by the chat template of")[2]
    titles = [line for line in shown.splitlines() if line.startswith("--- ")]
    assert sum(title.startswith("--- training on") for title in titles) == 4
    assert {"--- are_you_sure, rotation=0", "--- are_you_sure, forced=right,rotation=0"} <= {
        *titles
    }
    assert "[/INST] The answer is (\n  \u27e6A\u27e7" in shown
    assert "B) </s><s>[INST]" in shown or "A) </s><s>[INST]" in shown
    first = tokenizer_of(StudyConfig()).encode("<s>[INST]", add_special_tokens=False)
    assert f"[{', '.join(map(str, first))}, " in shown


def test_a_base_in_a_directory_is_opened(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A download that stopped early, and a directory that holds something else, are no base."""
    arguments = ["doctor", f"--workdir={tmp_path}", "--config=configs/toy.py"]
    assert main(arguments) == 0
    assert f"{base_directory()} is a local directory" in capsys.readouterr().out
    half = tmp_path / "half"
    shutil.copytree(base_directory(), half)
    (half / "model.safetensors").unlink()
    assert main([*arguments, f"--config.base.path={half}"]) == 2
    assert "PROBLEM base" in (said := capsys.readouterr().out)
    assert "hf download" in said


@pytest.mark.parametrize(
    ("platform", "said"),
    [("cuda", "JAX_PLATFORMS=cuda, and no NVIDIA GPU can be seen"), ("nonsense", "'nonsense'")],
)
def test_a_platform_that_is_not_here(tmp_path: Path, platform: str, said: str) -> None:
    """What doctor calls a problem ends a study in one line; JAX's own error for the first says nothing."""
    if platform == "cuda" and list(Path("/dev").glob("nvidia*")):
        pytest.skip("there is an NVIDIA GPU")
    environment = {**os.environ, "JAX_PLATFORMS": platform, "HF_HUB_OFFLINE": "1"}
    workdir = tmp_path / "w"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sycojax", *arguments, f"--workdir={workdir}"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run("doctor", "--config=configs/toy.py")
    assert (done.returncode, done.stderr) == (2, "sycojax: to be mended: devices\n")
    problem, advice = done.stdout[done.stdout.index("PROBLEM") :].splitlines()[:2]
    assert "devices" in problem
    assert said in problem
    assert "pip install 'sycojax[cuda]'" in advice
    done = run("study", "--config=configs/toy.py")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not workdir.exists()


def test_places_that_are_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the workdir and both caches; the hub's token, which lies in one, cannot be read either."""
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(file / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(file / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(compilation_cache, "directory", lambda: file / "jax")
    found = [f for f in doctor.examine(file / "w", "") if str(file) in f.text]
    assert [(f.state, f.subject) for f in found] == [
        ("problem", "disk"), ("note", "cache"), ("note", "cache"), ("note", "token"),
    ]  # fmt: skip
    assert all(f.advice for f in found)
    assert file.read_bytes() == b""


def test_a_directory_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    found = {f.subject: f for f in doctor.examine(tmp_path, "")}["disk"]
    assert found.state == "problem"
    assert "another --workdir" in found.advice


@pytest.mark.parametrize(("free", "state"), [(6, "note"), (100, "ok")])
def test_room_for_a_model_of_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: str
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    usage = types.SimpleNamespace(free=free * doctor.GIB)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    found = [f for f in doctor.examine(tmp_path, "") if "GiB free" in f.text]
    assert [(f.state, f.subject) for f in found] == [("ok", "disk"), (state, "cache")]
    assert str(tmp_path / "hub") in found[1].text
    assert ("set HF_HOME" in found[1].advice) == (state == "note")
    assert not (tmp_path / "hub").exists()


def hub_of(place: Path, base: str) -> dict[str, doctor.Finding]:
    return {f.subject: f for f in doctor.examine(place, base) if f.subject in ("hub", "base")}


def test_a_hub_that_does_not_answer_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its own client would try six times, half a minute long."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        found = hub_of(tmp_path, "some/model")
    assert found["hub"].state == "note"
    assert "does not answer ([Errno 111] Connection refused)" in found["hub"].text
    assert "hf download" in found["hub"].advice
    assert found["base"].state == "problem"


def test_a_hub_that_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever it says: the front page of a mirror need not exist."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    handler = type(
        "Handler", (http.server.BaseHTTPRequestHandler,), {"log_message": lambda *_: None}
    )
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)  # answers HEAD with 501
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        assert hub_of(tmp_path, "")["hub"].state == "ok"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_where_compiled_programs_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def said() -> str:
        return next(f.text for f in doctor.examine(tmp_path, "") if f.subject == "cache")

    jax.config.update("jax_enable_compilation_cache", True)
    try:
        assert (
            said() == f"{tmp_path}/sycojax/jax/{compilation_cache.host()} holds compiled programs"
        )
    finally:
        jax.config.update("jax_enable_compilation_cache", False)
    assert said() == "programs are compiled anew in every run"


def test_a_bucket_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--workdir=memory://studies/doctor"]) == 0
    assert "memory://studies/doctor can be read and written" in capsys.readouterr().out
    # As where it is not installed, nor has been asked for yet.
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.delitem(known_protocols, "gs", raising=False)
    assert main(["doctor", "--workdir=gs://studies/doctor"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert any(x.startswith("PROBLEM bucket") and "pip install 'sycojax[gcs]'" in x for x in lines)
