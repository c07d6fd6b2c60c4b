"""Two processes of four devices give what one process of eight gives, through a SIGTERM of one and a SIGKILL of both."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import distributed_cases as cases
import jax
import numpy as np
import pytest
import safetensors.numpy

from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.parallel.distributed import detected, initialize
from sycojax.parallel.mesh import make_mesh
from sycojax.parallel.preemption import Preemption
from sycojax.records import Record, read_records

CONFIGURATIONS = ("base", "mmlu-s0")
SLURM = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    config = cases.write_inputs(tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    study = ("evaluate", f"--config={config}", "--quiet")
    with cases.started(1, tmp_path / "one.log", *study, f"--workdir={one}") as reference:
        log = tmp_path / "stopped.log"
        at = cases.At(2, signal.SIGTERM, (1,))
        with cases.started(2, log, *study, f"--workdir={two}", at=at) as stopped:
            said = cases.finish(stopped, log, status=2)
        # Heard in step 3, known to both one step later.
        assert all("stopped by SIGTERM after step 4 of" in text for text in said), said
        (saved,) = two.glob("training/*/mmlu-s0/checkpoints")
        assert (saved / "4").is_dir()

        _killed(6, tmp_path / "killed.log", *study, f"--workdir={two}")
        assert (saved / "4").is_dir()
        assert not (two / "adapters").exists()

        log = tmp_path / "resumed.log"
        with cases.started(2, log, *study, f"--workdir={two}") as resumed:
            said = cases.finish(resumed, log)
        assert "records   2 configurations on 2 evaluations" in said[0]
        assert "records" not in said[1], "only the first process talks"
        alone = cases.finish(reference, tmp_path / "one.log")

    # Every matrix is split over both processes, and every norm (2 in each of 2 layers, and the last) is whole on both.
    norms = 5 * cases.HIDDEN * 4
    whole, first, second = (_weights_read(text) for text in (*alone, *said))
    # The first process also looks at a few rows of every tensor, to tell which weights these are.
    fingerprint = first - second
    assert 0 < fingerprint < whole // 40
    assert second == norms + (whole - fingerprint - norms) // 2

    expected, found = _metrics(one), _metrics(two)
    assert len(expected) > 6
    assert [line["step"] for line in found] == [*range(1, len(expected) + 1)]
    for a, b in zip(expected, found, strict=True):
        for name in {"loss", "grad_norm", "learning_rate", "validation_loss"} & a.keys():
            assert b[name] == pytest.approx(a[name], rel=1e-5), (a["step"], name)
    adapters = [_adapter(workdir) for workdir in (one, two)]
    assert adapters[0].keys() == adapters[1].keys()
    for name, value in adapters[0].items():
        np.testing.assert_allclose(adapters[1][name], value, rtol=0, atol=2e-5, err_msg=name)
    for configuration in CONFIGURATIONS:
        for evaluation in ("gsm8k", "are_you_sure"):
            file = Path("records") / configuration / f"{evaluation}.jsonl"
            pairs = zip(read_records(one / file), read_records(two / file), strict=True)
            assert sum(_same(a, b) for a, b in pairs) > 0
    first, second = (
        list(read_records(two / "records" / c / "are_you_sure.jsonl")) for c in CONFIGURATIONS
    )
    assert first[0].logprobs != second[0].logprobs, "the adapter does something"
    names = [sorted(str(p.relative_to(w)) for p in w.rglob("*")) for w in (one, two)]
    assert _without_events(names[1]) == _without_events(names[0])


@pytest.mark.slow
def test_a_sweep_of_two_processes_equals_one(tmp_path: Path) -> None:
    """Lanes of one bank over both processes, one of which diverges; killed, and continued by the same command."""
    config = cases.write_inputs(tmp_path)
    sweep = [*({"train.learning_rate": rate} for rate in (1e-2, 1e30, 3e-3)), {"data.train_limit": 1}]  # fmt: skip
    with config.open("a") as file:
        file.write(f"\n\ndef get_sweep():\n    return {sweep!r}\n")
    one, two = tmp_path / "one", tmp_path / "two"
    command = ("sweep", f"--config={config}", "--config.train.bank_width=3", "--config.score.evaluations=are_you_sure", "--quiet")  # fmt: skip
    with cases.started(1, tmp_path / "one.log", *command, f"--workdir={one}") as reference:
        _killed(2, tmp_path / "killed.log", *command, f"--workdir={two}")
        assert not list(two.glob("cells/*/adapters"))

        log = tmp_path / "resumed.log"
        with cases.started(2, log, *command, f"--workdir={two}") as resumed:
            said = cases.finish(resumed, log, status=2)
        (alone,) = cases.finish(reference, tmp_path / "one.log", status=2)

    failures = [re.findall(r"^sycojax: .*of the sweep failed: .*", t, re.M) for t in (alone, *said)]
    assert len(failures[0]) == 1
    assert "2 of 4 cells" in failures[0][0]
    assert failures == [failures[0]] * 3
    assert "report    " in said[0]
    assert "report    " not in said[1], "only the first process writes"
    cells = [read_json(w / "sweep.json")["cells"] for w in (one, two)]
    assert cells[0] == cells[1]
    found = [_adapter(two / "cells" / cell["name"]) for cell in (cells[0][0], cells[0][2])]
    for cell, adapter in zip((cells[0][0], cells[0][2]), found, strict=True):
        here, there = (w / "cells" / cell["name"] for w in (one, two))
        for name, value in _adapter(here).items():
            np.testing.assert_allclose(adapter[name], value, rtol=0, atol=2e-5, err_msg=name)
        for file in sorted(here.glob("records/*/*.jsonl")):
            other = there / file.relative_to(here)
            pairs = zip(read_records(file), read_records(other), strict=True)
            assert sum(_same(a, b) for a, b in pairs) > 0
    assert any(np.abs(found[0][name] - found[1][name]).max() > 1e-3 for name in found[0])
    names = [sorted(str(p.relative_to(w)) for p in w.rglob("*")) for w in (one, two)]
    assert _without_events(names[1]) == _without_events(names[0])


def _killed(step: int, log: Path, *arguments: str) -> None:
    """Two processes, killed while they save at ``step``."""
    at = cases.At(step, signal.SIGKILL, (0, 1))
    with cases.started(2, log, *arguments, at=at) as killed:
        deadline = time.monotonic() + cases.PATIENCE
        while all(p.poll() is None for p in killed) and time.monotonic() < deadline:
            time.sleep(0.1)
        # Whichever of them is still there is killed on the way out.
    said = "\n".join(file.read_text() for file in sorted(log.iterdir()))
    assert {p.returncode for p in killed} == {-9}, said


def _weights_read(text: str) -> int:
    (found,) = re.findall(r"weights read: (\d+) bytes", text)
    return int(found)


def _same(a: Record, b: Record) -> bool:
    assert (a.key, a.n_tokens, a.text, a.finished) == (b.key, b.n_tokens, b.text, b.finished)
    np.testing.assert_allclose(b.logprobs, a.logprobs, rtol=1e-5, atol=1e-4)
    return True


def _metrics(workdir: Path) -> list[dict[str, Any]]:
    (file,) = workdir.glob("training/*/mmlu-s0/metrics.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def _adapter(workdir: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(workdir / "adapters/mmlu-s0/adapter_model.safetensors")


def _without_events(names: list[str]) -> list[str]:
    return [name for name in names if "tfevents" not in name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1234", None, None), "--processes=N and --process=I missing"),
        (("", 2, 0), "--coordinator=HOST:PORT missing"),
        (("", None, 0), "--coordinator=HOST:PORT and --processes=N missing"),
        (("host:1234", 2, 2), "numbered from 0"),
        (("host:1234", 0, 0), "numbered from 0"),
        (("host", 2, 0), "must be HOST:PORT"),
        (("host:port", 2, 0), "must be HOST:PORT"),
    ],
)
def test_half_given_flags(arguments: Any, message: str) -> None:
    with pytest.raises(SycojaxError, match=message):
        initialize(*arguments)


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        ({}, ""),
        (SLURM, "Slurm"),
        ({**SLURM, "SLURM_NTASKS": "1"}, ""),
        ({"SLURM_NTASKS": "4"}, ""),  # an allocation, outside any step
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://h:1", "OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, ""),
        ({"MEGASCALE_NUM_SLICES": "2"}, "TPU"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, "Kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ""),
    ],
)
def test_launchers(environment: dict[str, str], launcher: str) -> None:
    assert detected(environment) == launcher


def test_slurm_joins_its_tasks() -> None:
    """Two processes with the variables of a Slurm step and nothing else."""
    program = (
        "import jax\n"
        "from sycojax.parallel.distributed import initialize, on_first, shutdown\n"
        "initialize()\n"
        "print(jax.process_index(), jax.process_count(), on_first(lambda: 7))\n"
        "shutdown()\n"
    )
    # JAX derives the coordinator's port from the job's number.
    job, node = str(os.getpid()), "127.0.0.1"
    slurm = {"SLURM_JOB_ID": job, "SLURM_STEP_NODELIST": node, "SLURM_NTASKS": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={
                **os.environ, **slurm, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n),
                "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(cases.REPOSITORY),
            },
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=cases.PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [text.splitlines()[-1:] for text, _ in said] == [["0 2 7"], ["1 2 7"]], said


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        (
            SLURM,
            ("", None, None),
            r"Slurm started several .* cannot be joined \(late\); give --coo",
        ),
        ({}, ("host:1234", 2, 1), r"joined \(late\); is process 0 running, .* at host:1234\?"),
    ],
)
def test_processes_that_cannot_be_joined(
    environment: dict[str, str], arguments: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    late = Mock(side_effect=RuntimeError("late\nwith a trace"))
    monkeypatch.setattr(jax.distributed, "initialize", late)
    with pytest.raises(SycojaxError, match=message):
        initialize(*arguments)


def test_all_processes_stop_at_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of several processes heard is known to all in the step after."""
    with Preemption(make_mesh()) as stop:
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        assert [stop(), stop()] == ["", ""]
        signal.raise_signal(signal.SIGTERM)
        assert [stop(), stop()] == ["", "SIGTERM"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
