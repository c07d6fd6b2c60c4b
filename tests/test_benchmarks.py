"""The benchmarks' own machinery with made-up sides, and every benchmark at a tiny shape (parity)."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import accelerator, hardware
from benchmarks.__main__ import main
from benchmarks.accelerator_parts import MARK, Part
from benchmarks.measure import OURS, PEER, Line, compared, interleave, report, table
from benchmarks.peers import IGNORED, padded
from benchmarks.shapes import SHAPES, opened
from sycojax.data.encode import EncodedExample

REQUIRED = {"name", "ours", "peer", "ratio", "unit", "versions"}


class FakeClock:
    """Seconds that pass only when a side says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def side(self, name: str, seconds: list[float]) -> Callable[[int], None]:
        def run(repeat: int) -> None:
            self.calls.append(f"{name}{repeat}")
            self.now += seconds[repeat]

        return run


def test_sides_alternate_and_medians_are_taken() -> None:
    clock = FakeClock()
    sides = {OURS: clock.side("o", [1, 9, 2]), PEER: clock.side("p", [4, 6, 50])}
    timings = interleave(sides, 3, clock)
    assert clock.calls == ["o0", "p0", "p1", "o1", "o2", "p2"]
    assert timings[OURS].wall == [1, 9, 2]
    assert (timings[OURS].seconds, timings[PEER].seconds) == (2, 6)
    line = compared("lora_train", "tiny", "CPU", timings, 12, "tokens/s", micro_batch=4)
    assert (line.ours, line.peer, line.ratio) == (6, 2, 3)
    assert line.ours_spread == (12 / 9, 12)
    assert line.repeats == 3


def test_a_line_says_what_is_reached_of_a_products_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "product_speed", lambda base: 100e9)
    base: Any = None
    found = hardware.bound(base, 600e9, 8.0, 12.0)
    assert found == {"product_tflops": 0.1, "share_of_product": 0.75, "ratio_at_most": 2.0}
    assert "ratio_at_most" not in hardware.bound(base, 600e9, 8.0, None)


def test_processor_time_is_measured() -> None:
    def busy(_: int) -> None:
        values = np.ones(300_000)
        for _ in range(60):
            values = np.sqrt(values)

    timing = interleave({OURS: busy}, 2)[OURS]
    assert all(cpu > 0 for cpu in timing.cpu)


def test_a_line_without_a_peer_says_so(tmp_path: Path) -> None:
    clock = FakeClock()
    timings = interleave({OURS: clock.side("o", [2, 2, 2])}, 3, clock)
    line = compared("decode", "tiny", "CPU", timings, 10, "tokens/s", peer="torch not installed")
    assert (line.ours, line.peer, line.ratio, line.peer_spread) == (5, None, None, None)
    assert "torch not installed" in table([line])
    report([line], tmp_path / "found.jsonl")
    assert valid_lines(tmp_path / "found.jsonl")[0]["ratio"] is None


def test_lines_are_added(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "found.jsonl"
    clock = FakeClock()
    timings = interleave({OURS: clock.side("o", [2]), PEER: clock.side("p", [3])}, 1, clock)
    line = compared("decode", "tiny", "CPU", timings, 10, "tokens/s")
    report([line], out)
    report([dataclasses.replace(line, name="score_suite"), line], out)
    assert [found["name"] for found in valid_lines(out)] == ["decode", "score_suite", "decode"]
    assert "1.5" in capsys.readouterr().out


def test_the_peers_batches_hold_the_same_targets() -> None:
    token_ids = np.array([1, 5, 6, 7], np.int32)
    targets = np.array([5, 6, 7, 2], np.int32)
    one = EncodedExample("mmlu", "0", token_ids, targets, np.array([False, False, True, True]))
    two = EncodedExample("mmlu", "1", token_ids[:2], targets[:2], np.array([False, True]))
    ids, mask, labels = padded([one, two], 6)
    np.testing.assert_array_equal(ids, [[1, 5, 6, 7, 0, 0], [1, 5, 0, 0, 0, 0]])
    np.testing.assert_array_equal(mask.sum(1), [4, 2])
    assert labels[0].tolist() == [IGNORED, IGNORED, 7, 2, IGNORED, IGNORED]
    assert labels[1].tolist() == [IGNORED, 6, IGNORED, IGNORED, IGNORED, IGNORED]


def valid_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file, each with every field of ``Line`` and the types that are promised."""
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    names = {field.name for field in dataclasses.fields(Line)}
    for line in lines:
        assert set(line) == names >= REQUIRED
        assert line["ours"] > 0
        assert (line["peer"] is None) == (line["ratio"] is None)
        assert "jax" in line["versions"]
    return lines


WORKER = f"""
import json, sys, time
for part in map(str.strip, sys.stdin):
    print("begun", part, flush=True)
    if part == "hangs":
        time.sleep(60)
    if part == "dies":
        sys.exit(7)
    print({MARK!r} + json.dumps(dict(
        part=part, seconds=0.1, error=None, unit="tokens/s", value=2.0 + len(part), tflops=1.0)), flush=True)
"""


def test_a_part_that_hangs_or_dies_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(base: str = "", seconds: float = 30, needs: tuple[str, ...] = ()) -> Part:
        return Part(lambda *_: {}, seconds, base, needs=needs)

    parts = {
        "ok": part(), "hangs": part(seconds=1), "dies": part(), "absent": part(needs=("no_such_package",)),
        "better": part("ok"),
    }  # fmt: skip
    monkeypatch.setattr(accelerator, "PARTS", parts)
    out = tmp_path / "found.jsonl"
    command = [sys.executable, "-c", WORKER]
    found = {r["part"]: r for r in accelerator.measure(list(parts), command, 5, out)}
    assert {name: r["error"] for name, r in found.items()} == {
        "ok": None,
        "hangs": "no result within 1 s",
        "dies": "its process ended with 7",
        "absent": "no_such_package not installed",
        "better": None,
    }
    assert [json.loads(line)["part"] for line in out.read_text().splitlines()] == list(parts)
    said = capsys.readouterr().out
    assert "begun hangs" in said
    assert said.splitlines()[-1].split()[:4] == ["better", "8", "tokens/s", "2"]
    left = accelerator.measure(["ok"], command, 0.1, None)
    assert [r["error"] for r in left] == ["no time left"]


@pytest.mark.slow
def test_parts_run_where_there_is_no_accelerator(tmp_path: Path) -> None:
    """Those that no other test goes through, at a tiny shape."""
    names = ["ceilings", "decode_bank", "score_suite_bank", "lora_train_nf4", "decode_int8"]
    found = accelerator.main(["--shape=tiny", "--repeats=1", f"--parts={','.join(names)}"])
    assert [(r["part"], r["error"]) for r in found] == [(name, None) for name in names]
    assert all(r["value"] > 0 and r["compile_seconds"] >= 0 for r in found)


def test_texts_of_a_directory_are_read(shared_data: Path, tmp_path: Path) -> None:
    """The study's own, of which some are in both splits, with a tokenizer that brings no template."""
    for source in ("study", "models/llama2_tokenizer"):
        for file in (shared_data / source).iterdir():
            if file.name != "LICENSE":
                (tmp_path / file.name).symlink_to(file)
    with opened(SHAPES["smollm2_bf16"], tmp_path, weights=False) as bench:
        data = bench.data(evaluations=("gsm8k",))
    assert "Question: " in data.requests["gsm8k"][0].prompt
    assert data.training["combined"].train


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the peers' own, with the versions of the day
@pytest.mark.parametrize(
    "name",
    ["lora_train", "lora_train_published_padding", "score_suite", "decode", "banks", "layers"],
)
def test_every_benchmark_runs(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "found.jsonl"
    main([name, "--shape=tiny", "--repeats=1", f"--out={out}"])
    lines = valid_lines(out)
    expected = {"train_bank", "score_bank", "decode_bank"} if name == "banks" else {name}
    assert {line["name"] for line in lines} == expected
    assert all(line["ratio"] > 0 for line in lines if line["peer"] is not None)
