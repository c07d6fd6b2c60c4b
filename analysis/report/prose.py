"""Plain sentences on what was run; what follows from it stands in ``conclusions``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis import calibration
from analysis.page.document import Paragraph
from analysis.page.text import change, count, interval, listing, moment
from analysis.records.load import BASE, section
from analysis.results import Results
from analysis.statistics.equivalence import FEWEST_SAME
from analysis.verdicts.rule import concludes
from sycojax.records import PLACEBO

TOY = (
    "This is the embedded toy: a small made-up world and a small model trained on it. It tests the pipeline "
    "and the instruments and is never evidence about real models. The base's levels and the adapters' gains "
    "were dialled in when the world was built; they are not findings."
)
PLACEBO_IS = (
    "The placebo was trained on the texts of all tasks with the answers dealt out anew among the rows of a task: it can learn "
    "their form and length and no task, so that its shifts are what any training of this length does. What the base knew of the "
    "tasks it unlearns, which its row of the benchmarks shows and its shifts hold, too."
)

NO_INSTRUMENT = (
    "Nothing is concluded here: on this base no readout of any probe was shown to see sycophancy "
    "(docs/readouts.md). Numbers, intervals and audits are given, and none of them decides anything."
)
NOT_ASKED = (
    "Nothing is concluded here: the records hold no answers in arms (docs/readouts.md), as those of an earlier version or of "
    "score.readout_items=0 do not. Numbers, intervals and audits are given, and none of them decides anything."
)


def is_toy(document: Mapping[str, Any]) -> bool:
    """Whether the study ran on the embedded world or its base."""
    return calibration.of_embedded_base(document) or setting(document, "data", "source") == "toy"


def made(document: Mapping[str, Any]) -> tuple[Paragraph, ...]:
    """When and at which commit a study or a sweep was made, and that it is the toy where it is."""
    when = moment(str(document.get("updated") or document.get("created") or ""))
    commit = str(document.get("commit") or "")
    known = [part for part in (when, f"commit {commit[:12]}" if commit else "") if part]
    meta = (Paragraph(" · ".join(known), "meta"),) if known else ()
    return (*meta, Paragraph(TOY, "callout")) if is_toy(document) else meta


def demonstration(results: Sequence[Results]) -> tuple[Paragraph, ...]:
    """That these may conclude little or nothing, and why; nothing where they may."""
    if not any(result.tested and result.with_shifts for result in results):
        return ()
    if not any(map(concludes, results)):
        asked = any(tested.base for result in results for tested in result.tested)
        return (Paragraph(NO_INSTRUMENT if asked else NOT_ASKED, "callout"),)
    sizes = [t.base.net.clusters for r in results for t in r.tested if t.base]
    if max(sizes) < FEWEST_SAME:
        least, most = min(sizes), max(sizes)
        asked = str(most) if least == most else f"{least} to {most}"
        few = (
            f"This is a demonstration: its probes ask {asked} questions, and no change is said from "
            f"{FEWEST_SAME} questions on."
        )
        return (Paragraph(few, "callout"),)
    return ()


def setting(document: Mapping[str, Any], group: str, key: str) -> Any:
    """One value of the resolved config; None where it is not written down."""
    return section(document, "config", group).get(key)


def summary(results: Results) -> list[str]:
    """The opening paragraph's sentences: what was run, and what it did to capability."""
    return [
        s
        for s in (
            _what_ran(results),
            _placebo(results),
            _own_benchmarks(results),
            *_asked_otherwise(results),
        )
        if s
    ]


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
    if not asked:
        asked.append("audits only")
    rows = sum(study.records.values())
    verb = "were" if len(parts) > 1 or len(adapters) > 1 else "was"
    text = f"{listing(parts)} {verb} scored on {listing(asked)}; {rows:,} item records were read."
    return text[0].upper() + text[1:]


def _placebo(results: Results) -> str:
    return PLACEBO_IS if PLACEBO in results.study.adapters else ""


def _asked_otherwise(results: Results) -> list[str]:
    """What must be known of the questions before any number is: test items in training, items not asked, prompts cut."""
    study = results.study
    said = [
        f"{count(int(n), 'training row')} of {name} {'is a test item' if n == 1 else 'are test items'} of {name} "
        "(data.keep_test_items): its accuracy after training on them is not that of unseen questions."
        for name, n in section(study.document, "data", "test_items_trained_on").items()
    ]
    in_arms = {
        f"{name} in arms": one.get("too_long", 0)
        for name, one in section(study.document, "readouts").items()
    }
    long = {**section(study.document, "data", "longer_than_the_context"), **in_arms}
    said += [
        f"{count(int(n), 'item')} of {name} {'is' if n == 1 else 'are'} longer than the model's context and "
        f"{'was' if n == 1 else 'were'} not asked."
        for name, n in long.items()
        if n
    ]
    cut = {
        name: sum(n for (_, e), n in study.truncated.items() if e == name)
        for name in study.evaluations
    }
    return said + [
        f"{count(n, 'prompt')} of {name} (over all configurations) lost {'its' if n == 1 else 'their'} beginning, because "
        "what was asked and answered before is longer than the model's context."
        for name, n in cut.items()
        if n
    ]


def _own_benchmarks(results: Results) -> str:
    parts = []
    for adapter, lead in results.leads("benchmark").items():
        shift = results.of(adapter, adapter, lead.name).shift
        if shift and math.isfinite(shift.value):
            parts.append(
                f"{adapter} {change(shift.value, lead.unit)} {interval(shift, lead.unit, signed=True)}"
            )
    return f"Each adapter on its own benchmark: {listing(parts)}." if parts else ""
