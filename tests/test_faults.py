"""What docs/faults.md says of stops, tried on processes of their own; and what of it takes no second."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from sycojax.errors import SycojaxError
from sycojax.study.workdir import alone

REPOSITORY = Path(__file__).resolve().parent.parent
STUDY = (
    "study", "--config=configs/toy.py", "--config.data.test_limit=24", "--config.data.probe_limit=12",
    "--config.data.train_limit=60", "--config.train.epochs=2", "--config.train.adapters=gsm8k,mmlu",
    "--config.train.seeds=0", "--config.score.decode_batch=4", "--config.score.batch_tokens=1024",
    "--config.score.bank_width=2", "--config.score.readout_items=2",
    "--config.score.evaluations=gsm8k,mmlu,hellaswag,truthfulqa,answer,feedback",
)  # fmt: skip
# Facts of a run, which is not the same run when it was stopped.
OF_THE_RUN = {"scoring.csv", "seconds.csv", "work.csv"}


def started(cache: Path, workdir: Path, limit: int = 0) -> subprocess.Popen[str]:
    """The study as a process; ``limit`` bytes are the most that one of its files may have."""
    environment = {
        **os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
    }  # fmt: skip

    process = subprocess.Popen(
        [sys.executable, "-m", "sycojax", *STUDY, f"--workdir={workdir}"],
        cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if limit:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its status, and the last line that it said: of its own where there is one, as threads of other packages go on printing."""
    _, said = process.communicate(timeout=600)
    assert not re.search(r'File "[^"]*/(sycojax|analysis)/', _ours(said)), said
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    return process.returncode, ([n for n in lines if n.startswith("sycojax: ")] or lines)[-1]


def _ours(said: str) -> str:
    """Without an interrupt that Python drops."""
    block = r"Traceback \(most recent call last\):\n(?:  .*\n)+"
    return re.sub(rf"Exception ignored in.*\n{block}\n?KeyboardInterrupt.*\n", "", said)


def results(workdir: Path) -> Mapping[str, bytes]:
    """Every record, adapter and table, byte by byte."""
    found = {
        str(path.relative_to(workdir)): path.read_bytes()
        for part in ("records", "adapters", "report/tables")
        for path in (workdir / part).rglob("*.*")
        if path.is_file() and path.name not in OF_THE_RUN
    }
    assert len(found) > 50
    return found


class Undisturbed(NamedTuple):
    cache: Path  # of compiled programs
    results: Mapping[str, bytes]  # what the study comes to
    seconds: float  # that it took, compilation included


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root, began = tmp_path_factory.mktemp("undisturbed"), time.monotonic()
    assert ended(started(root / "cache", root / "w"))[0] == 0
    return Undisturbed(root / "cache", results(root / "w"), time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stops_at_random_moments_change_nothing(
    undisturbed: Undisturbed, tmp_path: Path, kind: signal.Signals
) -> None:
    """The same command again and again; those that end before their signal has come are left to end."""
    cache, expected, seconds = undisturbed
    draw, workdir, stops = random.Random(kind), tmp_path / "w", 0
    for _ in range(12):
        process = started(cache, workdir)
        try:
            process.wait(
                draw.uniform(0.1, 0.35) * seconds
            )  # with its programs compiled it is faster
        except subprocess.TimeoutExpired:
            process.send_signal(kind)
            asked = time.monotonic()
            status, said = ended(process)
            if status == 0:  # the interrupt came into a callback, where Python drops it
                break
            assert time.monotonic() - asked < 30
            stops += 1
            # Outside training and scoring nothing is lost, and SIGTERM ends the process as it does any other.
            saved = {signal.SIGKILL: -9, signal.SIGTERM: 2, signal.SIGINT: 130}[kind]
            assert status in (saved, -kind)
            if status > 0:
                assert said.endswith(("again to continue", "interrupted")), said
        else:
            assert ended(process)[0] == 0
            break
    status, said = ended(started(cache, workdir))
    assert status == 0, said
    assert stops
    assert results(workdir) == expected
    assert not (workdir / "scoring.jsonl").exists()
    assert not list(workdir.glob("training/*/*/checkpoints"))


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """One line wherever it happens: in the answers so far, or in a checkpoint, which other threads write."""
    cache, expected, _ = undisturbed
    for limit, what in ((40_000, "readouts"), (330_000, "a checkpoint")):
        status, said = ended(started(cache, tmp_path / "w", limit))
        assert status == 2
        assert said.startswith("sycojax: cannot write ")
        assert what in said
        assert said.endswith("File too large")
    assert ended(started(cache, tmp_path / "w"))[0] == 0
    assert results(tmp_path / "w") == expected


@pytest.mark.slow
def test_a_second_run_is_refused(undisturbed: Undisturbed, tmp_path: Path) -> None:
    cache, expected, _ = undisturbed
    first = started(cache, tmp_path / "w")
    while not (tmp_path / "w" / "items").exists():
        assert first.poll() is None
        time.sleep(0.05)
    status, said = ended(started(cache, tmp_path / "w"))
    assert (status, said.startswith("sycojax: another run works in ")) == (2, True)
    assert ended(first)[0] == 0
    assert results(tmp_path / "w") == expected


def test_a_workdir_is_locked_while_a_run_is_in_it(tmp_path: Path) -> None:
    with alone(tmp_path / "w"):
        with (
            pytest.raises(SycojaxError, match=r"another run works in .*: wait"),
            alone(tmp_path / "w"),
        ):
            raise AssertionError("both are in it")
        assert not list((tmp_path / "w").iterdir()), "nothing is left behind"
    with alone(tmp_path / "w"):
        pass
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(SycojaxError, match=r"cannot create .*: Not a directory"),
        alone(tmp_path / "file" / "w"),
    ):
        pass
