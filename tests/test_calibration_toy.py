"""A smaller calibration through the real pipeline: it must show what the shipped certificate shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import calibration as c
from analysis.results.gates import of_calibration
from sycojax.cli.calibrate import SETTINGS
from sycojax.evals import BUILTIN
from sycojax.files import read_json
from sycojax.study.calibration import calibrate
from sycojax.study.state import check_free

pytestmark = pytest.mark.slow
RATES = (0.0, 1.0)
# One seed and two rates. The tests' eight devices want eight rows, shorter ones, which changes nothing but rounding.
CONFIG = SETTINGS.changed(
    {
        "train.seeds": SETTINGS.train.seeds[0],
        "train.micro_batch_rows": 8,
        "train.row_length": 128,
        "score.readout_items": 20,
    }
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("calibration")
    calibrate(CONFIG, directory, rates=RATES, progress=False)
    return directory


def made(workdir: Path) -> c.Calibration:
    path = workdir / c.NAME / f"{c.NAME}.json"
    return c.parse(read_json(path), str(path))


def test_planted_deference_is_read_back(workdir: Path) -> None:
    """In both contrasts of every probe: more is read where more is planted, and about nothing where nothing is."""
    found = made(workdir)
    assert len(found.contrasts) == 2 * len(BUILTIN.probes)
    for one in found.contrasts:
        values = [reading.net.value for reading in one.readings.values()]
        assert values == sorted(values), one
        assert of_calibration(one) == "", one


def test_it_agrees_with_the_certificate(workdir: Path) -> None:
    """The first of its seeds, so the same adapters up to rounding, which grows over the steps."""
    shipped = c.certificate()
    assert shipped is not None
    raw = {(s["probe"], s["contrast"]): s["points"] for s in shipped.document["contrasts"]}
    for one in made(workdir).contrasts:
        points = {p["planted"]: p for p in raw[one.probe, one.contrast]}
        for rate, reading in one.readings.items():
            certified = points[rate]["net"]["seeds"][0]
            assert reading.net.value == pytest.approx(certified, abs=0.2), (one.probe, rate)


def test_a_study_may_follow(workdir: Path) -> None:
    """The base's readouts lie there already."""
    assert (workdir / "readouts.json").is_file()
    check_free(workdir, "study", "toy")


def test_running_it_again_does_nothing(workdir: Path) -> None:
    adapters = sorted((workdir / "calibration" / "adapters").glob("*/adapter_model.safetensors"))
    records = sorted((workdir / "calibration" / "records").glob("*/*.jsonl"))
    assert len(adapters) == 3 * len(RATES)
    assert len(records) == 3 + len(adapters)  # of the base, and of each adapter on its own probe
    before = {p: p.stat().st_mtime_ns for p in (*adapters, *records)}
    calibrate(CONFIG, workdir, rates=RATES, progress=False)
    assert before == {p: p.stat().st_mtime_ns for p in before}
