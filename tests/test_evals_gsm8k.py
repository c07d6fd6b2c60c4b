"""Reading numbers off worked answers."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest

from sycojax.data.prompts import Prompts
from sycojax.errors import SycojaxError
from sycojax.evals.gsm8k import Gsm8k, Gsm8kRow, foils
from sycojax.evals.numbers import flexible_number, gold_number, numbers, strict_number
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
        ("\\boxed{\\frac{1}{2}} of 9", 0.5, 9),
        ("\\boxed {7", 7, 7),
        ("So the answer is 18.", None, 18),
        ("I do not know", None, None),
    ],
)
def test_strict_and_flexible(text: str, strict: float | None, flexible: float | None):
    assert strict_number(text) == strict
    assert flexible_number(text) == flexible


# What people and models write behind the mark, and its value, decided by hand; None: not to be read as a number.
WRITTEN = {
    "72.": "72", "$1,250": "1250", "1,250.00": "1250", "\u22125": "-5", "\u20135": "-5", "- 5": "-5", "-$5": "-5", "$-5": "-5",
    "($5)": "5", "50%": "50", "75 %": "75", "1/2": "0.5", "3 1/2": "3.5", "-3 1/2": "-3.5", "1\u00bd hours": "1.5",
    "5/8 of the cake": "0.625", "8 000": "8000", "8\u00a0000": "8000", "8\u202f000": "8000", "1_000": "1000", "1'000": "1000",
    "1e3": "1000", "1.5e3": "1500", "1.2E+06": "1200000", "2 \\times 10^3": "2000", "10\u00b3": "1000", "2^5": "32",
    "**72**": "72", "\\(72\\)": "72", "$72$": "72", "\\$72": "72", "x = 72": "72", "=-5": "-5", "\\text{Total: } 72": "72",
    "Final answer: $5.": "5", "12*6=72": "72", "12 x 6 = 72": "72", "72 = 36 + 36": "72", "<<12*6=72>>72": "72",
    "5-3=2": "2", "72 clips (36+36)": "72", "\u0667\u0662": "72", "\uff17\uff12": "72", "1.000.000": "1000000",
    "1.000,50": "1000.5", "\u20b91,00,000": "100000", "9{,}500": "9500", "8\\,000": "8000", "\\frac{3}{4}": "0.75",
    "-\\dfrac{1}{2}": "-0.5", "\\frac{-1}{2}": "-0.5", "$1.5 million": "1500000", "5k": "5000", "5 km": "5", "7^\\circ": "7",
    "12 cm^2": "12", ".5": "0.5", "+5": "5", "00072": "72", "US$5": "5",
    "seventy-two": None, "12:30": None, "1,2,3": None, "3,5": None, "1,8000": None, "1/0": None, "1e400": None, "12*6": None,
    "5-6": None, "5 or 6": None, "<5": None, "2\\sqrt{3}": None, "3\\pi": None, "(3, 4)": None, "\\frac{a}{2}": None,
    "1/2/2020": None, "5'6": None, "3.14.15": None,
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_numbers_are_read_as_they_are_written(written: str):
    value = None if WRITTEN[written] is None else Decimal(WRITTEN[written])
    assert strict_number(f"So.\n#### {written}") == value
    assert strict_number(f"So \\boxed{{{written}}}") == value
    assert gold_number(f"So.\n#### {written}") == value


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("#### Step 1\nWe add 3+4=7.\n#### 7", 7, 7),
        ("#### 1. Add\n3+4=7.\n#### 7", 7, 7),
        ("#### Solution\nWe add 3+4.\n\\boxed{7}", 7, 7),
        ("#### 7\n\nQuestion: another\n#### 9", 7, 9),
        ("\\boxed{3} then \\boxed{7}", 7, 7),
        ("\\boxed 7", 7, 7),
        ("The answer is $9{,}500.", None, 9500),
        ("It takes 12 cm^2.", None, 12),
        ("The clock says 12:30", None, None),
        ("So 3 1/2", None, 3.5),
    ],
)
def test_headings_second_marks_and_last_numbers(
    text: str, strict: float | None, flexible: float | None
):
    assert strict_number(text) == strict
    assert flexible_number(text) == flexible


def test_a_gold_is_what_stands_behind_the_last_mark_and_nothing_else():
    assert gold_number("See #### 9 of the sheet.\n#### 12") == 12
    assert gold_number("#### Part 1\nstuff\n#### 40") == 40
    for answer in ("#### 2 hours 30 minutes", "#### Step 1", "no mark 5", "#### 5\nand 6", "####"):
        assert gold_number(answer) is None
    (request, _) = Gsm8k().requests([Gsm8kRow("f:1", "Q?", "#### 1.5e3")], Prompts(), 0)
    assert request.meta == {"gold": "1500"}


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
        "no_strict_number": 0.75,  # "1,8000" is no number
        "no_number": 0.5,
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
