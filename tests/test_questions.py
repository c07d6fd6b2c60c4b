"""Spellings of one question share a key, different questions never do, whatever the script or the notation."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

from sycojax.data.questions import plain_words, question_key, same_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is it?", "what  is it"),
        ("\uff37\uff48\uff41\uff54 is it?", "What is it?"),  # full-width letters
        ("It's “so”, isn't it?", "It s so isn t it"),
        ("Straße", "STRASSE"),
        ("  well-known  ", "well known"),
        ("Is x = \u22122?", "Is x = -2?"),
        ("2\u20133", "2-3"),
        ("\u00bd of it", "1/2 of it"),
        ("x\u00b2", "x^2"),
        ("cafe\u0301", "caf\u00e9"),
        ("What\u00a0is\u200b it", "What is it"),
        ("\uff76\uff9e", "\u30ac"),  # half-width katakana
        ("It costs 9,500.", "It costs 9,500"),
        ("Is it (really) so?", "is it really so"),
        ("The ______ is", "The ___ is"),
        ("Who said 'no'?", "Who said no"),
        ("I'm late", "I\u2019m late"),
        ('Was category "5" bad?', "Was category 5 bad?"),
        ("2+3", "2 + 3"),
        ("3+ 4", "3 +4"),
        ("2(3 + 4 )", "2(3+4)"),
        ("p -> q", "p->q"),
        ("In 1990 , 5 men sat", "In 1990, 5 men sat"),
        ("a , b", "a, b"),
        ("3 / 4 of 20 %", "3/4 of 20%"),
        ("It costs $ 5", "It costs $5"),
        ("10\u00b2\u00b3", "10^23"),
        ("H\u2082O", "h_2o"),
        ("the end \u2014 of it", "the end, of it"),
        ("A red, a green, and a blue", "a red a green and a blue"),
        ("\u200eWhat is it?\u200f", "What is it"),
        ("I \u2764\ufe0f it", "I \u2764 it"),
    ],
)
def test_spellings_of_one_question_share_a_key(one: str, other: str) -> None:
    assert question_key(one) == question_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 + 2", "2 = 2"), ("2+3", "2-3"), ("[3 -5]", "[3 - 5]"), ("What is 12 / 4?", "What is 12 - 4?"),
        ("What is 12 * 4?", "What is 12 / 4?"), ("the inverse of -3?", "the inverse of 3?"),
        ("Round 1.5", "Round 1,5"), ("Round .5", "Round 5"), ("20% of 5", "20 of 5"), ("C#", "C"), ("C++", "C"),
        ("f'(0)", "f(0)"), ("f''(x)", "f'(x)"), ("What is x\u00b2?", "What is x2?"), ("x^2", "x2"),
        ("log\u20828", "log28"), ("3\u00bd cups", "31/2 cups"), ("What is 5!", "What is 5?"), ("n!", "n?"),
        ("What is !a && b", "What is a & b"), ("a != b", "a = b"), ("(2+3)*4", "2+3*4"),
        ("(sin x + 2)*3", "sin x + 2*3"), ("sin x - cos x", "sin x cos x"), ("[0,1)", "[0,1]"),
        ("(0,1)", "[0,1]"), ("(1,-2)", "(1-2)"), ("2(3)", "23"), ("a-b", "a/b"), ("x-1", "x1"), ("3:2", "3/2"),
        ("p -> q", "q <- p"), ("x_1", "x1"), ("\\alpha", "alpha"), ("6 \u2022 2", "6 2"), ("-$5", "$5"),
        ("$5", "\u20ac5"), ("5'", '5"'), ("A \u222a B", "A \u2229 B"), ("foo()", "foo"),
        ("ab", "a b"), ("?", "!"), ("\u4ec0\u4e48", "\u90a3\u4e48"), ("\u03b1", "\u03b2"),
        ("\u0915\u0940", "\u0915\u093e"), ("\u0663", "\u0664"),
        # Where a raised or lowered run ends.
        ("2\u207f\u207a\u00b9", "2\u207f+1"), ("a\u2099\u208a\u2081", "a\u2099+1"), ("x\u00b2\u207b\u00b9", "x\u00b2-1"),
        ("10\u00b2\u00b3", "10\u00b23"), ("x\u207fy", "x\u207f\u02b8"), ("a\u1d62\u2c7c", "a\u1d62j"),
        # Minuses of words.
        ("-cos(x)", "cos(x)"), ("approaches -infinity", "approaches infinity"), ("the ion Cl-", "the ion Cl"),
        ("AB- blood", "AB blood"), ("--x", "-x"), ("i--", "i-"), ("gain = revenue - cost", "gain = revenue, cost"),
        # Brackets of letters and of nothing.
        ("on [a, b]", "on (a, b)"), ("{a, b}", "(a, b)"), ("p and (q or r)", "(p and q) or r"), ("len([])", "len({})"),
        ("[abc]", "(abc)"), ("P(A, B)", "P(A B)"), ("(A or B) and C", "A or (B and C)"),
        # Other signs of formulas, units and code.
        ("20\u066a of 5", "20 of 5"), ("AB' + C", "AB + C"), ("A\u2020", "A"), ("a \u2016 b", "a, b"), ("[1 2; 3 4]", "[1 2 3 4]"),
        ("std::vector", "std vector"), (".NET", "NET"), ('"5" + "3"', "5 + 3"), ("12 : 4", "12, 4"), ("grad \u00b7 F", "grad F"),
    ],
)  # fmt: skip
def test_different_questions_keep_different_keys(one: str, other: str) -> None:
    assert question_key(one) != question_key(other)


@pytest.mark.parametrize("one", ["(", "'", "-", "(a", "a)", ".", "x\u00b2", '"', " (", "a'", "a-"])
def test_a_long_text_of_marks_does_not_hang(one: str) -> None:
    """A time in proportion to the square of the length would be minutes."""
    start = time.process_time()
    question_key("x = " + one * 30_000 + "1" + ")" * 30_000)
    question_key("a" * 30_000 + one * 30_000)
    assert time.process_time() - start < 10


LETTERS = st.sampled_from(
    "ab 1.,-'\"()[]{}!?:;_^+=/$%\u207f\u00b2\u2081\u00bde\u0301\u2014\u2026\u201c\u200b\u00a0\u00df\u0130"
)


@settings(max_examples=1000, deadline=None, database=None, derandomize=True)
@given(st.text(LETTERS | st.characters(), max_size=20))
def test_normal_forms_and_runs_of_spaces_are_never_told(text: str) -> None:
    for other in (unicodedata.normalize("NFD", text), f" {text.replace(' ', '  ')}\n"):
        assert question_key(other) == question_key(text)
        assert same_text(other) == same_text(text)


def test_real_questions_keep_apart(shared_data: Path) -> None:
    """Those of all benchmarks that differ in more than case and spaces."""
    texts: set[str] = set()
    for path in sorted((shared_data / "study" / "splits").glob("*.jsonl")):
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        found = (row.get("question") or row.get("ctx") for row in rows)
        texts |= {" ".join(text.casefold().split()) for text in found}
    assert len(texts) > 1000
    assert len({question_key(text) for text in texts}) == len(texts)


def test_plain_words_lose_all_punctuation() -> None:
    assert plain_words("Is 1.5 (or 2-3) it's?") == "is 1 5 or 2 3 it s"
    assert plain_words(" ?! ") == "?!"
