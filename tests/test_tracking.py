"""Weights & Biases as a view of a study: what it gets, by whom, and what a user is told; against a stand-in."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import synthetic_study

from sycojax.cli import main
from sycojax.cli.tracking import headlines
from sycojax.errors import SycojaxError
from sycojax.training import tracking
from sycojax.training.metrics import MetricsLog
from sycojax.training.tracking import Tracker

TOY = f"--config={Path(__file__).parent.parent / 'configs' / 'toy.py'}"


class StandIn(types.ModuleType):
    """``wandb`` as far as sycojax uses it; keeps every run by its id, as the server does."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: dict[str, Run] = {}
        self.started: list[dict[str, Any]] = []
        self.known, self.refuses, self.invalid, self.online = True, "", "", True

    def login(self, *, prompt: bool) -> bool:
        assert not prompt, "a batch job has nobody to ask"
        if self.invalid:
            raise ValueError(self.invalid)
        return self.known

    def init(self, **arguments: Any) -> Run:
        if self.refuses:
            raise StandIn.Error(self.refuses)
        self.started.append(arguments)
        assert arguments["resume"] == "allow"
        run = self.runs.setdefault(arguments["id"], Run(arguments["id"]))
        if not self.online:
            run.summary = {}
        return run

    @staticmethod
    def Table(columns: list[str], data: list[list[str]]) -> tuple[list[str], list[list[str]]]:
        return columns, data


class Run:
    def __init__(self, identity: str) -> None:
        self.id = identity
        self.logged: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.metrics: dict[str, str] = {}
        self.exits: list[int] = []

    def define_metric(self, name: str, step_metric: str = "", hidden: bool = False) -> None:
        self.metrics[name] = step_metric

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)
        self.summary.update(values)

    def finish(self, exit_code: int) -> None:
        self.exits.append(exit_code)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    standin = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", standin)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return standin


def train(workdir: Path, steps: range, completed: int, *, checkpoint: int) -> None:
    """Log like a bank of two that saves at ``checkpoint``."""
    directory, names = workdir / "training", ["gsm8k-s0", "mmlu-s0"]
    with (
        Tracker("team/studies", workdir, "toy", {"train": {"epochs": 3.0}}) as tracker,
        MetricsLog(directory, names, completed, tracker) as log,
    ):
        for step in steps:
            for name in names:
                log.write({"adapter": name, "step": step, "loss": 1 / step, "rate": None})
            if step == checkpoint:
                log.flush()


def steps_of(run: Run, adapter: str) -> list[int]:
    return [line[f"{adapter}/step"] for line in run.logged if f"{adapter}/step" in line]


def test_metrics_go_out_by_adapter(wandb: StandIn, tmp_path: Path) -> None:
    train(tmp_path, range(1, 4), 0, checkpoint=3)
    (run,) = wandb.runs.values()
    (started,) = wandb.started
    assert (started["entity"], started["project"], started["name"]) == ("team", "studies", "toy")
    assert started["config"] == {"train": {"epochs": 3.0}}
    assert steps_of(run, "gsm8k-s0") == steps_of(run, "mmlu-s0") == [1, 2, 3]
    assert run.logged[2] == {"gsm8k-s0/step": 2, "gsm8k-s0/loss": 0.5}
    assert run.metrics["gsm8k-s0/*"] == "gsm8k-s0/step"
    assert run.exits == [0]


@pytest.mark.parametrize("online", [True, False])
def test_a_continued_study_continues_its_run(wandb: StandIn, tmp_path: Path, online: bool) -> None:
    """Steps after the last checkpoint are trained again; online the run says that it has them already."""
    train(tmp_path, range(1, 6), 0, checkpoint=4)
    wandb.online = online
    train(tmp_path, range(5, 8), 4, checkpoint=7)
    (run,) = wandb.runs.values()
    again = [] if online else [5]
    assert steps_of(run, "mmlu-s0") == [1, 2, 3, 4, 5, *again, 6, 7]
    assert len(wandb.started) == 2


def test_a_changed_study_is_logged_from_its_first_step(wandb: StandIn, tmp_path: Path) -> None:
    train(tmp_path, range(1, 4), 0, checkpoint=3)
    train(tmp_path, range(1, 3), 0, checkpoint=2)
    (run,) = wandb.runs.values()
    assert steps_of(run, "gsm8k-s0") == [1, 2, 3, 1, 2]


def test_what_was_logged_before_the_flag_was_given_is_sent(wandb: StandIn, tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "training", ["gsm8k-s0", "mmlu-s0"], 0) as log:
        log.write({"adapter": "mmlu-s0", "step": 2, "loss": 0.5})
        log.flush()
    train(tmp_path, range(3, 4), 2, checkpoint=3)
    (run,) = wandb.runs.values()
    assert steps_of(run, "mmlu-s0") == [2, 3]


def test_a_line_can_be_read_when_it_is_written(tmp_path: Path) -> None:
    """Who follows the file of a large study would otherwise wait for its next checkpoint."""
    with MetricsLog(tmp_path, ["mmlu-s0"], 0) as log:
        log.write({"adapter": "mmlu-s0", "step": 1, "loss": 0.5})
        assert log.path.read_text().endswith("}\n")


def test_a_failure_is_the_run_s_too(wandb: StandIn, tmp_path: Path) -> None:
    with pytest.raises(SycojaxError), Tracker("p", tmp_path, "toy", {}):
        raise SycojaxError("stopped")
    (run,) = wandb.runs.values()
    assert run.exits == [1]


def test_the_report_sends_final_numbers(
    wandb: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = tmp_path / "study"
    synthetic_study.write_study(
        workdir, items=12, seeds=(0,), adapters=("mmlu",), evaluations=("mmlu", "answer")
    )
    assert main(["report", f"--workdir={workdir}", "--wandb=studies"]) == 0
    (run,) = wandb.runs.values()
    assert wandb.started[0]["name"] == "synthetic"
    assert "report" in capsys.readouterr().out
    numbers = headlines(workdir / "report" / "tables" / "measures_by_adapter.csv")
    assert numbers
    assert numbers.items() <= run.summary.items()
    shift = next(k for k in numbers if k.startswith("shift/") and k.endswith("_low"))
    assert numbers[shift] <= numbers[shift.removesuffix("_low")] <= numbers[shift[:-3] + "high"]
    columns, rows = run.summary["measures_by_adapter"]
    assert columns[:3] == ["adapter", "evaluation", "measure"]
    assert all(len(row) == len(columns) for row in rows)
    assert "conclusions" in run.summary


@pytest.fixture
def refusal(refused: Callable[..., str], wandb: StandIn, tmp_path: Path) -> Callable[..., str]:
    def run(*flags: str) -> str:
        workdir = tmp_path / "w"
        said = refused("study", TOY, f"--workdir={workdir}", *flags)
        assert not workdir.exists(), "nothing is half-created"
        return said

    return run


def test_it_is_not_installed(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert "pip install 'sycojax[wandb]'" in refusal("--wandb=studies")


def test_there_is_no_login(refusal: Callable[..., str], wandb: StandIn) -> None:
    wandb.known = False
    message = refusal("--wandb=studies")
    assert "no login to Weights & Biases here" in message
    assert "WANDB_MODE=offline" in message


def test_offline_needs_no_login(wandb: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb.known = False
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracking.check("studies")


def test_the_server_refuses(wandb: StandIn, tmp_path: Path) -> None:
    wandb.refuses = "permission denied: team\nTraceback"
    with pytest.raises(SycojaxError, match=r"^--wandb=team/p: permission denied: team\. Run"):
        Tracker("team/p", tmp_path, "toy", {})


def test_a_project_s_name_is_looked_at_before_the_workdir(refusal: Callable[..., str]) -> None:
    """Offline nobody else does, before the run begins."""
    message = refusal("--wandb=team/what:now?")
    assert message == "sycojax: --wandb=team/what:now?: a project's name cannot hold : ?\n"


def test_a_variable_that_wandb_cannot_read(refusal: Callable[..., str], wandb: StandIn) -> None:
    """As pydantic says it, in five lines of which the first says nothing."""
    wandb.invalid = "1 validation error for Settings\nmode\n  Input should be 'online' or 'offline'\n    For further information"
    message = refusal("--wandb=studies")
    assert "--wandb=studies: mode Input should be 'online' or 'offline'. " in message


@pytest.mark.parametrize("target", ["/studies", "a/b/c", "team/"])
def test_a_target_that_names_no_project(refusal: Callable[..., str], target: str) -> None:
    assert "must be PROJECT or ENTITY/PROJECT" in refusal(f"--wandb={target}")


def test_other_processes_log_nothing(
    wandb: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "on_first", lambda function: None)
    monkeypatch.setattr("sycojax.training.metrics.is_first", lambda: False)
    train(tmp_path, range(1, 3), 0, checkpoint=2)
    assert not wandb.started
    assert not (tmp_path / "wandb.json").exists()
