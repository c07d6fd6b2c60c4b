"""``base.dtype="auto"``: what it stands for on which devices, and that a workdir keeps what it was begun in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import pytest

from sycojax.config import BaseConfig, DataConfig, StudyConfig
from sycojax.errors import SycojaxError
from sycojax.files import read_json, write_json
from sycojax.study.run import run
from sycojax.weights import precision
from sycojax.weights.precision import faster, settled

AUTO = StudyConfig(base=BaseConfig(dtype="auto"))


@dataclasses.dataclass
class _Device:
    platform: str
    compute_capability: str = ""


@pytest.mark.parametrize(
    ("flags", "version", "device", "expected"),
    [
        ("fpu avx512_bf16 amx_tile", (0, 11, 2), _Device("cpu"), "bfloat16"),
        ("fpu amx_bf16", (0, 12, 0, 1), _Device("cpu"), "bfloat16"),
        ("fpu avx512_bf16", (0, 10, 2), _Device("cpu"), "float32"),
        ("fpu avx512f avx512_bf16x", (0, 12, 0), _Device("cpu"), "float32"),
        (None, (0, 12, 0), _Device("cpu"), "float32"),  # no Linux
        ("fpu", (0, 10, 2), _Device("tpu"), "bfloat16"),
        ("fpu", (0, 10, 2), _Device("gpu", "9.0"), "bfloat16"),
        ("fpu", (0, 10, 2), _Device("gpu", "7.5"), "float32"),
        ("fpu", (0, 10, 2), _Device("gpu", "gfx90a"), "bfloat16"),
    ],
)
def test_what_is_faster_follows_from_device_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, version: tuple[int, ...], device: Any, expected: str
) -> None:  # fmt: skip
    processor = tmp_path / "cpuinfo"
    if flags is not None:
        processor.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "_PROCESSOR", processor)
    monkeypatch.setattr(jax, "__version_info__", version)
    assert faster([device]) == expected


def test_a_workdir_keeps_what_it_was_begun_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = dataclasses.replace(
        AUTO, data=DataConfig(train_limit=20, test_limit=2, probe_limit=2, max_length=128)
    )
    found = ["bfloat16"]
    monkeypatch.setattr(precision, "faster", lambda devices: found[0])
    run(study, tmp_path, until="data", progress=False, say=lambda line: None)
    assert read_json(tmp_path / "study.json")["config"]["base"]["dtype"] == "bfloat16"
    found[0] = "float32"  # continued on another machine
    assert settled(study, tmp_path).base.dtype == "bfloat16"
    assert settled(study, tmp_path / "another").base.dtype == "float32"
    write_json(tmp_path / "study.json", {"config": {}})
    assert settled(study, tmp_path).base.dtype == "float32"
    named = study.changed({"base.dtype": "float32"})
    assert settled(named, tmp_path) is named, "asked for by name"
    assert settled(study, accelerator=True).base.dtype == "bfloat16"


def test_what_is_not_settled_is_not_computed() -> None:
    with pytest.raises(SycojaxError, match=r"base\.dtype=auto is not settled"):
        _ = AUTO.base.computed_in


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_study_multiplies_float32_as_it_is(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that a library call runs: accelerators would round it."""

    def products() -> str | None:
        return jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]

    found, before = [], products()

    def load(*_: Any, **__: Any) -> None:
        found.append(products())
        raise SycojaxError("seen")

    monkeypatch.setattr("sycojax.study.run.load_frozen", load)
    study = AUTO.changed({"base.dtype": dtype, "data.train_limit": 20, "data.probe_limit": 2})
    with pytest.raises(SycojaxError, match="seen"):
        run(study, tmp_path, progress=False)
    assert found == ["highest" if dtype == "float32" else before]
