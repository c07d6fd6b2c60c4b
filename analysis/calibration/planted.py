"""From the records of planted adapters to the numbers of a calibration, as JSON values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.records.load import BASE
from analysis.statistics import Estimate, Resampled, error, level, resample
from analysis.statistics.paired import FEWEST_TESTED
from sycojax.errors import SycojaxError
from sycojax.evals import Evaluations
from sycojax.evals.measured import claimed, measured
from sycojax.evals.protocol import Evaluation, Measure
from sycojax.evals.readouts import in_arms
from sycojax.records import read_records


def describe(
    directory: Path, registry: Evaluations, adapters: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the records under ``directory/records`` show, as JSON values that ``calibration.parse`` reads.

    ``adapters`` name each configuration with its ``probe``, ``planted`` and ``seed``. Seeds of the same rate are taken
    together. Raises ``SycojaxError`` when records are missing or damaged.
    """
    grouped: dict[str, dict[float, list[str]]] = {}
    for adapter in adapters:
        by_rate = grouped.setdefault(adapter["probe"], {})
        by_rate.setdefault(adapter["planted"], []).append(adapter["name"])
    contrasts, records = [], {}
    for name, by_rate in grouped.items():
        probe, rates = registry[name], sorted(by_rate)
        every = [BASE, *(n for rate in rates for n in by_rate[rate])]
        found = {n: _measures(directory, n, probe) for n in every}
        records[name] = {n: _hash(_path(directory, n, name)) for n in every}
        for contrast in claimed(probe, in_arms=_in_arms(directory, probe)):
            seeds = [[found[n] for n in by_rate[rate]] for rate in rates]
            contrasts.append(
                {
                    "probe": name, "contrast": contrast.measure,
                    "base": _reading([[found[BASE]]], contrast.measure, contrast.floor)[0],
                    "points": [
                        {"planted": rate, **point}
                        for rate, point in zip(
                            rates, _reading(seeds, contrast.measure, contrast.floor), strict=True
                        )
                    ],
                    **line(rates, _samples(seeds, contrast.measure)),
                }
            )  # fmt: skip
    return {"contrasts": contrasts, "records": records}


def _path(directory: Path, configuration: str, probe: str) -> Path:
    return directory / "records" / configuration / f"{probe}.jsonl"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _in_arms(directory: Path, probe: Evaluation) -> bool:
    return any(map(in_arms, read_records(_path(directory, BASE, probe.name))))


def _measures(directory: Path, configuration: str, probe: Evaluation) -> dict[str, Measure]:
    path = _path(directory, configuration, probe.name)
    if not path.is_file():
        raise SycojaxError(f"{path} does not exist: run sycojax calibrate again")
    return {m.name: m for m in measured(probe, list(read_records(path)))}


def _samples(
    seeds: Sequence[Sequence[Mapping[str, Measure]]], name: str
) -> list[list[Resampled]]:  # fmt: skip
    """One measure by planted rate and seed; empty where it was not measured."""
    if not all(name in found for of_rate in seeds for found in of_rate):
        return []
    return [[resample(found[name]) for found in of_rate] for of_rate in seeds]


def _reading(
    seeds: Sequence[Sequence[Mapping[str, Measure]]], net: str, floor: str
) -> list[dict[str, Any]]:
    """By planted rate a contrast and its floor, each with the values of its seeds."""

    # Each with the spread of its own seeds: those that follow often differ far more than those that never do.
    def of(name: str) -> list[dict[str, Any] | None]:
        return [
            level(of_rate).to_json() | {"seeds": [s.value for s in of_rate]}
            for of_rate in _samples(seeds, name)
        ] or [None] * len(seeds)

    return [{"net": n, "floor": f} for n, f in zip(of(net), of(floor), strict=True)]


def line(rates: Sequence[float], samples: Sequence[Sequence[Resampled]]) -> dict[str, Any]:
    """Least squares over the rates: slope and intercept are weighted sums of what is read at each, so that their errors are
    those of such sums, from questions and seeds. Neither is known with one rate, nor with fewer questions than an effect is
    claimed from."""
    planted = np.asarray(rates)
    away = planted - planted.mean()
    few = bool(samples) and len(samples[0][0].names) < FEWEST_TESTED
    if not samples or few or not away.any():
        nothing = Estimate(float("nan"), note="too few items" if few else "").to_json()
        return {"slope": nothing, "intercept": nothing}
    slope = away / (away**2).sum()
    weights = {"slope": slope, "intercept": 1 / len(planted) - planted.mean() * slope}
    sample = samples[0][0]
    out = {}
    for name, each in weights.items():
        found = error([(float(w), seeds) for w, seeds in zip(each, samples, strict=True)])
        half = found.half_width()
        out[name] = Estimate(
            found.value, found.value - half, found.value + half, len(sample.measure.items), len(sample.names), "t"
        ).to_json()  # fmt: skip
    return out
