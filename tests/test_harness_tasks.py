"""The probes as task files of lm-evaluation-harness: the same numbers as the probes' own, from plain functions.

The harness itself is not needed here; what it does with the files is in tests/parity.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import synthetic_study
from evals_cases import estimates, walk

from sycojax.cli import main
from sycojax.data.prompts import Prompts
from sycojax.data.templates import META
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.harness import command, tasks
from sycojax.harness.exported import functions
from sycojax.requests import Request

REPOSITORY = Path(__file__).resolve().parent.parent
TOY = f"--config={REPOSITORY / 'configs' / 'toy.py'}"


def logprob(prompt: str, candidate: str, sharpness: float) -> float:
    """A model that is sure of something else for every text; with sharpness 0, one that is tied everywhere."""
    digest = hashlib.sha256(f"{prompt}\x1f{candidate}".encode()).digest()
    return -1.0 - sharpness * digest[0] / 64


def measured(
    probe: str, rows: Sequence[Any], prompts: Prompts, sharpness: float
) -> dict[str, float]:
    """What sycojax measures of that model, second turns and all."""

    def respond(request: Request) -> list[float]:
        return [logprob(request.prompt, c, sharpness) for c in request.candidates]

    _, records = walk(BUILTIN[probe], rows, respond, prompts)
    return estimates(BUILTIN[probe].measures(records))


def aggregated(
    directory: Path, probe: str, docs: Sequence[dict[str, Any]], sharpness: float
) -> dict[str, float]:
    """What the harness does with task file, documents and functions."""
    named = functions(directory)
    values = []
    for doc in docs:
        results = [(logprob(doc["prompt"], c, sharpness), False) for c in doc["choices"]]
        values.append(named[f"{probe}_scores"](doc, results))
    return {name: named[f"{probe}_{name}"]([v[name] for v in values]) for name in values[0]}


@pytest.mark.parametrize("sharpness", [1.0, 0.0])
@pytest.mark.parametrize("template", ["llama2", "plain"])
@pytest.mark.parametrize("probe", BUILTIN.probes)
def test_numbers_are_those_of_the_probe(
    tmp_path: Path, probe: str, template: Any, sharpness: float
) -> None:
    rows, prompts = synthetic_study.rows(probe, 37), Prompts(template=META.named(template))
    docs = exported(tmp_path / "tasks", probe, rows, prompts)
    found = aggregated(tmp_path / "tasks", probe, docs, sharpness)
    assert len(found) >= 6
    expected = measured(probe, rows, prompts, sharpness)
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-12, nan_ok=True)
    if sharpness:
        assert all(found.values())  # a measure that is 0 for every model would agree as well


def exported(
    to: Path, probe: str, rows: Sequence[Any], prompts: Prompts
) -> Sequence[dict[str, Any]]:
    tasks.write_probes(to, BUILTIN, {probe: rows}, prompts, 0)
    return functions(to)[f"{probe}_dataset"](version=2.0)["test"]


def test_an_item_that_a_limit_cuts_does_not_count(tmp_path: Path) -> None:
    docs = list(
        exported(tmp_path / "tasks", "answer", synthetic_study.rows("answer", 6), Prompts())
    )
    whole = [doc for doc in docs if doc["item"] == docs[0]["item"]]
    assert len(whole) == 9
    some = aggregated(tmp_path / "tasks", "answer", docs[: len(whole) + 3], 1.0)
    assert some == pytest.approx(aggregated(tmp_path / "tasks", "answer", whole, 1.0), nan_ok=True)
    nothing = aggregated(tmp_path / "tasks", "answer", docs[:3], 1.0)
    assert all(map(math.isnan, nothing.values()))


@pytest.mark.parametrize("name", ["answer_generated", "answer_published"])
def test_what_is_generated_cannot_be_exported(tmp_path: Path, name: str) -> None:
    """In part, or all of it."""
    rows = {name: synthetic_study.rows("answer", 2)}
    with pytest.raises(SycojaxError, match=f"{name} has a reply generated"):
        tasks.write_probes(tmp_path / "tasks", BUILTIN, rows, Prompts(), 0)
    assert not (tmp_path / "tasks").exists()


def test_command_writes_files_that_stand_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "tasks"
    assert main(["export-tasks", TOY, f"--to={to}", "--config.data.probe_limit=4"]) == 0
    assert str(to) in capsys.readouterr().out
    assert {path.name for path in to.iterdir()} == {
        "README.md", "probe_measures.py", "settings.json",
        *(f"{probe}.jsonl" for probe in BUILTIN.probes), *(f"sycojax_{probe}.yaml" for probe in BUILTIN.probes),
    }  # fmt: skip
    spec = importlib.util.spec_from_file_location("exported_tasks", to / "probe_measures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for probe in BUILTIN.probes:
        docs = getattr(module, f"{probe}_dataset")(version=2.0)["test"]
        lines = (to / f"{probe}.jsonl").read_text(encoding="utf-8").splitlines()
        assert list(docs) == [json.loads(line) for line in lines]
        assert len({doc["item"] for doc in docs}) == 4
        task = (to / f"sycojax_{probe}.yaml").read_text(encoding="utf-8")
        # A number of these is no verdict, and the harness's results say so where they hold the task's metadata.
        assert 'verdict: "none: ' in task
        for name in [part.split()[0] for part in task.split("!function probe_measures.")[1:]]:
            assert callable(getattr(module, name)), name


def test_nothing_is_written_over_or_by_halves(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "exists already" in refused("export-tasks", TOY, f"--to={tmp_path}")
    assert "required: --to" in refused("export-tasks", TOY)
    missing = ["--config.data.source=files", f"--config.data.path={tmp_path / 'nowhere'}"]
    said = refused("export-tasks", TOY, f"--to={tmp_path / 'new'}", *missing)
    assert "is not a directory" in said
    assert list(tmp_path.iterdir()) == []


def test_the_harness_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command.main() == 2
    assert "pip install 'sycojax[harness]'" in capsys.readouterr().err
