"""Which adapters did not learn their own task, in sentences: what they did to sycophancy is not what their task does."""

from __future__ import annotations

from analysis.page.text import interval, listing, number, with_interval
from analysis.results import Results, learning
from analysis.statistics import Estimate
from sycojax.records import COMBINED

DIGITS = 3  # of losses: what training moves is often a hundredth of a nat


def did_not_learn(results: Results) -> list[tuple[str, str]]:
    """(topic, sentence) of every adapter whose held-out loss did not fall, its accuracy beside it."""
    sentences = []
    for adapter in results.study.adapters:
        found = learning(results.study, adapter)
        if found.outcome == "did not learn" and found.fall:
            said = f"held-out loss fell by {nats(found.fall)} per token"
            sentences.append((f"Did not learn {adapter}:", f"{said}{_accuracy(results, adapter)}."))
    return sentences


def not_known(results: Results) -> str:
    """One sentence on the adapters of which it is not known whether they learned; "" where there are none."""
    found = [learning(results.study, adapter) for adapter in results.study.adapters]
    unknown = [one for one in found if one.outcome == "unknown"]
    causes = {
        "trained elsewhere": [one.adapter for one in unknown if one.elsewhere],
        "losses by held-out example were not kept when it was trained": [
            one.adapter for one in unknown if not one.elsewhere and one.fall is None
        ],
        "too few held-out examples": [one.adapter for one in unknown if one.fall],
    }
    parts = [f"{listing(names)} ({cause})" for cause, names in causes.items() if names]
    return f"whether the task was learned is not known of {listing(parts)}." if parts else ""


def nats(fall: Estimate) -> str:
    """ "0.412 [0.391, 0.433] nats"."""
    ends = [number(end, "nats", digits=DIGITS) for end in (fall.low, fall.high)]
    span = f"[{', '.join(ends)}]" if fall.low <= fall.high else interval(fall, "nats")
    return f"{number(fall.value, 'nats', digits=DIGITS)} {span} nats"


def _accuracy(results: Results, adapter: str) -> str:
    if adapter == COMBINED:
        mean = results.mean_benchmark_shift(adapter)
        return f"; mean shift of the benchmarks {with_interval(mean, 'rate')} points"
    lead = results.leads("benchmark").get(adapter)
    if lead is None:
        return ""
    found = results.of(adapter, adapter, lead.name)
    text = (
        f"; accuracy on its own benchmark {with_interval(found.level, lead.unit, signed=False)} %"
    )
    return (
        f"{text}, {with_interval(found.shift, lead.unit)} points against the base" if found.shift else text
    )  # fmt: skip
