"""``sycojax plan --adapters=N``: tokens, hours and memory of many adapters, by hand count."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import jax
import pytest

from sycojax.cli import main
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.models.base import abstract_base
from sycojax.planning import scale
from sycojax.planning.hardware import CHIPS, GIB
from sycojax.planning.shapes import SHAPES
from sycojax.planning.topology import parse
from sycojax.toy import base_directory
from sycojax.training.layout import laid_out
from sycojax.weights.frozen import compute_of
from sycojax.weights.huggingface import load_config
from sycojax.weights.precision import settled

CONFIG = Path(__file__).parent.parent / "configs" / "llama2_7b.py"


def found(topology: str, adapters: int, **changes: Any) -> scale.Scale:
    config = StudyConfig.from_config_dict(runpy.run_path(str(CONFIG))["get_config"]())
    return scale.scale(
        config.changed({"base.path": "no/base", **changes}),
        SHAPES["llama3.1_8b"],
        "8b",
        parse(topology),
        adapters,
    )


def test_hours_by_hand() -> None:
    """There is no such base, so the published study's counts stand for it."""
    one = found("gpu:H200x8", 1000)
    assert "not counted: no/base" in one.counted
    train, score, decode = one.stages
    # 2,286 tokens a step fill five rows of 512, and a pass has one row for each of 8 chips.
    assert train.tokens == 1000 * 283 * 8 * 512
    n, a, attention = 7_504_658_432, 41_943_040, 4 * 32 * 4096 * 256
    per_token = 4 * n + 6 * a + 3 * attention + 2 * (n - 128_256 * 4096) + 2 * a + attention
    assert train.hours == pytest.approx(
        train.tokens * per_token / (8 * CHIPS["H200"].flops * 0.4) / 3600
    )
    # The base is asked as well.
    assert score.tokens == 1001 * 3_207_000
    assert decode.tokens == 1001 * 142_000
    assert one.hours == pytest.approx(train.hours + score.hours + decode.hours)
    assert found("gpu:H200x8", 2000).stages[0].hours == pytest.approx(2 * train.hours)


def test_memory_by_sizes() -> None:
    """A tenth of the memory holds adapters; the rest of what decoding needs says how many go through one pass."""
    one = found("v5e:2x4", 1000)
    base, training, held, layers, caches = one.memory.values()
    assert base == pytest.approx(2 * 8_030_261_248 / 4, rel=1e-3)  # fsdp 4, norms whole
    assert training == 5 * 4 * 41_943_040
    assert 0.09 < held / CHIPS["v5e"].limit <= 0.1
    assert one.width == 3
    assert caches == 3 * 64 * 1024 * 2 * 32 * 8 * 128 * 2 / 8
    assert base + held + layers + caches < CHIPS["v5e"].limit
    assert sum(found("v5e:1x1", 10).memory.values()) > 16 * GIB


# Those that are named after a benchmark differ from llama2_7b.py in what they train on.
CONFIGS = ("llama2_7b", "llama2_7b_16gb", "llama2_7b_published", "measure", "smollm2", "toy")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_a_layout_wherever_it_runs(name: str) -> None:
    """Without a word about mesh or micro-batch: on eight CPU devices, and by arithmetic on slices and GPUs."""
    file = CONFIG.with_name(f"{name}.py")
    config = StudyConfig.from_config_dict(runpy.run_path(str(file))["get_config"]())
    config = settled(config.changed({"base.path": "no/base"}))
    c = load_config(base_directory()) if name in ("toy", "smollm2") else SHAPES["llama2_7b"]
    compute = compute_of(config, c, jax.devices())
    assert laid_out(config.train, compute).micro_batch_rows == 8
    abstract_base(c, config.lora, compute)
    quantized = config.base.quantization != "none"
    for topology, fits in (("v5e:2x4", True), ("v5e:1x1", quantized), ("gpu:H200", True)):
        one = scale.scale(config, c, "", parse(topology), 3)
        assert (one.stages[0].name == "train") == bool(config.train.adapters)
        if c == SHAPES["llama2_7b"] and name != "llama2_7b_published":
            assert (sum(one.memory.values()) <= one.chip.limit) == fits, topology


def test_what_is_printed(capsys: pytest.CaptureFixture[str], refused: Any, tmp_path: Path) -> None:
    flags = ("plan", f"--config={CONFIG}", "--shape=llama3.1_8b", "--adapters=1000")
    assert main((*flags, "--topology=v5e:1x1")) == 0
    out = capsys.readouterr().out
    assert "N = 7,504,658,432 weights" in out
    assert "not measured" in out
    assert ": does not fit" in out
    assert max(map(len, out.splitlines())) <= 180
    assert "needs a machine of which figures are known" in refused(*flags, "--topology=cpu:8")
    with pytest.raises(SycojaxError, match="does not use the 8 devices"):
        found("v5e:2x4", 10, **{"mesh.fsdp": 3})
