"""``sycojax export``: what it writes, what it refuses, and pushing with the hub replaced by a stand-in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import safetensors.numpy
import synthetic_study
import tiny_models as tiny

from sycojax.cli import main
from sycojax.files import read_json
from sycojax.study.external import files_fingerprint
from sycojax.study.stages import Stamps, fingerprint
from sycojax.study.state import adapter_known_by
from sycojax.weights.fingerprint import base_fingerprint, weights_fingerprint

ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]
SETTINGS = {"task_type": "CAUSAL_LM", "base_model_name_or_path": "org/base", "lora_alpha": 8}


def write_adapter(directory: Path, **settings: Any) -> Path:
    whole = {**SETTINGS, **settings}
    return tiny.write_adapter(directory, tiny.GQA, ("q_proj", "up_proj"), 4, 0.1, **whole)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workdir as a study leaves it: mmlu-s0 trained here, mmlu-s1 elsewhere, mmlu-s2 not scored yet."""
    root = tmp_path_factory.mktemp("root")
    base, workdir = tiny.write(root / "base", tiny.GQA), root / "w"
    (base / "tokenizer.json").write_text("{}")
    adapters = [write_adapter(workdir / "adapters" / "mmlu-s0"), write_adapter(root / "elsewhere")]
    write_adapter(workdir / "adapters" / "mmlu-s2")
    synthetic_study.write_study(
        workdir, items=12, adapters=("mmlu",), seeds=(0, 1), evaluations=("mmlu", "answer"),
        config={"base": {"path": str(base)}}, command="sycojax study --config=c.py --workdir=w",
        base_fingerprint=base_fingerprint(base), base_weights=weights_fingerprint(base),
    )  # fmt: skip
    document = read_json(workdir / "study.json")
    document["configurations"][2]["source"] = str(root / "elsewhere")
    document["configurations"].append({"name": "mmlu-s2", "adapter": "mmlu", "seed": 2})
    basis = {"base": document["base_fingerprint"], "tokenizer": "t", "settings": "s"}
    (workdir / "study.json").write_text(json.dumps(document | {"basis": basis}))
    stamps = Stamps(workdir)
    stamps.mark(adapters[0], {"seed": "0"})
    sources = adapter_known_by(workdir, "mmlu-s0"), files_fingerprint(adapters[1])
    for evaluation in ("mmlu", "answer"):
        asked = [{"evaluation": evaluation, "item": "1"}]
        items = workdir / "items" / f"{evaluation}.jsonl"
        items.parent.mkdir(exist_ok=True)
        items.write_text("".join(json.dumps(one) + "\n" for one in asked))
        for name, source in zip(("mmlu-s0", "mmlu-s1"), sources, strict=True):
            path = workdir / "records" / name / f"{evaluation}.jsonl"
            stamps.mark(path, {**basis, "adapter": source, "questions": fingerprint(asked)})
    return workdir


def names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


def run(study: Path, to: Path, *flags: str, adapter: str = "mmlu-s0") -> int:
    return main(["export", f"--workdir={study}", f"--adapter={adapter}", f"--to={to}", *flags])


def refused(
    capsys: pytest.CaptureFixture[str], study: Path, to: Path, *flags: str, adapter: str = "mmlu-s0"
) -> str:
    """The one line of a refusal, which leaves nothing behind."""
    before = sorted(p for p in to.parent.rglob("*"))
    assert run(study, to, *flags, adapter=adapter) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert sorted(p for p in to.parent.rglob("*")) == before
    return captured.err


def test_an_adapter_leaves_with_its_card(study: Path, tmp_path: Path, capsys) -> None:
    assert run(study, tmp_path / "out") == 0
    assert capsys.readouterr().out == f"adapter   {tmp_path / 'out'}\n"
    assert names(tmp_path / "out") == ["README.md", *ADAPTER, "sycojax.json"]
    for file in ADAPTER:
        kept = (study / "adapters" / "mmlu-s0" / file).read_bytes()
        assert (tmp_path / "out" / file).read_bytes() == kept
    origin = read_json(tmp_path / "out" / "sycojax.json")
    assert origin["base_weights"] == weights_fingerprint(study.parent / "base")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Trained by sycojax on the task mmlu, seed 0" in card
    assert "| mmlu 2 seeds |" in card


def test_an_adapter_of_others_leaves_with_its_numbers(study: Path, tmp_path: Path) -> None:
    assert run(study, tmp_path / "out", adapter="mmlu-s1") == 0
    # Which weights it was trained on is not known here.
    assert names(tmp_path / "out") == ["README.md", *ADAPTER]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "An adapter that was trained elsewhere" in card
    assert "| mmlu 2 seeds |" in card


def test_numbers_of_another_adapter_are_not_printed(study: Path, tmp_path: Path) -> None:
    assert run(study, tmp_path / "none", adapter="mmlu-s2") == 0
    card = (tmp_path / "none" / "README.md").read_text()
    assert "No numbers: the study has not scored this adapter yet" in card
    changed = shutil.copytree(study, tmp_path / "changed")
    write_adapter(changed / "adapters" / "mmlu-s0", lora_alpha=16)
    assert run(changed, tmp_path / "stale") == 0
    card = (tmp_path / "stale" / "README.md").read_text()
    assert (
        "No numbers: the records of the study were not made with this adapter as it is now" in card
    )
    assert "| mmlu 2 seeds |" not in card


def test_merged(study: Path, tmp_path: Path, capsys) -> None:
    assert run(study, tmp_path / "out", "--merged") == 0
    assert capsys.readouterr().out == f"merged    {tmp_path / 'out'}\n"
    assert names(tmp_path / "out") == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    found = safetensors.numpy.load_file(tmp_path / "out" / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    values, key = tiny.adapter(tiny.GQA, rank=4, b_scale=0.1), f"base_model.model.{name[:-7]}"
    product = 2 * values[f"{key}.lora_B.weight"] @ values[f"{key}.lora_A.weight"]
    np.testing.assert_allclose(found[name], tiny.tensors(tiny.GQA)[name] + product, atol=1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'library_name: "transformers"' in card
    assert "base and adapter added up, in float32" in card


def test_a_base_that_is_another_now_is_not_merged(study: Path, tmp_path: Path, capsys) -> None:
    changed = shutil.copytree(study, tmp_path / "changed")
    document = read_json(changed / "study.json")
    (changed / "study.json").write_text(json.dumps(document | {"base_fingerprint": "0"}))
    assert "is not the base as it was" in refused(capsys, changed, tmp_path / "out", "--merged")
    (changed / "study.json").unlink()
    message = refused(capsys, changed, tmp_path / "out", "--merged")
    assert "study.json is missing or names no base.path" in message


def test_refusals(study: Path, tmp_path: Path, capsys) -> None:
    assert "(there: mmlu-s0, mmlu-s2, mmlu-s1)" in refused(
        capsys, study, tmp_path / "o", adapter="x"
    )
    (tmp_path / "there").mkdir()
    assert "exists already" in refused(capsys, study, tmp_path / "there")
    assert "--public says how to push" in refused(capsys, study, tmp_path / "o", "--public")


# --- pushing -----------------------------------------------------------------


class Hub:
    """The parts of ``HfApi`` that are used; ``calls`` says what was changed, ``held`` what is in the repository."""

    def __init__(
        self, private: bool | None = None, role: str = "write", fail: Exception | None = None
    ):
        self.private, self.role, self.fail = private, role, fail
        self.calls: list[str] = []
        self.held: list[str] = []

    def whoami(self) -> dict[str, Any]:
        token = {"auth": {"accessToken": {"role": self.role}}}
        return {"name": "me", "orgs": [{"name": "lab"}], **token}

    def repo_info(self, repository: str) -> Any:
        if self.private is None:
            error = huggingface_hub.errors.RepositoryNotFoundError
            raise error.__new__(error)
        return SimpleNamespace(private=self.private)

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> str:
        self.calls.append(f"create {repository} {'private' if private else 'public'}")
        return f"https://huggingface.co/{repository}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, **options: Any) -> None:
        if self.fail:
            raise self.fail
        assert options["delete_patterns"] == ["*.safetensors", "*.safetensors.index.json"]
        self.calls.append(f"upload {repo_id}")
        self.held = names(folder_path)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a stand-in in the hub's place and a token into the environment."""

    def use(stand_in: Hub) -> Hub:
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stand_in)
        monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_x")
        return stand_in

    return use


def test_push_is_private_unless_told(study: Path, tmp_path: Path, online, capsys) -> None:
    found = online(Hub())
    assert run(study, tmp_path / "a", "--push-to-hub=me/new") == 0
    assert found.calls == ["create me/new private", "upload me/new"]
    assert found.held == ["README.md", *ADAPTER, "sycojax.json"]
    assert "pushed    https://huggingface.co/me/new (private)" in capsys.readouterr().out
    assert "--adapter=mine=me/new" in (tmp_path / "a" / "README.md").read_text()
    found = online(Hub())
    assert run(study, tmp_path / "b", "--push-to-hub=lab/new", "--public", "--merged") == 0
    assert found.calls == ["create lab/new public", "upload lab/new"]
    assert "model.safetensors" in found.held
    found = online(Hub(private=True))
    assert run(study, tmp_path / "c", "--push-to-hub=me/old") == 0
    assert found.calls[-1] == "upload me/old"


@pytest.mark.parametrize(
    ("stand_in", "flags", "message"),
    [
        (Hub(), ["--push-to-hub=new"], "write OWNER/NAME"),
        (Hub(), ["--push-to-hub=you/new"], "the token is of me, lab; use one that may write to you"),
        (Hub(role="read"), ["--push-to-hub=me/new"], "the token may only read"),
        (Hub(private=False), ["--push-to-hub=me/old"], "exists and is public, not private: add --public"),
        (Hub(private=True), ["--push-to-hub=me/old", "--public"], "leave out --public"),
    ],
)  # fmt: skip
def test_pushes_that_are_refused_change_nothing(
    study: Path, tmp_path: Path, online, capsys, stand_in: Hub, flags: list[str], message: str
) -> None:
    online(stand_in)
    assert message in refused(capsys, study, tmp_path / "out", *flags)
    assert stand_in.calls == []


def test_push_without_a_token(study: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    message = refused(capsys, study, tmp_path / "out", "--push-to-hub=me/new")
    assert "needs a token of the hub, and there is none: run `hf auth login`" in message


def test_push_offline(study: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """HF_HUB_OFFLINE is set for all tests: the real client refuses to ask."""
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    message = refused(capsys, study, tmp_path / "out", "--push-to-hub=me/new")
    assert "the hub does not answer as it should (OfflineModeIsEnabled" in message


def test_a_push_that_breaks_off_leaves_the_export(
    study: Path, tmp_path: Path, online, capsys
) -> None:
    online(Hub(fail=huggingface_hub.errors.HTTPError("connection reset")))
    assert run(study, tmp_path / "out", "--push-to-hub=me/new") == 2
    error = capsys.readouterr().err
    assert (
        f"{tmp_path / 'out'} is complete, but pushing it to me/new failed (HTTPError: connection reset)"
        in error
    )
    assert f"hf upload me/new {tmp_path / 'out'}" in error
    assert names(tmp_path / "out") == ["README.md", *ADAPTER, "sycojax.json"]
