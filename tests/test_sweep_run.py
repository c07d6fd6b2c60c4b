"""A sweep on one machine: shared work gives the numbers of separate work, and no cell stands in another's way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jax
import numpy as np
import pytest
from sweep_cases import make_inputs, shorter, silent, write_sweep
from training_cases import compilations

from sycojax.cli import main
from sycojax.config import StudyConfig
from sycojax.errors import Stopped
from sycojax.files import read_json
from sycojax.study import run, scores, sweep_run
from sycojax.study.stages import Stamps
from sycojax.study.sweep import Cell, plan
from sycojax.study.sweep_run import run_cells
from sycojax.study.sweep_workdir import note_failure
from sycojax.training import loop
from sycojax.training.step import BankProgram
from sycojax.weights.huggingface import load_config
from sycojax.weights.peft import load_adapter

pytestmark = pytest.mark.usefixtures("quick_compilation")

GRID = {"train.learning_rate": [1e-3, 1e-2], "data.train_limit": [10, 20]}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[BankProgram]:
    """Every training program that is made."""
    made: list[BankProgram] = []

    def watched(*arguments: Any) -> BankProgram:
        made.append(BankProgram(*arguments))
        return made[-1]

    monkeypatch.setattr(loop, "BankProgram", watched)
    return made


@pytest.fixture
def only_training(monkeypatch: pytest.MonkeyPatch) -> None:
    real = sweep_run.run
    monkeypatch.setattr(sweep_run, "run", lambda *a, **k: real(*a, until="train", **k))


def adapter(study: StudyConfig, workdir: Path, name: str = "mmlu-s0") -> Any:
    return load_adapter(workdir / "adapters" / name, load_config(study.base.path))[1]


@pytest.mark.slow
def test_cells_share_a_bank_and_equal_studies_of_their_own(
    study: StudyConfig, tmp_path: Path, programs: list[BankProgram], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    written: list[str] = []
    real = scores.write_records

    def writing(path: Path, records: Any) -> None:
        real(path, records)
        written.append("/".join(path.with_suffix("").parts[-4:]))

    monkeypatch.setattr(scores, "write_records", writing)
    flag, workdir = write_sweep(tmp_path / "rates.py", study, GRID), tmp_path / "w"
    assert main(["sweep", flag, f"--workdir={workdir}", "--quiet"]) == 0
    cells = plan(study, GRID)
    assert [p.width for p in programs] == [4]
    assert compilations(programs[0]) == (1, 1), "whatever their rate and data"
    own = [f"{cell.name}/records/mmlu-s0" for cell in cells]
    assert sorted({w.rpartition("/")[0] for w in written} - set(own)) == [
        f"cells/{cells[0].name}/readouts",
        f"{cells[0].name}/records/base",
    ], "the base is scored once, and shows once which readout is taken"
    assert len(written) == 2 * (len(cells) + 1) + 1
    assert f"report    {workdir / 'report' / 'index.html'}" in capsys.readouterr().out
    rates = {cell.name: read_json(workdir / "cells" / cell.name / "study.json") for cell in cells}
    for cell in cells:
        shown = rates[cell.name]["config"]
        assert shown["train"]["learning_rate"] == cell.settings["train.learning_rate"]
        assert not list((workdir / "training").rglob("checkpoints"))

    # Alone, in a bank of one.
    alone = dataclasses.replace(
        cells[3].config, train=dataclasses.replace(cells[3].config.train, bank_width=1)
    )
    run.run(alone, tmp_path / "alone", until="train", progress=False, say=silent)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
        adapter(study, workdir / "cells" / cells[3].name), adapter(study, tmp_path / "alone"),
    )  # fmt: skip
    differences = jax.tree.map(
        lambda a, b: float(np.abs(a - b).max()),
        adapter(study, workdir / "cells" / cells[1].name), adapter(study, tmp_path / "alone"),
    )  # fmt: skip
    assert max(jax.tree.leaves(differences)) > 1e-4, "another rate is another adapter"

    # Nothing is left to do, for the sweep and for the study of each cell.
    written.clear()
    programs.clear()
    monkeypatch.setattr(sweep_run, "load_frozen", None)
    # Settings that come to the same are written down, or the report would take the cells for older ones.
    longer = "--config.data.max_length=127"
    assert main(["sweep", flag, longer, f"--workdir={workdir}", "--quiet"]) == 0
    assert capsys.readouterr().out.count(": finished before\n") == 4
    assert "4 of 4 cells are finished" in (workdir / "report" / "report.md").read_text()
    run.run(alone, workdir / "cells" / cells[3].name, progress=False, say=silent)
    assert (written, programs) == ([], [])


@pytest.mark.slow
def test_a_killed_sweep_continues(
    study: StudyConfig, tmp_path: Path, only_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = plan(shorter(study), GRID)
    assert run_cells(cells, tmp_path / "whole", progress=False, say=silent) == {}
    steps: list[int] = []
    train = BankProgram.train

    def watched(
        self: BankProgram, state: Any, rows: Any, filled: Any, step: int, *rest: Any
    ) -> Any:
        if step == 4 and not steps.count(4):
            steps.append(step)
            raise KeyboardInterrupt
        steps.append(step)
        return train(self, state, rows, filled, step, *rest)

    monkeypatch.setattr(BankProgram, "train", watched)
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, tmp_path / "w", progress=False, say=silent)
    assert not list((tmp_path / "w").glob("cells/*/adapters")), "killed in the middle"
    steps[:] = [4]
    assert run_cells(cells, tmp_path / "w", progress=False, say=silent) == {}
    assert 2 <= steps[1] <= 4, "continued from a checkpoint"
    for cell in cells:
        jax.tree.map(
            np.testing.assert_array_equal,
            adapter(study, tmp_path / "w" / "cells" / cell.name),
            adapter(study, tmp_path / "whole" / "cells" / cell.name),
        )


@pytest.mark.slow
def test_a_cell_that_was_only_borrowed_is_not_finished(
    study: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell added later finds all of its outputs in others; killed before its turn, it is still to be described."""
    workdir, seeds = tmp_path / "w", [0, 1, 2, 3, (0, 1)]
    cells = plan(shorter(study), {"train.seeds": seeds})
    assert run_cells(cells[:2], workdir, progress=False, say=silent) == {}
    with monkeypatch.context() as patch:
        patch.setattr(sweep_run, "train_together", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_cells(cells, workdir, progress=False, say=silent)
    both = workdir / "cells" / cells[4].name
    assert len(list(both.glob("records/*/mmlu.jsonl"))) == 3, "borrowed"
    said: list[str] = []
    assert run_cells(cells, workdir, progress=False, say=said.append) == {}
    assert [line for line in said if "finished before" in line] == [
        f"cell      {cell.name}: finished before" for cell in cells[:2]
    ]
    document, other = (read_json(d / "study.json") for d in (both, workdir / "cells" / cells[0].name))  # fmt: skip
    assert set(document["training"]) == {"mmlu-s0", "mmlu-s1"}
    assert document["base_fingerprint"] == other["base_fingerprint"] != ""
    assert (both / "items" / "mmlu.jsonl").is_file()


def test_a_kill_loses_no_audit(
    study: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How reproducible the scores are is measured once, at their end: a cell is not finished without it."""
    (cell,) = plan(shorter(study), {"train.learning_rate": [1e-2]})
    with monkeypatch.context() as patch:
        patch.setattr(scores.determinism, "measure", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_cells([cell], tmp_path, progress=False, say=silent)
    assert run_cells([cell], tmp_path, progress=False, say=silent) == {}
    scoring = read_json(tmp_path / "cells" / cell.name / "study.json")["scoring"]
    assert scoring["determinism"]["items"] > 0


@pytest.mark.slow
def test_what_fails_in_a_cell_stays_there(
    study: StudyConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that is not finite, among lanes of one bank; and data that are too few."""
    sweep = [
        {"train.learning_rate": 1e-3}, {"train.learning_rate": 1e30}, {"train.learning_rate": 1e-2},
        {"data.train_limit": 1},
    ]  # fmt: skip
    study = shorter(study)
    flag, workdir = write_sweep(tmp_path / "rates.py", study, sweep), tmp_path / "w"
    assert main(["sweep", flag, f"--workdir={workdir}", "--quiet"]) == 2
    captured = capsys.readouterr()
    cells = plan(study, sweep)
    lines = [line for line in captured.err.splitlines() if line.startswith("sycojax: ")]
    assert len(lines) == 1
    assert lines[0].startswith("sycojax: 2 of 4 cells of the sweep failed: ")
    assert cells[1].name in lines[0]
    assert cells[3].name in lines[0]
    assert "validation split" in captured.out
    states = {p.stem: read_json(p)["message"] for p in (workdir / "failures").iterdir()}
    assert set(states) == {cells[1].name, cells[3].name}
    assert "Lower train.learning_rate" in states[cells[1].name]
    page = (workdir / "report" / "report.md").read_text()
    assert "2 of 4 cells are finished, 2 failed" in page
    for cell in (cells[0], cells[2]):
        assert (workdir / "cells" / cell.name / "records" / "mmlu-s0" / "mmlu.jsonl").is_file()
    run.run(cells[2].config, tmp_path / "alone", until="train", progress=False, say=silent)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
        adapter(study, workdir / "cells" / cells[2].name), adapter(study, tmp_path / "alone"),
    )  # fmt: skip
    # A cell that is mended is no failure any more.
    mended = [dataclasses.replace(cells[3], config=cells[0].config)]
    assert run_cells(mended, workdir, others=cells, progress=False, say=silent) == {}
    assert [p.stem for p in (workdir / "failures").iterdir()] == [cells[1].name]
    # Nor is one that was mended by itself, in its own directory.
    note_failure(workdir, cells[3].name, "no memory")
    assert run_cells(mended, workdir, others=cells, progress=False, say=silent) == {}
    assert [p.stem for p in (workdir / "failures").iterdir()] == [cells[1].name]


def test_a_signal_is_no_failure_of_a_cell(
    study: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Mock(side_effect=Stopped("stopped by SIGTERM"))
    monkeypatch.setattr(sweep_run, "train_together", stopped)
    with pytest.raises(Stopped):
        run_cells(plan(study, GRID), tmp_path, progress=False, say=silent)
    assert not (tmp_path / "failures").exists()


@pytest.mark.parametrize("kind", ["rank", "clip", "bank"])
def test_what_is_compiled_or_laid_out_apart_is_trained_apart(
    study: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Rank, optimiser and layout belong to the program; the base is loaded once all the same."""
    key = {"rank": "lora.rank", "clip": "train.clip_norm", "bank": "train.bank_width"}[kind]
    together: list[list[str]] = []
    loaded: list[StudyConfig] = []
    real = sweep_run.load_frozen

    def train(members: Any, *_: Any, **__: Any) -> dict[str, str]:
        together.append([member.cell.name for member in members])
        return {member.cell.name: "not trained" for member in members}

    def load(config: StudyConfig, **options: Any) -> Any:
        loaded.append(config)
        return real(config, **options)

    monkeypatch.setattr(sweep_run, "train_together", train)
    monkeypatch.setattr(sweep_run, "load_frozen", load)
    cells = plan(study, {key: [2, 3], "train.epochs": [1.0, 2.0], "train.seeds": [5]})
    failed = run_cells(cells, tmp_path, progress=False, say=silent)
    assert together == [[c.name for c in cells[:2]], [c.name for c in cells[2:]]]
    assert len(loaded) == 1
    assert set(failed) == {c.name for c in cells}


def test_an_output_is_borrowed_only_when_it_is_the_same(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for output in (Path("records/base/mmlu.jsonl"), Path("adapters/mmlu-s0")):
        made = there / output
        made.parent.mkdir(parents=True, exist_ok=True)
        if made.suffix:
            made.write_text("1\n")
        else:
            made.mkdir()
            (made / "a").write_text("1")
        Stamps(there).mark(made, "x")
        assert not Stamps(here).borrow(here / output, "y", [there])
        assert not (here / output).exists()
        assert Stamps(here).borrow(here / output, "x", [tmp_path / "nowhere", there])
        assert Stamps(here).current(here / output, "x")
        changed = made if made.suffix else made / "a"
        changed.write_text("2")
        assert not Stamps(tmp_path / "third").borrow(tmp_path / "third" / output, "x", [there])


def test_sweep_json_names_the_cells(
    study: StudyConfig, tmp_path: Path, only_training: None
) -> None:
    """By itself, a cell is what it is among the others, and may run on another machine."""
    flag, workdir = write_sweep(tmp_path / "rates.py", shorter(study), GRID), tmp_path / "w"
    cells: list[Cell] = plan(shorter(study), GRID)
    assert main(["sweep", flag, f"--workdir={workdir}", f"--cell={cells[2].name}", "--quiet"]) == 0
    document = json.loads((workdir / "sweep.json").read_text())
    assert [c["name"] for c in document["cells"]] == [c.name for c in cells]
    assert document["keys"] == list(GRID)
    assert [p.name for p in (workdir / "cells").iterdir()] == [cells[2].name]
    assert not (workdir / "report").exists()
