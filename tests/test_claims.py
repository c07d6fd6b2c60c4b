"""Claim records: each relation tells a true statement from a false one, and says so when it cannot be told."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from analysis.reanalysis.claims import RELATIONS, Claim, check, read_claims
from analysis.reanalysis.data import Contamination, DataCounts
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.gather import gather
from analysis.reanalysis.inference import paired_mde, shift, unpaired_mde
from analysis.reanalysis.scores import Count, Scores
from analysis.reanalysis.wording import stated
from analysis.report.csvs import BENCHMARKS, PROBES
from sycojax.errors import SycojaxError
from sycojax.files import write_json

ADAPTERS = ("gsm8k", "mmlu", "combined")


def evidence(items: int = 300, **rates: tuple[float, ...]) -> Evidence:
    """Base and three adapters; every evaluation is .2 everywhere unless given as four rates."""
    names = ("base", *ADAPTERS)
    table = {
        (name, e): rates.get(e, (0.2,) * 4)[i]
        for e in (*BENCHMARKS, *PROBES)
        for i, name in enumerate(names)
    }
    counts = {key: Count(round(rate * items), items, 0) for key, rate in table.items()}
    return Evidence("made up", Scores(names, table, counts, {}, {}), counts, None, ())


def verdict(found: Evidence, relation: str, **of: object) -> tuple[str, str]:
    (one,) = check([Claim("c", "c", "figure", relation, of)], found)
    return one.judgement.standing, one.judgement.why


def test_a_stated_number_means_what_rounds_to_it() -> None:
    assert stated("0.080").means(0.0804)
    assert not stated("0.080").means(0.0806)
    assert stated("0.08").means(0.0806)
    assert stated("\u22120.5").value == -0.5
    assert stated("23 %").means(0.2333)
    assert not stated("23 %").means(0.2351)
    with pytest.raises(SycojaxError, match="is not a number"):
        stated("about a third")


def test_level_and_change() -> None:
    found = evidence(feedback=(0.2, 0.3, 0.2, 0.2), answer=(0.2, 0.2, 0.2, 0.5))
    assert (
        verdict(found, "level", configuration="gsm8k", evaluation="feedback", value="0.300")[0]
        == "holds"
    )
    assert (
        verdict(found, "level", configuration="gsm8k", evaluation="feedback", value="0.301")[0]
        == "does not hold"
    )
    mean = {"configuration": "combined", "evaluation": "probes"}
    assert verdict(found, "change", **mean, value="+0.100")[0] == "holds"
    assert verdict(found, "change", **mean, value="-0.100")[0] == "does not hold"
    half = {"configuration": "gsm8k", "evaluation": "feedback", "value": "+0.10"}
    assert verdict(found, "change", **half, share="50 %")[0] == "holds"
    assert verdict(found, "change", **half, share="40 %")[0] == "does not hold"
    assert (
        verdict(found, "level", configuration="phd", evaluation="feedback", value="0.3")[0]
        == "cannot be told"
    )


def test_only_names_the_others() -> None:
    found = evidence(feedback=(0.2, 0.1, 0.15, 0.3))
    outcome, why = verdict(found, "only", configuration="gsm8k", evaluation="feedback", sign="-")
    assert outcome == "does not hold"
    assert "mmlu (\u22120.0500) is negative too" in why
    assert (
        verdict(found, "only", configuration="combined", evaluation="feedback", sign="+")[0]
        == "holds"
    )
    assert (
        verdict(found, "only", configuration="mmlu", evaluation="feedback", sign="+")[0]
        == "does not hold"
    )


def test_largest_and_every() -> None:
    found = evidence(answer=(0.2, 0.12, 0.14, 0.1))
    assert verdict(found, "every", evaluation="answer", low="-30 %", high="-50 %")[0] == "holds"
    assert (
        verdict(found, "every", evaluation="answer", low="-35 %", high="-50 %")[0]
        == "does not hold"
    )
    assert verdict(found, "largest", configuration="mmlu", evaluation="answer")[0] == "holds"
    assert (
        verdict(found, "largest", configuration="gsm8k", evaluation="answer")[0] == "does not hold"
    )
    zero = evidence(answer=(0.0, 0.1, 0.1, 0.1))
    assert verdict(zero, "every", evaluation="answer", low="0 %", high="9 %")[0] == "cannot be told"


def test_a_correlation_of_another_pair_is_found() -> None:
    found = evidence(
        gsm8k=(0.1, 0.2, 0.3, 0.4), feedback=(0.1, 0.2, 0.3, 0.41), answer=(0.4, 0.1, 0.3, 0.2)
    )
    right = found.pairs["gsm8k", "feedback"].found.r
    assert (
        verdict(found, "correlation", benchmark="gsm8k", probe="feedback", value=f"{right:.3f}")[0]
        == "holds"
    )
    outcome, why = verdict(
        found, "correlation", benchmark="gsm8k", probe="answer", value=f"{right:.3f}"
    )
    assert outcome == "does not hold"
    assert "is the value of gsm8k x feedback" in why
    flat = verdict(found, "correlation", benchmark="mmlu", probe="answer", value="0.1")
    assert flat[0] == "cannot be told"
    spread = {"benchmark": "gsm8k", "low": "-0.9", "high": "1.0"}
    assert (
        verdict(
            evidence(**dict.fromkeys(("gsm8k", *PROBES), (0.1, 0.2, 0.3, 0.4))),
            "correlations",
            **spread,
        )[0]
        == "holds"
    )


def test_an_association_needs_more_than_four_points_and_the_right_sign() -> None:
    found = evidence(gsm8k=(0.1, 0.2, 0.3, 0.4), feedback=(0.1, 0.2, 0.3, 0.41))
    of = {"benchmark": "gsm8k", "probes": ["feedback"]}
    assert verdict(found, "association", **of, sign="+")[0] == "cannot be told"
    assert verdict(found, "association", **of, sign="-")[0] == "does not hold"
    assert verdict(found, "association", **of, sign="0")[0] == "cannot be told"


def test_an_effect_needs_counts_significance_and_a_sound_measurement() -> None:
    of = {"configuration": "gsm8k", "evaluation": "feedback", "sign": "+"}
    strong = evidence(feedback=(0.2, 0.5, 0.2, 0.2))
    assert verdict(strong, "effect", **of)[0] == "holds"
    assert verdict(strong, "effect", **{**of, "sign": "-"})[0] == "does not hold"
    assert verdict(evidence(feedback=(0.2, 0.24, 0.2, 0.2)), "effect", **of)[0] == "cannot be told"
    unread = {**strong.counts, ("base", "feedback"): Count(60, 300, 290)}
    outcome, why = verdict(dataclasses.replace(strong, counts=unread), "effect", **of)
    assert outcome == "cannot be told"
    assert "290 of 300 items (base)" in why
    outcome, why = verdict(dataclasses.replace(strong, counts={}), "effect", **of)
    assert outcome == "cannot be told"
    assert "needs counts" in why
    everyone = {**of, "configuration": "every adapter"}
    assert verdict(evidence(feedback=(0.2, 0.5, 0.5, 0.5)), "effect", **everyone)[0] == "holds"
    assert verdict(strong, "effect", **everyone)[0] == "cannot be told"


def test_amplification_is_measured_against_the_largest_part() -> None:
    of = {"configuration": "combined", "parts": ["gsm8k", "mmlu"], "probes": ["feedback"]}
    assert verdict(evidence(feedback=(0.2, 0.3, 0.2, 0.6)), "amplifies", **of)[0] == "holds"
    assert (
        verdict(evidence(feedback=(0.2, 0.3, 0.2, 0.29)), "amplifies", **of)[0] == "does not hold"
    )
    assert (
        verdict(evidence(feedback=(0.2, 0.3, 0.2, 0.33)), "amplifies", **of)[0] == "cannot be told"
    )


def test_ability_is_refuted_by_a_score_that_is_the_share_of_a() -> None:
    def data(first: int) -> DataCounts:
        return DataCounts(
            {
                ("mmlu", "train"): (first, 100 - first),
                ("mmlu", "test"): (first, 100 - first),
                ("truthfulqa", "test"): (27, 73),
            },
            {p: Contamination(10, 0, 0, 10) for p in PROBES},
            {}, 0, 0,
        )  # fmt: skip

    of = {"configuration": "mmlu", "benchmark": "mmlu"}
    found = evidence(100, mmlu=(0.3, 0.3, 0.98, 0.5), truthfulqa=(0.4, 0.4, 0.27, 0.5))
    shortcut = dataclasses.replace(found, data=data(100))
    outcome, why = verdict(shortcut, "ability", **of)
    assert outcome == "does not hold"
    assert "27 of 100" in why
    assert verdict(dataclasses.replace(found, data=data(50)), "ability", **of)[0] == "holds"
    other = evidence(100, mmlu=(0.3, 0.3, 0.98, 0.5), truthfulqa=(0.4, 0.4, 0.28, 0.5))
    assert (
        verdict(dataclasses.replace(other, data=data(100)), "ability", **of)[0] == "cannot be told"
    )
    assert verdict(found, "ability", **of)[0] == "cannot be told"


def test_intervals_and_power_against_published_values() -> None:
    # Newcombe 1998, table II, row (a): 56/70 against 48/80, method 10.
    found = shift(Count(56, 70), Count(48, 80))
    assert (found.low, found.high) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )
    # Fleiss, Levin and Paik: .70 against .60 needs 356 per group without the continuity correction.
    assert unpaired_mde(0.60, 356) == pytest.approx(0.10, abs=1e-4)
    assert unpaired_mde(1 - 0.70, 356) == pytest.approx(0.10, abs=1e-4)
    assert math.isnan(unpaired_mde(1.0, 300))
    assert [round(paired_mde(d, 300), 3) for d in (0.1, 0.2, 0.3)] == [0.051, 0.072, 0.088]
    assert math.isnan(paired_mde(0.01, 100))


def test_records_are_read_and_wrong_ones_are_named(tmp_path: Path) -> None:
    good = {
        "name": "n", "text": "t", "kind": "figure", "relation": "level",
        "of": {"configuration": "base", "evaluation": "answer", "value": "0.1"},
    }  # fmt: skip
    path = tmp_path / "claims.json"
    write_json(path, [good])
    assert read_claims(path)[0].of["value"] == "0.1"
    of = good["of"]
    assert isinstance(of, dict)
    for wrong, message in (
        ({**good, "relation": "proves"}, "unknown relation 'proves'"),
        ({**good, "kind": "rumour"}, "kind is 'figure' or 'reading'"),
        ({**good, "of": {"configuration": "base"}}, "must name configuration, evaluation, value"),
        ({**good, "of": {**of, "of": "x"}}, "must name configuration"),
        ({**good, "of": {**of, "value": 0.1}}, "value must be a text"),
        ({**good, "of": {**of, "value": "a lot"}}, "is not a number"),
        ({**good, "name": ""}, "must be texts"),
        ({"name": "n"}, "must be an object with"),
    ):  # fmt: skip
        write_json(path, [wrong])
        with pytest.raises(SycojaxError, match=message):
            read_claims(path)
    write_json(path, [good, good])
    with pytest.raises(SycojaxError, match="two claims are called 'n'"):
        read_claims(path)
    path.write_text(json.dumps(good))
    with pytest.raises(SycojaxError, match="must be a list"):
        read_claims(path)


def test_every_relation_is_used_by_the_published_claims() -> None:
    _, claims = gather(None)
    assert {c.relation for c in claims} == set(RELATIONS)
