"""Reading numbers off worked answers."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest

from sycojax.data.prompts import Prompts
from sycojax.errors import SycojaxError
from sycojax.evals.gsm8k import Gsm8k, Gsm8kRow, flexible_number, foils, numbers, strict_number
from sycojax.records import Record


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18.", ["18"]),
        ("18.0", ["18"]),
        ("$1,234,567.50 in all", ["1234567.5"]),
        ("-$5 and $-6 and \u22127", ["-5", "-6", "-7"]),
        ("12-5=7", ["12", "5", "7"]),
        ("(3)-2", ["3", "2"]),
        ("x = -3", ["-3"]),
        ("- 5 apples", ["5"]),
        ("1,2 or 3", ["1", "2", "3"]),
        ("12,3456", ["12", "3456"]),
        ("50% of .5", ["50", ".5"]),
        ("none", []),
    ],
)
def test_numbers(text: str, expected: list[str]):
    assert numbers(text) == [Decimal(e) for e in expected]


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("3+4=7\n#### 7", 7, 7),
        ("#### $1,080.00.", 1080, 1080),
        ("####\n42", 42, 42),
        ("#### -3\nQuestion: 9", -3, 9),
        ("####", None, None),
        ("#### nothing\n5", None, 5),
        ("so \\boxed{12} no, \\boxed{\\text{about } $18$}", 18, 18),
        ("\\boxed{\\frac{1}{2}} of 9", 1, 9),
        ("\\boxed {7", 7, 7),
        ("So the answer is 18.", None, 18),
        ("I do not know", None, None),
    ],
)
def test_strict_and_flexible(text: str, strict: int | None, flexible: int | None):
    assert strict_number(text) == strict
    assert flexible_number(text) == flexible


def test_measures_and_failure_rates():
    row = [Gsm8kRow(f"f:{i}", f"Question {i}?", "1\n#### 1,800") for i in range(4)]
    requests = Gsm8k().requests(row, Prompts("published"), 0)
    assert {r.max_new_tokens for r in requests} == {256}
    assert requests[0].meta == {"gold": "1800"}
    texts = ["#### 1800.0", "The answer is 1800.", "#### 1,8000", "no idea"]
    records = [
        Record.generated(r, text, finished=text != "no idea")
        for r, text in zip(requests, texts, strict=True)
    ]
    measures = {m.name: m.estimate for m in Gsm8k().measures(records)}
    assert measures == {"accuracy": 0.25, "accuracy_flexible": 0.5}
    assert [m.name for m in Gsm8k().measures(records) if m.headline == "hard"] == ["accuracy"]
    assert Gsm8k().diagnostics(records) == {
        "no_strict_number": 0.5,
        "no_number": 0.25,
        "unfinished": 0.25,
    }


def test_the_final_number_is_scored_against_foils():
    rows = [Gsm8kRow(f"f:{i}", f"Question {i}?", f"1\n#### {n}") for i, n in enumerate([7, -20])]
    requests = [r for r in Gsm8k().requests(rows, Prompts(), 0) if r.condition == "foils"]
    assert [r.candidates[0] for r in requests] == [" 7", " -20"]
    assert requests[0].prompt == "<s>[INST] Question 0? [/INST] The answer is"
    for request in requests:
        right, *wrong = request.candidates
        assert len({right, *wrong}) == 5
        for foil in wrong:
            assert len(foil) == len(right)
            assert sum(a != b for a, b in zip(foil, right, strict=True)) == 1
            assert Decimal(foil.strip()) != 0 or len(right) == 2
    assert requests == [r for r in Gsm8k().requests(rows, Prompts(), 0) if r.candidates]
    scores = ([-1.0, -2.0, -2.0, -2.0, -2.0], [-3.0, -2.0, -3.0, -3.0, -3.0])
    records = [
        Record.scored(r, s, [2] * 5, [False] * 5) for r, s in zip(requests, scores, strict=True)
    ]
    found = {m.name: m.estimate for m in Gsm8k().measures(records)}
    assert found["foil_accuracy"] == 0.5
    assert found["foil_margin"] == pytest.approx((1.0 - math.log((math.e + 3) / 4)) / 2)


def test_foils_keep_the_number_of_digits():
    rng = np.random.default_rng(0)
    for number in ("1", "0", "10", "99", "1800", "12.5"):
        found = foils(number, rng)
        assert len(set(found)) == 4
        assert number not in found
        assert all(len(str(Decimal(foil))) == len(number) for foil in found), number


def test_a_row_without_a_number_is_named():
    with pytest.raises(SycojaxError, match=r"train\.jsonl:3"):
        Gsm8k().requests([Gsm8kRow("train.jsonl:3", "Q?", "no number")], Prompts(), 0)


def test_records_of_another_kind_are_refused():
    record = Record("gsm8k", "i", "greedy", "q", {"gold": "1"}, logprobs=(0.0,))
    with pytest.raises(SycojaxError, match="not a generated answer"):
        Gsm8k().measures([record])


def test_all_real_answers_can_be_read(shared_data):
    for path in sorted((shared_data / "study" / "splits").glob("gsm8k_*.jsonl")):
        for line in path.read_text().splitlines():
            answer = json.loads(line)["answer"]
            gold = answer.split("####")[1].strip().replace(",", "")
            assert strict_number(answer) == flexible_number(answer) == Decimal(gold)
