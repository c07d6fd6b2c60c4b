"""The profiler window: it holds the steps that were asked for and changes nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from training_cases import CONFIG, make_base, make_jobs

from sycojax.errors import SycojaxError
from sycojax.parallel.profile import ProfileWindow
from sycojax.training.loop import train_bank
from sycojax.training.tracking import Tracking

pytestmark = pytest.mark.usefixtures("quick_compilation")

TOY = f"--config={Path(__file__).parent.parent / 'configs' / 'toy.py'}"


def test_the_window_is_traced_and_changes_nothing(tmp_path: Path) -> None:
    base, jobs = make_base(), make_jobs()[:1]
    window = ProfileWindow("2:3", tmp_path / "profile")
    tracking = Tracking(profile=window)
    (tracked,) = train_bank(base, jobs, CONFIG, tmp_path / "a", tracking=tracking)
    (plain,) = train_bank(base, jobs, CONFIG, tmp_path / "b")
    jax.tree.map(np.testing.assert_array_equal, tracked.lora, plain.lora)
    assert window.outcome() == str(tmp_path / "profile")
    assert steps(tmp_path / "profile") == {("train", "2"), ("train", "3")}


def steps(directory: Path) -> set[tuple[str, str]]:
    """(name, number) of the steps in the trace below ``directory``."""
    (trace,) = directory.rglob("*.trace.json.gz")
    assert list(trace.parent.glob("*.xplane.pb")), "what TensorBoard's profile plugin reads"
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return {(e["name"], e["args"]["step_num"]) for e in events if "step_num" in e.get("args", {})}


def test_a_trace_ends_with_the_run_that_fails(tmp_path: Path) -> None:
    window = ProfileWindow("1:5", tmp_path)
    window.begin(0, 5)
    with window.step(1, ()):
        pass
    window.close()
    assert list(tmp_path.rglob("*.xplane.pb"))
    with window.step(1, ()):
        pass  # done is done: the next bank has a step 1, too
    window.close()


def test_a_continued_run_is_past_the_window(tmp_path: Path) -> None:
    window = ProfileWindow("2:3", tmp_path)
    with pytest.warns(UserWarning, match="training continues behind step 50"):
        window.begin(50, 90)
    with window.step(51, ()):
        window.end(51, ())
    assert "nothing was traced" in window.outcome()


def test_a_window_behind_the_last_step(tmp_path: Path) -> None:
    with pytest.raises(SycojaxError, match="the first adapters to train have 45 steps"):
        ProfileWindow("45:46", tmp_path).begin(0, 45)


@pytest.mark.parametrize("window", ["5", "0:3", "4:3", "a:b", "1:2:3", "-1:2", "score:1:2"])
def test_what_is_no_window(window: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    workdir = tmp_path / "w"
    said = refused("train", TOY, f"--workdir={workdir}", f"--profile={window}")
    assert f"--profile={window} must be START:STOP" in said
    assert not workdir.exists()


def test_processes_of_one_host_do_not_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax.profiler, "start_trace", places.append)
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: None)
    window = ProfileWindow("1:1", tmp_path)
    window.begin(0, 1)
    with window.step(1, ()):
        window.end(1, ())
    assert places == [tmp_path / "process-1"]
