"""Plain sentences made from the numbers: what was run, what moved, what cannot be concluded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from analysis.load import BASE
from analysis.results import Results
from analysis.statistics import Estimate
from analysis.text import change, count, interval, listing, number

TOY = (
    "This is the embedded toy: a small made-up world and a small model trained on it. It tests the pipeline "
    "and the instruments and is never evidence about real models. The base's levels and the adapters' gains "
    "were dialled in when the world was built; they are not findings."
)


def is_toy(document: Mapping[str, Any]) -> bool:
    """Whether the study ran on the embedded world or its base."""
    if "toy" in document:
        return bool(document["toy"])
    base, data = setting(document, "base", "path"), setting(document, "data", "source")
    return "toy" in (base, data) or PurePath(str(base)).parts[-2:] == ("toy", "base")


def setting(document: Mapping[str, Any], group: str, key: str) -> Any:
    """One value of the resolved config; None where it is not written down."""
    config = document.get("config")
    values = config.get(group) if isinstance(config, Mapping) else None
    return values.get(key) if isinstance(values, Mapping) else None


def summary(results: Results) -> list[str]:
    """The opening paragraph's sentences."""
    sentences = [_what_ran(results), _own_benchmarks(results), _tested(results)]
    return [s for s in sentences if s]


def findings(results: Results) -> list[tuple[str, str]]:
    """One (probe and measure, sentence) per probe, on its leading measure."""
    return [_probe(results, name) for name in results.study.with_role("probe")]


def limits(results: Results) -> list[str]:
    """What the numbers cannot show."""
    study = results.study
    sentences = list(study.missing) + list(results.notes)
    seeds = [len(study.of_adapter(a)) for a in study.adapters]
    if seeds and min(seeds) == 1:
        sentences.append(
            "Some adapter was trained with one seed only: what the task did and what chance in training "
            "did cannot be told apart for it."
        )
    elif seeds and min(seeds) < 5:
        sentences.append(
            f"With {min(seeds)} seeds per adapter the spread between trainings is known poorly; resampling "
            f"{min(seeds)} seeds understates it, so the intervals are somewhat too narrow."
        )
    points = len(results.groups)
    if points > 1:
        sentences.append(
            f"Correlations run over {points} configurations and are exploratory: they say nothing about cause, "
            "and one configuration can turn their sign (see the leave-one-out ranges)."
        )
    if study.with_role("probe"):
        sentences.append(
            "The probes compare likelihoods of given answers. They do not show what the model would write "
            "freely; the coverage under Diagnostics says how much of its probability the given answers hold."
        )
    return sentences


def lacking(results: Results, needs: Sequence[str]) -> str:
    """What a figure needs ("benchmark", "probe", "shifts") and the study does not have; "" if nothing."""
    absent = [
        f"a {role}"
        for role in ("benchmark", "probe")
        if role in needs and not results.study.with_role(role)
    ]
    if "shifts" in needs and not results.with_shifts:
        absent.append("the base and an adapter")
    return f"It needs {listing(absent)}." if absent else ""


def largest_shift(results: Results) -> tuple[str, str, Estimate] | None:
    """(adapter, probe, shift) of the leading probe measure that moved most, or None."""
    found = []
    for name in results.study.with_role("probe"):
        lead = results.leading(name)
        for adapter in results.study.adapters if lead else ():
            shift = results.of(adapter, name, lead.name).shift if lead else None
            if shift is not None and math.isfinite(shift.value):
                found.append((adapter, name, shift))
    return max(found, key=lambda f: abs(f[2].value)) if found else None


def _what_ran(results: Results) -> str:
    study = results.study
    adapters = study.adapters
    parts = []
    if results.groups[:1] == (BASE,):
        parts.append("the frozen base")
    if adapters:
        seeds = sorted({len(study.of_adapter(a)) for a in adapters})
        per = count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
        parts.append(f"{count(len(adapters), 'adapter')} ({listing(list(adapters))}; {per} each)")
    benchmarks, probes = study.with_role("benchmark"), study.with_role("probe")
    asked = []
    if benchmarks:
        asked.append(f"{count(len(benchmarks), 'benchmark')} ({listing(list(benchmarks))})")
    if probes:
        asked.append(f"{count(len(probes), 'sycophancy probe')} ({listing(list(probes))})")
    rows = sum(study.records.values())
    verb = "were" if len(parts) > 1 or len(adapters) > 1 else "was"
    text = f"{listing(parts)} {verb} scored on {listing(asked)}; {rows:,} item records were read."
    return text[0].upper() + text[1:]


def _own_benchmarks(results: Results) -> str:
    parts = []
    for adapter in results.study.adapters:
        lead = results.leading(adapter) if adapter in results.study.with_role("benchmark") else None
        shift = results.of(adapter, adapter, lead.name).shift if lead else None
        if lead and shift and math.isfinite(shift.value):
            parts.append(
                f"{adapter} {change(shift.value, lead.unit)} {interval(shift, lead.unit, signed=True)}"
            )
    return f"Each adapter on its own benchmark: {listing(parts)}." if parts else ""


def _probe(results: Results, name: str) -> tuple[str, str]:
    lead = results.leading(name)
    if lead is None:
        return f"{name}:", "no headline measure is available."
    moved: dict[str, list[str]] = {"raised": [], "lowered": [], "open": [], "n/a": []}
    for adapter in results.study.adapters:
        shift = results.of(adapter, name, lead.name).shift
        if shift is None or not math.isfinite(shift.value):
            moved["n/a"].append(adapter)
            continue
        size = number(shift.value, lead.unit, signed=True)
        side = "raised" if shift.low > 0 else "lowered" if shift.high < 0 else "open"
        moved[side].append(f"{adapter} {size} {interval(shift, lead.unit, signed=True)}")
    parts = []
    if BASE in results.groups:
        level = results.of(BASE, name, lead.name).level
        start = change(level.value, lead.unit).removeprefix("+")
        parts.append(f"the base scores {start} {interval(level, lead.unit)}")
    for side, words in (
        ("raised", "raised by"), ("lowered", "lowered by"), ("open", "direction open for"),
        ("n/a", "no shift available for"),
    ):  # fmt: skip
        if moved[side]:
            parts.append(f"{words} {listing(moved[side])}")
    return f"{name}, {lead.label[0].lower()}{lead.label[1:]}:", f"{'; '.join(parts)}."


def _tested(results: Results) -> str:
    """How many of the adapter x probe shifts stand after Holm's adjustment, and which way they go."""
    tested = [r for r in results.by_adapter.values() if math.isfinite(r.p_holm) and r.shift]
    if not tested:
        return ""
    kept = [r.shift.value for r in tested if r.p_holm < 0.05 and r.shift]
    up, down = sum(v > 0 for v in kept), sum(v < 0 for v in kept)
    return (
        f"Of the {count(len(tested), 'shift')} in sycophancy (adapters by probes, soft scores, p adjusted by "
        f"Holm at .05), {up} went up, {down} went down and {len(tested) - len(kept)} cannot be told from "
        "no change."
    )
