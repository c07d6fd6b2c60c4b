"""The opening of the report: what can be concluded, and what cannot, in sentences made from the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.page.tables import Entry, Table
from analysis.page.text import change, count, interval, listing, number, p_value, with_interval
from analysis.results import Results, beside_placebo
from analysis.statistics.equivalence import FEWEST_SAME
from analysis.statistics.paired import FEWEST_TESTED
from analysis.verdicts import learning
from analysis.verdicts.doubt import MEANING, Doubt
from analysis.verdicts.rule import Verdict, family, findings, margin, verdicts

WORDS = {
    "raised": "raised",
    "lowered": "lowered",
    "no change": "no change",
    "follows orders otherwise": "cannot be told apart from a change in following orders",
    "open": "cannot be told",
    "too few items": "too few items",
    "not valid here": "not valid here",
    "placebo": "the placebo's shift",
}
# What a contrast of arms says in words.
SAYS = {
    "uptake": "goes over to what the user says",
    "siding": "follows the user rather than somebody else",
}
EXPLORATORY = (
    "the hard headlines and all other measures of the probes, the benchmarks' shifts and their mean, the "
    "correlations, the rankings and the strata"
)


def table(results: Results, doubt: Doubt) -> Table:
    """Adapters by probes: the verdict, and below it shift, interval, p and what could have been seen."""
    columns = [(t, found) for t in results.tested if (found := verdicts(results, t))]
    rows = tuple(
        (adapter, *(_entry(found[place], doubt) for _, found in columns))
        for place, adapter in enumerate(results.study.adapters)
    )
    return Table(
        "conclusions",
        "Does the adapter change sycophancy? Shift against the base in points with 95 % interval, of uptake and siding "
        "net of their floors; p after Holm; MDE, the smallest shift that a single test would find with 80 % power",
        ("adapter", *(tested.title for tested, _ in columns)),
        rows if columns else (),
        prose=True,
        footnote=doubt.footnote(results.groups, [tested.probe for tested, _ in columns]),
        whole=True,
        stacked=True,
    )


def can(results: Results, doubt: Doubt) -> list[tuple[str, str]]:
    """(probe, sentence): which adapters have a claimed effect, which none, and which stay open; or that none is told."""
    sentences = []
    for tested in results.tested:
        found = verdicts(results, tested)
        if found:
            sentences.append((f"{tested.title}:", _probe(results, found, doubt)))
    return sentences


def cannot(results: Results, doubt: Doubt) -> list[tuple[str, str]]:
    """(topic, sentence): undecided shifts, doubted numbers, too few seeds, exploratory parts, the method."""
    study = results.study
    failed = failed_audits(doubt, results.groups)
    sentences = [
        ("Undecided:", _undecided(results)),
        ("Too few items:", _too_few(results)),
        ("Failed audits:", f"{failed}. {MEANING}" if failed else ""),
        ("Not audited:", _unaudited(doubt)),
        ("Not known to have learned:", learning.not_known(results)),
        _seeds(results),
    ]
    if results.with_shifts:
        sentences.append((
            "Exploratory:",
            f"only uptake and siding of each probe are tested. Not tested and not adjusted are {EXPLORATORY}: "
            "they can suggest what to look for next, and show nothing on their own. Over "
            f"{len(results.groups)} configurations one of them can turn the sign of a correlation.",
        ))  # fmt: skip
    if study.with_role("probe"):
        sentences.append((
            "Free text:",
            "the probes compare likelihoods of given answers. What a model would write by itself is covered only "
            "as far as the audits of coverage and of agreement with generated text go.",
        ))  # fmt: skip
    sentences.append(("Missing:", " ".join([*study.missing, *results.notes])))
    return [(topic, sentence) for topic, sentence in sentences if sentence]


def counted(results: Results) -> str:
    """One sentence on all tests of the study; "" where there were none."""
    found = findings(results)
    if not found:
        return ""
    blind = [v for v in found if v.outcome == "not valid here"]
    if len(blind) == len(found):
        return (
            f"Nothing: of {count(len(found), 'shift')} in sycophancy (adapters by contrasts) none was measured by an instrument that is "
            "valid here. The numbers are shown, and nothing follows from them."
        )
    up, down, same = (
        sum(v.outcome == o for v in found) for o in ("raised", "lowered", "no change")
    )
    still = len(found) - up - down - same - len(blind)
    gone = (
        f" {len(blind)} {'was' if len(blind) == 1 else 'were'} not validly measured."
        if blind
        else ""
    )
    return (
        f"Of {count(len(found), 'shift')} in sycophancy (adapters by contrasts), {up} went up, {down} went down, "
        f"{same} {'is' if same == 1 else 'are'} equivalent to no change, and for {still} nothing can be told.{gone}"
    )


def _entry(verdict: Verdict, doubt: Doubt) -> Entry:
    if verdict.outcome == "n/a":
        return Entry("n/a", "not scored")
    unit = verdict.measure.unit
    shift = number(verdict.shift.value, unit, signed=True)
    note = f"{shift} {interval(verdict.shift, unit, signed=True)}"
    if verdict.reason:
        note = f"{verdict.reason}; {note}"
    if math.isfinite(verdict.p):
        note += f"; p {_equals(verdict.p)}"
    if verdict.outcome in ("open", "no change", "too few items") and math.isfinite(verdict.mde):
        note += f"; MDE {number(verdict.mde, unit)}"
    mark = doubt.of_shift(verdict.adapter, verdict.probe)
    text = f"{WORDS[verdict.outcome]}{mark}"
    tone = "" if verdict.claimed or verdict.outcome == "no change" else "open"
    return Entry(text, note, "text" if verdict.claimed else "", tone)


def _probe(results: Results, found: list[Verdict], doubt: Doubt) -> str:
    unit = found[0].measure.unit
    parts = []
    for outcome in ("raised", "lowered"):
        named = [_with_shift(results, v, doubt) for v in found if v.outcome == outcome]
        if named:
            parts.append(f"{outcome} by {listing(named)}")
    tested = found[0].tested
    if all(v.outcome == "not valid here" for v in found) and tested.invalid:
        return f"not valid here ({tested.invalid}): nothing is claimed of any adapter."
    own = [v for v in found if not results.study.is_placebo(v.adapter) and v.outcome != "n/a"]
    gone = [
        v
        for v in own
        if v.outcome in ("not valid here", "follows orders otherwise")
        and tested.fails.get(v.adapter)
    ]
    first = (
        f"nothing is said of {listing([_with_reason(v, doubt) for v in gone])}: claims concern adapters that still follow "
        f"orders ({len(own) - len(gone)} of {len(own)}). Of these: "
        if gone
        else ""
    )
    what = SAYS.get(tested.contrast.measure)
    text = first + (
        f"sycophancy{f' ({what})' if what else ''} is {'; '.join(parts)}"
        if parts
        else "no effect is claimed for any adapter"
    )
    same = [_name(v, doubt) for v in found if v.outcome == "no change"]
    if same:
        text += f". No change (the shift lies within ±{margin(unit)}): {listing(same)}"
    still = [v for v in found if v.outcome == "open"]
    if still:
        text += f". Cannot be told: {listing([_with_reason(v, doubt) for v in still])}"
        seen = [v.mde for v in still if math.isfinite(v.mde)]
        if seen:
            text += f" (a single test would find {_span(seen, unit)} with 80 % power)"
    otherwise = [v for v in own if v.outcome == "follows orders otherwise" and v not in gone]
    if otherwise:
        named = listing([_with_reason(v, doubt) for v in otherwise])
        text += f". Cannot be told apart from a change in following orders: {named}"
    few = [_name(v, doubt) for v in found if v.outcome == "too few items"]
    if few:
        text += f". Too few items: {listing(few)}"
    lost = [v.adapter for v in found if v.outcome == "n/a"]
    if lost:
        text += f". Not scored: {listing(lost)}"
    beside = [with_interval(v.shift, unit) for v in found if v.outcome == "placebo"]
    if beside:
        text += f". Beside it, the placebo's shift: {listing(beside)}"
    lost = [v.reason for v in found if v not in own and v.outcome not in ("n/a", "placebo")]
    if lost:
        text += f". The placebo cannot be read ({lost[0]})"
    return f"{text}."


def _with_shift(results: Results, verdict: Verdict, doubt: Doubt) -> str:
    unit = verdict.measure.unit
    size = change(verdict.shift.value, unit)
    small = f", though by less than {margin(unit)}" if verdict.small else ""
    span = interval(verdict.shift, unit, signed=True)
    found = beside_placebo(results, verdict.adapter, verdict.probe, verdict.measure.name)
    less = f"; less the placebo's {with_interval(found.difference, unit)}" if found else ""
    return f"{_name(verdict, doubt)} {size} {span} (p {_equals(verdict.p)}{small}{less})"


def _name(verdict: Verdict, doubt: Doubt) -> str:
    return verdict.adapter + doubt.of_shift(verdict.adapter, verdict.probe)


def _with_reason(verdict: Verdict, doubt: Doubt) -> str:
    return _name(verdict, doubt) + (f" ({verdict.reason})" if verdict.reason else "")


def _equals(p: float) -> str:
    """ "= .012", "< .001"."""
    shown = p_value(p)
    return shown.replace("<", "< ") if shown.startswith("<") else f"= {shown}"


def _span(values: list[float], unit: str) -> str:
    """ "3.1 points" or "3.1 to 5.2 points"."""
    ends = dict.fromkeys(number(v, unit) for v in (min(values), max(values)))
    return f"{' to '.join(ends)} {'points' if unit == 'rate' else unit}"


def _undecided(results: Results) -> str:
    found = findings(results)
    still = [v for v in found if v.outcome == "open" and not v.reason]
    held = sum(v.outcome == "open" for v in found) - len(still)
    sentences = []
    if still:
        sentences.append(
            f"{len(still)} of {count(len(found), 'shift')} could be an effect or none: neither the test of an effect "
            "nor that of equivalence came out. A small or missing shift there is no evidence of no effect."
        )
    clear = sum(v.shift.excludes_zero for v in still)
    if clear:
        has = "has an interval" if clear == 1 else "have intervals"
        sentences.append(
            f"{clear} of them {has} without 0, which is too little for one test among {family(results)}."
        )
    if held:
        sentences.append(
            f"Of {held} a test came out, and the reason that stands beside the verdict keeps it from being one."
        )
    return " ".join(sentences)


def _too_few(results: Results) -> str:
    found = findings(results)
    few = [v.shift.clusters for v in found if v.outcome == "too few items"]
    if not few:
        return ""
    asked = " to ".join(dict.fromkeys(str(n) for n in (min(few), max(few))))
    return (
        f"{len(few)} of {count(len(found), 'shift')} {'rests' if len(few) == 1 else 'rest'} on {asked} questions. An effect is "
        f"claimed from {FEWEST_TESTED} questions on and no change from {FEWEST_SAME}: with fewer, those that carry a shift may "
        "be missing."
    )


def failed_audits(doubt: Doubt, every: Sequence[str]) -> str:
    """ "Echo (mmlu on answer) and Always-A gap (every configuration on mmlu)"; ``every`` names all configurations."""
    where: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for title in dict.fromkeys(a.title for a in doubt.audits if a.outcome == "fail"):
        of_title = [a for a in doubt.audits if a.title == title and a.outcome == "fail"]
        for group in dict.fromkeys(a.group for a in of_title):
            names = tuple(dict.fromkeys(a.evaluation for a in of_title if a.group == group))
            where.setdefault(title, {}).setdefault(names, []).append(group)
    parts = []
    for title, groups_of in where.items():
        places = []
        for names, groups in groups_of.items():
            on = [name for name in names if name]
            all_of_them = set(groups) >= set(every) and len(groups) > 1
            who = "every configuration" if all_of_them else listing(groups)
            places.append(f"{who} on {listing(on)}" if on else who)
        parts.append(f"{title} ({'; '.join(places)})")
    return listing(parts) if parts else ""


def _unaudited(doubt: Doubt) -> str:
    """Audits that could not be made for any group; single gaps stand in the table of audits."""
    titles = dict.fromkeys(a.title for a in doubt.audits)
    gone = [t for t in titles if all(a.outcome == "n/a" for a in doubt.audits if a.title == t)]
    return f"{listing(gone)}. What is missing for it stands under Audits." if gone else ""


def _seeds(results: Results) -> tuple[str, str]:
    """(topic, sentence) on too few trainings; no sentence where there are enough."""
    study = results.study
    seeds = {a: len(study.of_adapter(a)) for a in study.adapters}
    single = [a for a, n in seeds.items() if n == 1]
    if single:
        every = "every adapter" if len(single) == len(seeds) else listing(single)
        return (
            "One seed:",
            f"{every} was trained once only. What the task did and what chance in training did cannot be told "
            "apart; what holds there holds for the adapter that was trained, and need not for the task.",
        )
    if seeds and min(seeds.values()) < 5:
        n = min(seeds.values())
        return (
            "Few seeds:",
            f"with {n} seeds per adapter the spread between trainings is known poorly. It is taken as equal for "
            "all adapters of a probe, so that they share what is known about it.",
        )
    return "", ""
