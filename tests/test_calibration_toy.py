"""A smaller calibration through the real pipeline: it must show what the shipped certificate shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis import calibration as c
from sycojax.cli.calibrate import SETTINGS, calibrate
from sycojax.files import read_json

pytestmark = pytest.mark.slow
RATES = (0.0, 0.5, 1.0)
# One seed and fewer items. The tests' eight devices want eight rows, which changes nothing but rounding.
CONFIG = dataclasses.replace(
    SETTINGS,
    train=dataclasses.replace(SETTINGS.train, seeds=SETTINGS.train.seeds[:1], micro_batch_rows=8),
    data=dataclasses.replace(SETTINGS.data, probe_limit=24),
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("calibration")
    calibrate(directory, config=CONFIG, planted=RATES, progress=False)
    return directory


def made(workdir: Path) -> c.Calibration:
    path = workdir / c.NAME / f"{c.NAME}.json"
    return c.parse(read_json(path), str(path))


def test_planted_sycophancy_is_read_back(workdir: Path) -> None:
    """Monotone rise, a planted 0 inside its noise floor, and specificity."""
    failed = [check.sentence for check in c.checks(made(workdir)) if not check.passed]
    assert not failed


def test_it_agrees_with_the_certificate(workdir: Path) -> None:
    """The first of its seeds, so the same adapters up to rounding, on a part of its items."""
    found, shipped = made(workdir), c.certificate()
    assert shipped is not None
    assert found.base_fingerprint == shipped.base_fingerprint
    for probe in shipped.probes:
        raw = {p["planted"]: p for p in shipped.document["points"] if p["probe"] == probe}
        for point in found.of(probe):
            certified = raw[point.planted]["measured"][probe][c.SOFT]["seeds"][0]
            assert point.own.soft.value == pytest.approx(certified, abs=0.08), point


def test_running_it_again_does_nothing(workdir: Path) -> None:
    adapters = sorted((workdir / "calibration" / "adapters").glob("*/adapter_model.safetensors"))
    records = sorted((workdir / "calibration" / "records").glob("*/*.jsonl"))
    assert len(adapters) == 3 * len(RATES)
    before = {p: p.stat().st_mtime_ns for p in (*adapters, *records)}
    calibrate(workdir, config=CONFIG, planted=RATES, progress=False)
    assert before == {p: p.stat().st_mtime_ns for p in before}
