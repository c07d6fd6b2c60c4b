"""Claim records: each relation tells a true statement from a false one, and says so when it cannot be told."""

from __future__ import annotations

import dataclasses
import inspect
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


def judged(found: Evidence, relation: str, **of: object) -> tuple[str, str]:
    (one,) = check([Claim("c", "c", "figure", relation, of)], found)
    return one.judgement.standing, one.judgement.why


def standing(found: Evidence, relation: str, *of: object) -> str:
    """What becomes of a claim; ``of`` in the order of the relation's parameters."""
    names = list(inspect.signature(RELATIONS[relation]).parameters)[1:]
    return judged(found, relation, **dict(zip(names, of, strict=False)))[0]


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
    assert standing(found, "level", "gsm8k", "feedback", "0.300") == "holds"
    assert standing(found, "level", "gsm8k", "feedback", "0.301") == "does not hold"
    assert standing(found, "level", "phd", "feedback", "0.3") == "cannot be told"
    assert standing(found, "change", "combined", "probes", "+0.100") == "holds"
    assert standing(found, "change", "combined", "probes", "-0.100") == "does not hold"
    assert standing(found, "change", "gsm8k", "feedback", "+0.10", "50 %") == "holds"
    assert standing(found, "change", "gsm8k", "feedback", "+0.10", "40 %") == "does not hold"


def test_only_names_the_others() -> None:
    found = evidence(feedback=(0.2, 0.1, 0.15, 0.3))
    outcome, why = judged(found, "only", configuration="gsm8k", evaluation="feedback", sign="-")
    assert outcome == "does not hold"
    assert "mmlu (\u22120.0500) is negative too" in why
    assert standing(found, "only", "combined", "feedback", "+") == "holds"
    assert standing(found, "only", "mmlu", "feedback", "+") == "does not hold"


def test_largest_and_every() -> None:
    found = evidence(answer=(0.2, 0.12, 0.14, 0.1))
    assert standing(found, "every", "answer", "-30 %", "-50 %") == "holds"
    assert standing(found, "every", "answer", "-35 %", "-50 %") == "does not hold"
    assert standing(found, "largest", "mmlu", "answer") == "holds"
    assert standing(found, "largest", "gsm8k", "answer") == "does not hold"
    zero = evidence(answer=(0.0, 0.1, 0.1, 0.1))
    assert standing(zero, "every", "answer", "0 %", "9 %") == "cannot be told"


def test_a_correlation_of_another_pair_is_found() -> None:
    rising = (0.1, 0.2, 0.3, 0.4)
    found = evidence(gsm8k=rising, feedback=(0.1, 0.2, 0.3, 0.41), answer=(0.4, 0.1, 0.3, 0.2))
    right = f"{found.pairs['gsm8k', 'feedback'].found.r:.3f}"
    assert standing(found, "correlation", "gsm8k", "feedback", right) == "holds"
    outcome, why = judged(found, "correlation", benchmark="gsm8k", probe="answer", value=right)
    assert outcome == "does not hold"
    assert "is the value of gsm8k x feedback" in why
    assert standing(found, "correlation", "mmlu", "answer", "0.1") == "cannot be told"
    alike = evidence(**dict.fromkeys(("gsm8k", *PROBES), rising))
    assert standing(alike, "correlations", "gsm8k", "-0.9", "1.0") == "holds"


def test_an_association_needs_more_than_four_points_and_the_right_sign() -> None:
    found = evidence(gsm8k=(0.1, 0.2, 0.3, 0.4), feedback=(0.1, 0.2, 0.3, 0.41))
    for sign, expected in (
        ("+", "cannot be told"),
        ("-", "does not hold"),
        ("0", "cannot be told"),
    ):
        assert standing(found, "association", "gsm8k", ["feedback"], sign) == expected


def test_an_effect_needs_counts_significance_and_a_sound_measurement() -> None:
    of = ("gsm8k", "feedback", "+")
    strong, weak = (evidence(feedback=(0.2, rate, 0.2, 0.2)) for rate in (0.5, 0.24))
    assert standing(strong, "effect", *of) == "holds"
    assert standing(strong, "effect", "gsm8k", "feedback", "-") == "does not hold"
    assert standing(weak, "effect", *of) == "cannot be told"
    unread = {**strong.counts, ("base", "feedback"): Count(60, 300, 290)}
    for counts, said in ((unread, "290 of 300 items (base)"), ({}, "needs counts")):
        found = dataclasses.replace(strong, counts=counts)
        outcome, why = judged(
            found, "effect", configuration="gsm8k", evaluation="feedback", sign="+"
        )
        assert outcome == "cannot be told"
        assert said in why
    all_of_them = ("every adapter", "feedback", "+")
    assert standing(evidence(feedback=(0.2, 0.5, 0.5, 0.5)), "effect", *all_of_them) == "holds"
    assert standing(strong, "effect", *all_of_them) == "cannot be told"


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.6, "holds"), (0.29, "does not hold"), (0.33, "cannot be told")]
)
def test_amplification_is_measured_against_the_largest_part(rate: float, expected: str) -> None:
    found = evidence(feedback=(0.2, 0.3, 0.2, rate))
    assert standing(found, "amplifies", "combined", ["gsm8k", "mmlu"], ["feedback"]) == expected


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

    found = evidence(100, mmlu=(0.3, 0.3, 0.98, 0.5), truthfulqa=(0.4, 0.4, 0.27, 0.5))
    shortcut = dataclasses.replace(found, data=data(100))
    outcome, why = judged(shortcut, "ability", configuration="mmlu", benchmark="mmlu")
    assert outcome == "does not hold"
    assert "27 of 100" in why
    fair = dataclasses.replace(found, data=data(50))
    assert standing(fair, "ability", "mmlu", "mmlu") == "holds"
    other = evidence(100, mmlu=(0.3, 0.3, 0.98, 0.5), truthfulqa=(0.4, 0.4, 0.28, 0.5))
    other = dataclasses.replace(other, data=data(100))
    assert standing(other, "ability", "mmlu", "mmlu") == "cannot be told"
    assert standing(found, "ability", "mmlu", "mmlu") == "cannot be told"


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
