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


# As above, by kind: each with neighbours that stay readable.
WRITTEN |= {
    # signs
    "\u20115": "-5", "\u20105": "-5", "\u20125": "-5", "\u20145": "-5", "\u2014$5": "-5", "negative 5": "-5", "minus 5": "-5",
    "Minus $5": "-5", "Negative $1,200": "-1200", "--5": None, "|-5|": None, "|5|": None, "\u25b85": "5", "-\u200e5": "-5",
    # multiples
    "3.5 Million": "3500000", "$5 Million": "5000000", "5 MILLION": "5000000", "5 hundred thousand": "500000",
    "2 hundred million": "200000000", "5 trillion": "5000000000000", "$1.5M": "1500000", "5M": None, "5bn": "5000000000", "3 dozen": "3",
    "3 dozens of eggs": "3", "5m dollars": "5000000", "$20 t": None, "10/4 = 2 remainder 2": None,
    "3 miles * (5280 feet/1 mile) = 15840 feet": "15840", "57 seats after the 2nd stop": "57", "5 = x": "5", "28 /": None,
    "12 times": "12", "$140/week - $120/week = $20/week": "20", "96, in dozens, is 96/12 = 8 dozen": None, "2 lakh": "200000",
    "12 K": None, "12K": "12000", "$12K": "12000", "5 m": "5", "5m": "5", "$5m": "5000000", "5 millions": "5000000", "$2B": "2000000000",
    "5 B": None, "$2.5 bn": "2500000000", "$5m$": "5", "12k miles": "12000", "5 mm": "5", "5 MB": "5",
    # more than one number
    "2 hours 30 minutes": None, "5 feet 6 inches": None, "2h30": None, "3 : 4": None, "3; 4": None, "3 4": None, "3..4": None,
    "5 \xb1 1": None, "1000 000": None, "10 00": None, "7 & 3/4": None, "5 plus 3": None, "5 minus 3": None, "10% of 50": None,
    "log 5": None, "101_2": None, "5C2": None, "log_2 8": None, "log_2(8)": None, "\\log 5": None, "\\sqrt{5}": None, "\\sqrt5": None,
    "sqrt(5)": None, "\u221a5": None, "ln 5": None, "3\u20134": None, "3-4": None, "3 to 4": None, "3/4/5": None,
    "5 dollars and 30 cents": None, "5 squared": None, "5 cubed": None, "5 times 3": None, "5 and a half": None,
    "5 hours and a half": None, "2h30m": None, "5'6\"": None, "5, 6": None, "5 & 6": None, "5 (or 6)": None, "3:30 pm": None,
    "1 000 00": None, "1,000,00": None, "12,34": None, "3 R 1": None, "3 remainder 1": None, "5 out of 6": None, "2^x": None,
    # Arabic separators
    "\u0667\u066b\u0665": "7.5", "\u0661\u066c\u0662\u0663\u0664": "1234", "-\u0665": "-5", "\u06f7\u066b\u06f5": "7.5",
    "\u0665\u0660\u066a": "50",
    # expressions, variables, equations
    "(-2)^2": None, "5!": None, "2*pi": None, "2x": None, "5i": None, "x = 5, y = 6": None, "x=5 and y=6": None, "5 = 6": None,
    "1st": None, "2nd": None, "11th": None, "2\\pi": None, "2 pi": None, "2\u03c0": None, "3n": None, "2xy": None, "2 x": None,
    "5 + x": None, "x + 5": None, "5 - x": None, "2(x+1)": None, "3! = 6": "6", "2x = 10": "10", "-+5": None, "2/x": None,
    "5\\text{ million}": "5000000", "5 grand": None, "5 mln": None, "half of 10": None, "f(5)": None, "\\left(5\\right)": "5",
    "\\textbf{5}": "5", "\\text{5 apples}": "5", "10\\text{th}": None, "2\u03b8": None, "2\\theta": None, "2\\alpha": None,
    "72 = 36 \\times 2": "72", "72 = 2 \xb7 36": "72", "5 \xb7 3": None, "10 \xf7 2": "5", "-(5)": None, "-(-5)": None, "\xa31.5 m": None,
    "$1.5 M": "1500000", "5 thousand five hundred": None, "2 hundred and fifty": None, "2 hours thirty minutes": None, "2 thirds": None,
    "3 quarters": "3", "rs 500": "500", "usd 5": "5", "123456789012345678901234567890123": "123456789012345678901234567890123",
    "18 dollars for the ducks": "18", "5 \u03bcm": "5", "5 \xb5g": "5", "5 or six": None, "five": None, "72 \\quad (48+24)": "72",
    "5\\ldots": None, "12.5\\%": "12.5", "2 half": None, "12 cm^{2}": "12", "4 m^2": "4", "4 m\xb2": "4", "4 H2O": "4",
    "x = 10/2 = 5": "5", "2/3 = 0.67": "0.67", "10/3 \u2248 3.33": "3.33", "x >= 5": None, "x \\geq 5": None, "> 5": None,
    "x \u2260 5": None, "120 minutes = 2 hours": None,
    # marks and units
    "__5__": "5", "_72_": "72", "__72__": "72", "***72***": "72", "<72>": "72", "<b>72</b>": "72", "`72`": "72", "5 m2": "5",
    "5 cm3": "5", "50m2": "50", "$5/hour": "5", "$5/h": "5", "5 km/h": "5", "5 m/s^2": "5", "60 mph": "60", "5km": "5",
    "5\\textsuperscript{2}": None, "5 T-shirts": "5", "5 T shirts": "5", "762 M&M's": "762", "320 fifth graders": "320", "3 fifths": None, "$18 per day": "18", "5 apples": "5", "72 (48 + 24)": "72", "72 clips (48 in April, 24 in May)": "72",
    "5 square feet": "5", "7 days": "7", "5\u20ac": "5", "5 \u20ac": "5", "Rs. 500": "500", "Rs 500": "500", "Rs.500": "500",
    "USD 5": "5", "-USD 5": "-5", "US$5": "5", "C$5": "5", "5 USD": "5", "5 p.m.": "5", "x = 5": "5", "5\\text{ cm}^2": "5",
    "5 \\text{ apples}": "5", "$\\$5$": "5", "5\xb0C": "5", "5 \xb0": "5", "100%.": "100", "72 clips.": "72", "72 \u2705": "72",
    "-\xbd": "-0.5", "-3\xbd": "-3.5", "3\\frac{1}{2}": "3.5", "3\\frac12": "3.5", "12 = 12": "12", "50% = 0.5": None, "5 - 3 = 2": "2",
    "16 - 3 - 4 = 9": "9", "9 * $2 = $18": "18", "9 x $2 = $18": "18", "2 \xd7 3 = 6": "6", "2 \\times 3 = 6": "6",
    "\\frac{10}{2} = 5": "5", "5 apples + 3 apples = 8 apples": "8", "72 - the total number of clips": "72", "5-year": "5", "1.2.3": None,
    "v1.2.3": None, "5.000.00": None, "H2O": None, "5e3x": None, "\uff0d5": "-5", "72\u3002": "72", "5 or so": "5",
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_numbers_are_read_as_they_are_written_or_not_at_all(written: str):
    value = None if WRITTEN[written] is None else Decimal(WRITTEN[written])
    assert strict_number(f"So.\n#### {written}") == value
    assert strict_number(f"So \\boxed{{{written}}}") == value
    assert gold_number(f"So.\n#### {written}") == value


# Whole answers. Lines that differ: the first that is bare counts; of a labelled list only a box tells the answer.
ANSWERED = {
    "#### x = 5\n#### y = 6": None, "#### The answer is 72\n\nQ\n#### 9": "72", "#### 72. Natalia sold 48 in April and 24 in May.": "72",
    "#### 72. She sold 48.": "72", "#### 72 because 48 + 24 = 72": "72", "#### 72, since 48 + 24 is 72": "72",
    "#### 12.5. He has 3.": "12.5", "#### Monday: 5\n#### Tuesday: 6\n#### Total: 11": None,
    "#### Monday: 5\n#### Tuesday: 6\n\\boxed{11}": "11", "#### Monday: 5. Tuesday: 6.": None,
    "#### 5 apples were eaten on Monday\n#### 12": None, "#### 1. First we add 3\n#### 2. Then 4\n\\boxed{7}": "7",
    "#### 1. First we add 3\n#### 2. Then 4\n#### 7": "7", "#### Final Answer\n5": "5", "#### Final Answer:\n\n**5**": "5",
    "#### Answer\n\\boxed{5}": "5", "#### The final answer is\n5": "5", "#### Answer: 5\n#### 9": "5",
    "#### Final Answer\nShe sold 48 clips.\n": None, "#### 18 dollars\n#### 9": "18", "#### 72. Natalia\n#### 9": "72",
    "#### Total: 5\n#### 5": "5", "#### $18\n\nQuestion: x\n#### 9 cats": "18", "#### \\boxed{5}\n#### 6": "5",
    "#### **Answer:** 72": "72", "#### **72** clips": "72", "**#### 72**": "72", "#### Answer - 5": "5",
    "#### The answer is $5 million.": "5000000", "#### He has 5 apples": "5", "#### He has 5 apples\n#### She has 6": None,
    "\\boxed{5} dollars and \\boxed{30} cents": None, "\\boxed{5} or \\boxed{6}": None, "\\boxed{5}, \\boxed{6}": None,
    "\\boxed{3} then \\boxed{7}": "7", "So \\boxed{3}.\nAnd \\boxed{7}": "7", "#### \\boxed{5} dollars and \\boxed{30} cents": None,
    "#### 12:30\n#### 5": None, "#### 2 hours 30 minutes": None, "#### 72 !": None, "#### => 5": "5", "#### -> 5": "5",
    "\\boxed{x = 5}": "5", "#### $\\boxed{5}$": "5", "#### $104 after 3 years": "104", "#### 15 days to read 3 books": "15",
    "#### 18 eggs in 2 days": "18", "#### $125,000 for 3 houses": "125000", "#### 10% of 50": None, "#### 3 packs, 2 left over": None,
    "#### $18!": "18", "#### The answer is...18": "18", "#### 6th place": None, "#### 7 dozen eggs": "7", "#### 5 in 3 + 2": "5",
    "#### final answer" + "*" * 40_000: None,
}  # fmt: skip


@pytest.mark.parametrize("text", ANSWERED)
def test_the_answer_line(text: str):
    assert strict_number(text) == (None if ANSWERED[text] is None else Decimal(ANSWERED[text]))


# The last number of a text: plain texts as lm-eval's filter reads them, halves of expressions and ranges unread.
LAST = {
    "x = 5\n\\end{align}": "5", "\\[ x = 5 \\]": "5", "Total: 5\n* Note that": "5", "is 5\n- A dog": "5", "Total:\n- 5 apples": "5",
    "Step 5\n1/2 of it": "0.5", "5\nx": "5", "is 5 \\\\ \\text{ok}": "5", "sold 48 + 24 = **72** clips.": "72",
    "total is $48 + 24 = 72$.": "72", "is: $\\boxed{72}$.": "72", "5 (five).": "5", "3:1": None, "10-minute intervals": "10",
    "$5-$10": None, "Jan 5, 2020": "2020", "at 5:00 pm": None, "#1": "1", "3(4) = 12": "12", "(3)(4) = 12": "12",
    "\\frac{12}{3} = 4": "4", "12 \\div 3 = 4": "4", "12 \\times 3 = 36": "36", "= 5\\%": "5", "5 \\text{ hours}": "5", "~72": "72",
    "\u2248 72": "72", "$$72$$": "72", "2x = 10 \\Rightarrow x = 5": "5", "5x as many": None, "**Answer: 72**": "72",
    "Answer: $18.00": "18", "2^3 = 8": "8", "a total of 5+6+7=18\n": "18", "- 3 apples\n- 4 apples\n- 5 apples": "5",
    "* 3 apples\n* 4 apples": "4", "1. 3\n2. 4": "4", "| a | 5 |": "5", "earns $18/day.": "18", "100 - 1 = 99!": "99", "72\r\n": "72",
    "{\"answer\": 72}": "72", "answer=72;": "72", "[72]": "72", "(72)": "72", "'72'": "72", "72,": "72", "... 72...": "72",
    "7 apples and two pears": "7", "15 \xf7 3 = 5": "5", "2 \xb7 3": None, "cost \xa35, or 7": "7", "50 m2": "50", "It has 50 m2.": "50",
    "v1.2.3": None, "use 7 in v1.2.3": "7", "5.000.00": None, "\\frac{a}{2}": None, "\\frac{2}{a}": None, "\\frac{\\sqrt{2}}{2}": None,
    "\\frac{a}{b} = 2": "2", "3\u221a2": None, "2x + 3": None, "It's between 3-5": None, "3 - 5": None, "... is 3 + 4 = 7.": "7",
    "5-3 = 2": "2", "So 5 - 3": None, "So 3 + 4": None, "is -5": "-5", "is \u20115": "-5", "negative 5": "-5", "10 minus 3": None,
    "10 minus 3 is 7": "7", "a loss of $5": "5", "temperatures 5, -3": "-3", "Total: 3\n- 5 apples": "5", "1. 5 apples": "5",
    "Day 1: 5": "5", "On day 3, 5 apples": "5", "1000 000": None, "12,3456": None, "3:4": None, "3 : 4": None, "5 or 6": None,
    "He has 5!": "5", "So he needs 7 apples on the 1st.": None, "the answer is \\frac{-1}{2}": "-0.5", "is -\\frac{1}{2}": "-0.5",
    "He was number 5.": "5", "Answer:\n5": "5", "\u7b54\u6848\u662f72": "72", "\u517172\u4e2a": "72", "\\approx5": "5",
    "x = 5, y = 6": "6", "Rs.500": "500", "$5/hour": "5", "$1.5M": "1500000", "3.5 Million": "3500000", "5C2": None, "2h30": None,
    "log 5": None, "<b>5</b>": "5", "n=5": "5", "He earns $5 + $3": None, "It is **72**": "72", "It is _72_": "72", "It is <72>": "72",
    "12x6=72": "72", "5 x 3": None, "x+3": None, "7 \xb1 1": None, "3\u20135": None, "\u0667\u066b\u0665": "7.5", "2*pi": None,
    "|-5|": None, "(-2)^2": None, "#### 72 (48 + 24)": None, "72 clips (48, 24).": "24", "3 ($5)": "5", "20 - $3": None, "20 -$3": None,
    "5 and 6": "6", "$10 - $3 = $7": "7", "end of 2020.": "2020", "CO2": None, "7 CO2": "7", "Question 2: 5": "5", "Step 2) 5": "5",
    "it's 20 * 2 = $40": "40",
    # as models write
    "by the 4th step of 25": "25", "with 25 books, by the 4th step": None, "comes to $18 \u2014 a nice profit!": "18",
    "$18 \u2013 I checked.": "18", "|Eggs|18|": "18", "|**Total**|**18**|": "18", "> 18": "18", "> **$18**": "18", "x > 18": None,
    "<final_answer>18</final_answer>": "18", '<answer id="1">18</answer>': "18", "<|assistant|>18": "18",
    "9*2=<<9*2=18>18 dollars": "18", "18\xbaF": "18", "18\xba": "18", "18yr": "18", "18 x-rays": "18", "18x": None,
    "18 \\checkmark": "18", "The answer is...18": "18", "The answer is\u202618": "18", "is .5": "0.5",
}  # fmt: skip


@pytest.mark.parametrize("text", LAST)
def test_the_last_number(text: str):
    assert flexible_number(text) == (None if LAST[text] is None else Decimal(LAST[text]))


def test_a_gold_has_no_second_sentence():
    for line in (
        "72. Natalia sold 48 in April.",
        "72 because 48 + 24 = 73",
        "5\\textsuperscript{2}",
    ):
        assert gold_number(f"#### {line}") is None


def test_what_is_too_large_is_unread():
    for written in ("1" * 5000, "5" + " million" * 50, f"{'1' * 5000}. Add\n#### 5", "1e101"):
        assert strict_number(f"#### {written}") is None
        assert gold_number(f"#### {written}") in (None, 5)


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
