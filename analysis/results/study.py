"""All numbers of the report: each measure's level and shift, per configuration and per adapter."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from analysis import calibration
from analysis.calibration import Calibrated, Calibration
from analysis.records.load import BASE, Study
from analysis.records.strata import STRATA, seen_minus_unseen
from analysis.results import gates
from analysis.results.benchmarks import mean_shifts
from analysis.results.comparisons import NOT_SCORED, Compared, Result, compare
from analysis.results.instrument import Sight
from analysis.statistics import Correlation, Estimate, correlation, holm
from sycojax.evals.declared import Contrast
from sycojax.evals.measured import claimed
from sycojax.evals.protocol import Measure
from sycojax.evals.readouts import CONTRASTS, readout_of


@dataclasses.dataclass(frozen=True)
class Tested:
    """A contrast of a probe, its title among other contrasts, and what its instrument and a calibration say.

    ``base``: what the base's readout sees; None where the probe was not asked in arms. ``fails``: by adapter, the gate that keeps
    it from a claim, "" for none. ``tests``: how many adapters Holm's adjustment counts. Where a gate of the base fails, nothing is
    claimed of any adapter: then all of ``fails`` are "", and ``tests`` is 0.
    """

    probe: str
    contrast: Contrast
    title: str
    base: Sight | None = None
    fails: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tests: int = 0
    calibrated: Calibrated | None = None  # by the base's readout

    @property
    def invalid(self) -> str:
        """Why nothing can be claimed of any adapter; "" where something can."""
        return "not asked in arms" if self.base is None else self.base.fails


@dataclasses.dataclass(frozen=True)
class Results:
    """Keys are (configuration or adapter, evaluation, measure name)."""

    study: Study
    by_configuration: Mapping[tuple[str, str, str], Result]
    by_adapter: Mapping[tuple[str, str, str], Result]  # the base included, under its own name
    notes: tuple[str, ...]
    # Of headlines only. by_stratum: the fourth key is a stratum ("train", "test", "neither"). seen_minus_unseen: questions of the
    # training split minus all others; the base's level, an adapter's shift.
    by_stratum: Mapping[tuple[str, str, str, str], Result]
    seen_minus_unseen: Mapping[tuple[str, str, str], Estimate]
    # What is claimed of the probes; the first contrast of a probe leads it.
    tested: tuple[Tested, ...]
    calibration: Calibration | None = None  # the one that counts for this study

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
        """What figures put on their axes: soft for probes, hard for benchmarks."""
        return _leading(self.study, evaluation)

    def leads(self, role: str) -> dict[str, Measure]:
        """What was scored in a role and has a headline, with the ``leading`` one."""
        found = {name: self.leading(name) for name in self.study.with_role(role)}
        return {name: lead for name, lead in found.items() if lead}

    def of(self, group: str, evaluation: str, measure: str) -> Result:
        return self.by_adapter.get((group, evaluation, measure), Result(NOT_SCORED))

    def diagnostics(self, group: str, evaluation: str, name: str) -> list[float]:
        """A diagnostic of every seed of a group; those that have none or no number are left out."""
        keys = [(c.name, evaluation) for c in self.study.of_adapter(group)]
        values = [self.study.diagnostics.get(key, {}).get(name, math.nan) for key in keys]
        return [value for value in values if math.isfinite(value)]

    def of_seeds(self, adapter: str, evaluation: str, measure: str) -> list[Result]:
        """One result per seed that was scored."""
        keys = [(c.name, evaluation, measure) for c in self.study.of_adapter(adapter)]
        return [self.by_configuration[key] for key in keys if key in self.by_configuration]

    @functools.cached_property
    def _mean_shifts(self) -> Mapping[str, Estimate]:
        return mean_shifts(self.study, self.leads("benchmark"))

    def mean_benchmark_shift(self, group: str) -> Estimate:
        """Mean over the benchmarks' headline shifts; 0 for the base."""
        return (
            Estimate(0.0, 0.0, 0.0) if group == BASE else self._mean_shifts.get(group, NOT_SCORED)
        )

    def mean_benchmark_shift_by_seed(self, adapter: str) -> list[tuple[str, float]]:
        """(configuration, mean of its benchmark shifts)."""
        names = [c.name for c in self.study.of_adapter(adapter)]
        return [(name, self._mean_shifts.get(name, NOT_SCORED).value) for name in names]

    def correlation(self, benchmark: str, probe: str, measure: str) -> Correlation:
        """Between the levels of a benchmark's headline and a probe's measure, over base and adapters."""
        lead = self.leading(benchmark)
        if lead is None:
            return correlation([], [])
        x = [self.of(g, benchmark, lead.name).level.value for g in self.groups]
        y = [self.of(g, probe, measure).level.value for g in self.groups]
        return correlation(x, y)


def compute(study: Study, headlines: bool = False) -> Results:
    """Everything the report says, from the study's measures; the same study gives the same numbers.

    ``headlines``: nothing but levels, shifts and tests of the measures that lead their evaluation.
    """
    by_configuration: dict[tuple[str, str, str], Result] = {}
    by_adapter: dict[tuple[str, str, str], Result] = {}
    by_stratum: dict[tuple[str, str, str, str], Result] = {}
    contrasts: dict[tuple[str, str, str], Estimate] = {}
    notes: list[str] = []
    for evaluation in study.evaluations:
        probe = evaluation in study.with_role("probe")
        leading = _leading(study, evaluation)
        tested = {c.measure for c in _contrasts(study, evaluation)} if probe else set()
        for measure in study.described(evaluation):
            name = measure.name
            leads = leading is not None and name == leading.name
            # Of other forms those by which a gate asks whether a shift turns round.
            needed = leads or name in tested or name in (gates.MEASURES if probe else CONTRASTS)
            if headlines and not needed:
                continue
            compared = compare(
                study, _by_configuration(study, evaluation, name), tested=name in tested
            )
            notes += compared.notes
            for one, result in compared.by_configuration.items():
                by_configuration[one, evaluation, name] = result
            for group, result in compared.by_group.items():
                by_adapter[group, evaluation, name] = result
            if headlines:
                continue
            if measure.headline:
                for stratum in STRATA:
                    part = compare(study, _by_configuration(study, evaluation, name, stratum))
                    for group, result in part.by_group.items():
                        by_stratum[group, evaluation, name, stratum] = result
                contrast = _seen_minus_unseen(study, evaluation, name)
                for group, result in contrast.by_group.items():
                    contrasts[group, evaluation, name] = result.shift or result.level
    calibrated, why_not = calibration.read(study.directory, study.document)
    claims = _tested(study, by_configuration, by_adapter, calibrated)
    claims = _adjusted(study, by_adapter, claims)
    _withhold(study, by_configuration, by_adapter, claims)
    notes += [why_not] if why_not else []
    return Results(
        study, by_configuration, by_adapter, tuple(dict.fromkeys(notes)), by_stratum, contrasts, claims,
        calibrated,
    )  # fmt: skip


def _by_configuration(
    study: Study, evaluation: str, name: str, stratum: str = ""
) -> dict[str, Measure]:
    """One measure of every configuration that has it, of all items or of a stratum."""
    if not stratum:
        found = {c.name: study.measure(c.name, evaluation, name) for c in study.configurations}
        return {c: m for c, m in found.items() if m is not None}
    return {
        c.name: m
        for c in study.configurations
        for m in study.strata.get((c.name, evaluation, stratum), ())
        if m.name == name
    }


def _seen_minus_unseen(study: Study, evaluation: str, name: str) -> Compared:
    parts = {s: _by_configuration(study, evaluation, name, s) for s in STRATA}
    contrasts = {
        c.name: seen_minus_unseen({s: m[c.name] for s, m in parts.items() if c.name in m})
        for c in study.configurations
    }
    return compare(study, {c: m for c, m in contrasts.items() if m is not None})


def _tested(
    study: Study,
    by_configuration: Mapping[tuple[str, str, str], Result],
    by_adapter: Mapping[tuple[str, str, str], Result],
    planted: Calibration | None,
) -> tuple[Tested, ...]:
    found = []
    for probe in study.with_role("probe"):
        contrasts = _contrasts(study, probe)
        for contrast in contrasts:
            title = f"{probe}, {contrast.measure}" if len(contrasts) > 1 else probe
            base = gates.of_base(study, probe, contrast.measure)
            known = planted.of(probe, contrast.measure) if planted and base else None
            calibrated = known if base and known and known.readout == base.readout else None
            if base and not base.fails:
                fails = gates.of_study(study) or gates.of_calibration(calibrated)
                base = dataclasses.replace(base, fails=fails)
            fails = {
                adapter: _failing(study, by_configuration, by_adapter, adapter, probe, base)
                for adapter in study.adapters
                if base and (adapter, probe, contrast.measure) in by_adapter
            }
            found.append(Tested(probe, contrast, title, base, fails, calibrated=calibrated))
    return tuple(found)


def _failing(
    study: Study,
    by_configuration: Mapping[tuple[str, str, str], Result],
    by_adapter: Mapping[tuple[str, str, str], Result],
    adapter: str,
    probe: str,
    base: Sight,
) -> str:
    """The first gate that keeps an adapter from a claim; "" for none, and where the base's own fail."""
    if base.fails:
        return ""
    asked = {
        c.name: measure
        for c in study.of_adapter(adapter)
        if (measure := study.measure(c.name, probe, base.contrast))
    }
    if any(readout_of(measure) != base.readout for measure in asked.values()):
        return gates.OTHERWISE
    seeds = [_levels(by_configuration, name, probe) for name in asked]
    if fails := gates.of_adapter(_levels(by_adapter, adapter, probe), seeds, base):
        return fails
    here, there = (
        by_adapter.get((adapter, form, base.contrast), Result(NOT_SCORED)).shift
        for form in (probe, f"{probe}_plain")
    )
    return gates.TEMPLATE if gates.turns(here, there) else ""


def _levels(
    by_adapter: Mapping[tuple[str, str, str], Result], group: str, probe: str
) -> dict[str, Estimate]:
    return {m: r.level for (g, p, m), r in by_adapter.items() if (g, p) == (group, probe)}


def _adjusted(
    study: Study, by_adapter: dict[tuple[str, str, str], Result], tested: Sequence[Tested]
) -> tuple[Tested, ...]:
    """Holm over the confirmatory family: every adapter but the placebo on every contrast that is valid on the base.

    Where an adapter fails a gate the pair keeps its place in the family, with p = 1.
    """
    keys, ps, counted = [], [], []
    for one in tested:
        before = len(keys)
        for adapter, fails in one.fails.items() if not one.invalid else ():
            key = (adapter, one.probe, one.contrast.measure)
            if math.isfinite(by_adapter[key].p) and not study.is_placebo(adapter):
                keys.append(key)
                ps.append(1.0 if fails else by_adapter[key].p_claim)
        counted.append(dataclasses.replace(one, tests=len(keys) - before))
    for key, p in zip(keys, holm(ps), strict=True):
        by_adapter[key] = dataclasses.replace(by_adapter[key], p_claim_holm=p)
    return tuple(counted)


def _withhold(
    study: Study,
    by_configuration: dict[tuple[str, str, str], Result],
    by_adapter: dict[tuple[str, str, str], Result],
    tested: Sequence[Tested],
) -> None:
    """Take away all tests on probes and their other forms, except of contrasts that something may be claimed of.

    Then no p can stand beside what is "not valid here", whoever prints the results.
    """
    valid = {
        (adapter, one.probe, name)
        for one in tested
        if not one.invalid
        for adapter, fails in one.fails.items()
        if not fails and not study.is_placebo(adapter)
        for name in (one.contrast.measure, one.contrast.hard)
    }
    adapter_of = {c.name: c.adapter for c in study.configurations}
    for found in (by_configuration, by_adapter):
        for key, result in found.items():
            group, evaluation, name = key
            if study.registry[study.registry.subject(evaluation)].role == "benchmark":
                continue
            if (adapter_of.get(group, group), evaluation, name) not in valid:
                found[key] = result.untested()


def _contrasts(study: Study, evaluation: str) -> list[Contrast]:
    in_arms = study.measure_of(evaluation, CONTRASTS[0]) is not None
    found = claimed(study.registry[evaluation], in_arms)
    return [c for c in found if study.measure_of(evaluation, c.measure)]


def _headline(study: Study, evaluation: str, kind: str) -> Measure | None:
    """For a probe, the measure of its first contrast ("soft") or its hard counterpart; else the measure marked as ``kind``."""
    for contrast in _contrasts(study, evaluation)[:1]:
        return study.measure_of(evaluation, contrast.measure if kind == "soft" else contrast.hard)
    return next((m for m in study.described(evaluation) if m.headline == kind), None)


def _leading(study: Study, evaluation: str) -> Measure | None:
    kinds = ("soft", "hard") if evaluation in study.with_role("probe") else ("hard", "soft")
    found = (_headline(study, evaluation, kind) for kind in kinds)
    return next((measure for measure in found if measure), None)
