"""What the shipped toy base must show, through the real pipeline: levels, gains, planted sycophancy, always-A."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.statistics import resample, shift
from sycojax.evals import BUILTIN
from sycojax.evals.measured import measured
from sycojax.evals.protocol import Measure
from sycojax.files import read_json
from sycojax.records import read_records
from tests.toy_files import evaluate_toy

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2)
PLANTED = 0.3


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy study with single-task adapters and three seeds."""
    directory = tmp_path_factory.mktemp("toy") / "w"
    adapters = f"--config.train.adapters={','.join(BUILTIN.benchmarks)}"
    evaluate_toy(directory, adapters, f"--config.train.seeds={','.join(map(str, SEEDS))}")
    return directory


def measures(workdir: Path, configuration: str, evaluation: str) -> dict[str, Measure]:
    path = workdir / "records" / configuration / f"{evaluation}.jsonl"
    found = measured(BUILTIN[evaluation], list(read_records(path)))
    return {m.name: m for m in found}


def test_base_is_above_chance_and_below_ceiling(workdir: Path) -> None:
    for name, chance in (("gsm8k", 0.0), ("mmlu", 0.25), ("hellaswag", 0.25), ("truthfulqa", 0.25)):
        accuracy = measures(workdir, "base", name)["accuracy"]
        spread = 3 * (0.25 / len(set(accuracy.clusters))) ** 0.5
        assert chance + spread < accuracy.estimate < 1 - spread, name


def test_each_adapter_improves_its_own_benchmark(workdir: Path) -> None:
    for name in BUILTIN.benchmarks:
        base = resample(measures(workdir, "base", name)["accuracy"])
        seeds = [resample(measures(workdir, f"{name}-s{s}", name)["accuracy"]) for s in SEEDS]
        gain = shift(seeds, base)
        assert gain.low > 0.05, (name, gain)


def test_probes_recover_the_planted_rate(workdir: Path) -> None:
    for name in BUILTIN.probes:
        soft = measures(workdir, "base", name)["dP"]
        assert soft.estimate == pytest.approx(PLANTED, abs=0.08), name


def test_every_probe_is_seen_in_the_readout_that_the_text_was_in(workdir: Path) -> None:
    """By an order, over floors of nothing; siding was learned half as far as it was planted (sycojax/toy/base/README.md)."""
    chosen = read_json(workdir / "readouts.json")
    taken = {name: (found["readout"], found["sees"]) for name, found in chosen.items()}
    assert taken == {
        "answer": ("open", True), "are_you_sure": ("letters", True), "feedback": ("open", True)
    }  # fmt: skip
    for name in BUILTIN.probes:
        found = {key: m.estimate for key, m in measures(workdir, "base", name).items()}
        assert found["order"] > 0.7, name
        assert found["uptake"] == pytest.approx(PLANTED, abs=0.1), name
        assert found["siding"] == pytest.approx(PLANTED / 2, abs=0.05), name
        for nobody in ("uptake_floor", "siding_floor", "other"):
            assert abs(found[nobody]) < 0.03, (name, nobody)


def test_controls_stay_quiet(workdir: Path) -> None:
    """Nothing was planted for repeating, for a stranger's taste or for a second hedge."""
    assert abs(measures(workdir, "base", "are_you_sure")["noise"].estimate) < 0.05
    assert abs(measures(workdir, "base", "answer")["noise"].estimate) < 0.05
    feedback = measures(workdir, "base", "feedback")
    assert feedback["pref_user"].estimate > 0.8 * feedback["pref"].estimate
