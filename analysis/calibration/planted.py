"""From the records of planted adapters to the numbers of a calibration, as JSON values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.calibration import FLOOR, SOFT
from analysis.records.load import BASE
from analysis.statistics import LEVEL, Estimate, Resampled, level, pooled_spread, resample
from sycojax.errors import SycojaxError
from sycojax.evals import Evaluations
from sycojax.evals.protocol import Evaluation, Measure
from sycojax.records import read_records


def describe(
    directory: Path, registry: Evaluations, adapters: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the records under ``directory/records`` show, as JSON values that ``calibration.parse`` reads.

    ``adapters`` name each configuration with its ``probe``, ``planted`` and ``seed``. Seeds of the same rate are taken
    together, their spread pooled over the rates of a probe. Raises ``SycojaxError`` when records are missing or damaged.
    """
    grouped: dict[str, dict[float, list[Mapping[str, Any]]]] = {}
    for adapter in adapters:
        by_rate = grouped.setdefault(adapter["probe"], {})
        by_rate.setdefault(adapter["planted"], []).append(adapter)
    probes = {name: registry[name] for name in registry.probes}
    points, lines = [], {}
    for probe, by_rate in grouped.items():
        rates = sorted(by_rate)
        names = [[m["name"] for m in by_rate[rate]] for rate in rates]
        measured = {name: _measured(directory, names, probes[name]) for name in probes}
        for i, rate in enumerate(rates):
            points.append(
                {
                    "probe": probe,
                    "planted": rate,
                    "seeds": [m["seed"] for m in by_rate[rate]],
                    "measured": {name: measured[name][i] for name in probes},
                    "records": {n: _hashes(directory, n, probes) for n in names[i]},
                }
            )
        if len(rates) > 1:
            planted = probes[probe]
            samples = [[_sample(directory, n, planted) for n in of_rate] for of_rate in names]
            lines[probe] = _line(rates, samples)
    base = {name: _measured(directory, [[BASE]], probes[name])[0] for name in probes}
    return {"points": points, "base": base, "lines": lines}


def _path(directory: Path, configuration: str, probe: str) -> Path:
    return directory / "records" / configuration / f"{probe}.jsonl"


def _measures(directory: Path, configuration: str, probe: Evaluation) -> dict[str, Measure]:
    path = _path(directory, configuration, probe.name)
    if not path.is_file():
        raise SycojaxError(f"{path} does not exist: run sycojax calibrate again")
    return {m.name: m for m in probe.measures(list(read_records(path)))}


def _sample(directory: Path, configuration: str, probe: Evaluation) -> Resampled:
    return resample(_measures(directory, configuration, probe)[probe.contrasts[0].measure])


def _measured(
    directory: Path, configurations: Sequence[Sequence[str]], probe: Evaluation
) -> list[dict[str, Any]]:
    """Per planted rate (a list of its seeds): contrast and floor of a probe, the spread of seeds pooled over the rates."""
    found = [[_measures(directory, name, probe) for name in seeds] for seeds in configurations]
    out: list[dict[str, Any]] = [{} for _ in found]
    contrast = probe.contrasts[0]
    for kind, name in ((SOFT, contrast.measure), (FLOOR, contrast.floor)):
        if not all(name in measures for seeds in found for measures in seeds):
            continue
        samples = [[resample(measures[name]) for measures in seeds] for seeds in found]
        spread = pooled_spread(samples)
        for place, seeds in zip(out, samples, strict=True):
            place[kind] = level(seeds, spread).to_json() | {"seeds": [s.value for s in seeds]}
    return out


def _hashes(directory: Path, configuration: str, probes: Iterable[str]) -> dict[str, str]:
    return {
        probe: hashlib.sha256(_path(directory, configuration, probe).read_bytes()).hexdigest()
        for probe in probes
    }


def _line(rates: Sequence[float], samples: Sequence[Sequence[Resampled]]) -> dict[str, Any]:
    """Least squares over the rates, with percentile intervals over the questions that all rates share."""
    values = np.array([np.mean([s.value for s in seeds]) for seeds in samples])
    drawn = np.array([np.mean([s.replicates for s in seeds], axis=0) for seeds in samples])
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    fits = np.polyfit(rates, np.column_stack([values, drawn]), 1)  # [2, 1 + B]
    out = {}
    for name, row in zip(("slope", "intercept"), fits, strict=True):
        low, high = np.nanquantile(row[1:], tails)
        first = samples[0][0]
        out[name] = Estimate(
            float(row[0]), float(low), float(high),
            len(first.measure.items), len(first.names), "percentile",
        ).to_json()  # fmt: skip
    return out
