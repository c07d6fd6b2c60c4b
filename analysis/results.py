"""All numbers of the report: each measure's level and shift, per configuration and per adapter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.load import BASE, Study
from analysis.statistics import (
    Correlation,
    Estimate,
    Resampled,
    common_items,
    correlation,
    holm,
    level,
    resample,
    shift,
    swap_test,
)
from sycojax.evals.protocol import Measure

NOT_SCORED = Estimate(math.nan, note="not scored")


@dataclasses.dataclass(frozen=True)
class Result:
    """One measure of one configuration or adapter."""

    level: Estimate
    shift: Estimate | None = None  # None for the base and where the base was not scored
    p: float = math.nan  # swap test; only for the leading measure of a probe
    p_holm: float = math.nan


@dataclasses.dataclass(frozen=True)
class Results:
    """Keys are (configuration or adapter, evaluation, measure name)."""

    study: Study
    by_configuration: Mapping[tuple[str, str, str], Result]
    by_adapter: Mapping[tuple[str, str, str], Result]  # the base included, under its own name
    notes: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Base, then the adapters."""
        base = (BASE,) if self.study.of_adapter(BASE) else ()
        return (*base, *self.study.adapters)

    @property
    def with_shifts(self) -> bool:
        """Whether there is a base and something to compare with it."""
        return bool(self.study.of_adapter(BASE)) and bool(self.study.adapters)

    def headline(self, evaluation: str, kind: str) -> Measure | None:
        """The "hard" or "soft" headline of an evaluation; None where it was not scored or has none."""
        return _headline(self.study, evaluation, kind)

    def leading(self, evaluation: str) -> Measure | None:
        """What figures put on their axes and tests test: soft for probes, hard for benchmarks."""
        return _leading(self.study, evaluation)

    def of(self, group: str, evaluation: str, measure: str) -> Result:
        return self.by_adapter.get((group, evaluation, measure), Result(NOT_SCORED))

    def of_seeds(self, adapter: str, evaluation: str, measure: str) -> list[Result]:
        """One result per seed that was scored."""
        keys = [(c.name, evaluation, measure) for c in self.study.of_adapter(adapter)]
        return [self.by_configuration[key] for key in keys if key in self.by_configuration]

    def mean_benchmark_shift(self, group: str) -> Estimate:
        """Mean over the benchmarks' headline shifts; 0 for the base.

        The benchmarks ask different items, so their sampling errors are taken as independent: the interval is
        the value +- the root of the summed squares of their half-widths over the number of benchmarks.
        """
        if group == BASE:
            return Estimate(0.0, 0.0, 0.0)
        return _mean([r.shift for r in self._headline_results(group, "benchmark")])

    def mean_benchmark_shift_by_seed(self, adapter: str) -> list[tuple[str, float]]:
        """(configuration, mean of its benchmark shifts)."""
        means = []
        for configuration in self.study.of_adapter(adapter):
            shifts = []
            for name in self.study.with_role("benchmark"):
                lead = self.leading(name)
                found = lead and self.by_configuration.get((configuration.name, name, lead.name))
                if found and found.shift:
                    shifts.append(found.shift.value)
            means.append((configuration.name, float(np.mean(shifts)) if shifts else math.nan))
        return means

    def correlation(self, benchmark: str, probe: str, measure: str) -> Correlation:
        """Between the levels of a benchmark's headline and a probe's measure, over base and adapters."""
        lead = self.leading(benchmark)
        if lead is None:
            return correlation([], [])
        x = [self.of(g, benchmark, lead.name).level.value for g in self.groups]
        y = [self.of(g, probe, measure).level.value for g in self.groups]
        return correlation(x, y)

    def _headline_results(self, group: str, role: str) -> list[Result]:
        leads = [(name, self.leading(name)) for name in self.study.with_role(role)]
        return [self.of(group, name, lead.name) for name, lead in leads if lead]


def compute(study: Study) -> Results:
    """Resample every measure once and form levels and shifts from the replicates."""
    by_configuration: dict[tuple[str, str, str], Result] = {}
    by_adapter: dict[tuple[str, str, str], Result] = {}
    notes: list[str] = []
    for evaluation in study.evaluations:
        leading = _leading(study, evaluation)
        tested = leading.name if leading and evaluation in study.with_role("probe") else None
        for measure in study.described(evaluation):
            samples = {
                c.name: resample(m)
                for c in study.configurations
                if (m := study.measure(c.name, evaluation, measure.name))
            }
            for group in dict.fromkeys(c.adapter for c in study.configurations):
                names = [c.name for c in study.of_adapter(group) if c.name in samples]
                for name in names if group != BASE else ():
                    by_configuration[name, evaluation, measure.name] = _result(
                        [samples[name]], samples.get(BASE), False, notes
                    )
                if names:
                    result = _result(
                        [samples[n] for n in names],
                        samples.get(BASE) if group != BASE else None,
                        measure.name == tested,
                        notes,
                    )
                    by_adapter[group, evaluation, measure.name] = result
                    if group == BASE:
                        by_configuration[names[0], evaluation, measure.name] = result
    tested_keys = [key for key, result in by_adapter.items() if math.isfinite(result.p)]
    adjusted = holm([by_adapter[key].p for key in tested_keys])
    for key, p_holm in zip(tested_keys, adjusted, strict=True):
        by_adapter[key] = dataclasses.replace(by_adapter[key], p_holm=p_holm)
    return Results(study, by_configuration, by_adapter, tuple(dict.fromkeys(notes)))


def _headline(study: Study, evaluation: str, kind: str) -> Measure | None:
    return next((m for m in study.described(evaluation) if m.headline == kind), None)


def _leading(study: Study, evaluation: str) -> Measure | None:
    kinds = ("soft", "hard") if evaluation in study.with_role("probe") else ("hard", "soft")
    found = (_headline(study, evaluation, kind) for kind in kinds)
    return next((measure for measure in found if measure), None)


def _result(
    seeds: Sequence[Resampled], base: Resampled | None, tested: bool, notes: list[str]
) -> Result:
    if base is None:
        return Result(level(seeds))
    paired = common_items([base.measure, *(s.measure for s in seeds)])
    if any(s.measure.items != base.measure.items for s in seeds):
        notes.append(
            f"Shifts of {base.measure.label} use the {len(paired[0].items)} items that both the base and "
            "the adapter were scored on."
        )
        if not paired[0].items:
            return Result(level(seeds))
        base, *matched = [resample(m) for m in paired]
    else:
        matched = list(seeds)
    p = swap_test(matched, base) if tested else math.nan
    return Result(level(seeds), shift(matched, base), p)


def _mean(shifts: Sequence[Estimate | None]) -> Estimate:
    known = [s for s in shifts if s is not None and math.isfinite(s.value)]
    if not known:
        return NOT_SCORED
    value = float(np.mean([s.value for s in known]))
    below = [s.value - s.low for s in known if math.isfinite(s.low)]
    above = [s.high - s.value for s in known if math.isfinite(s.high)]
    return Estimate(
        value,
        value - math.hypot(*below) / len(known) if below else math.nan,
        value + math.hypot(*above) / len(known) if above else math.nan,
    )
