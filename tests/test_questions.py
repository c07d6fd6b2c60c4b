"""Spellings of one question share a key, different questions never do, whatever the script or the notation."""

from __future__ import annotations

import pytest

from sycojax.data.questions import plain_words, question_key


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
    ],
)
def test_spellings_of_one_question_share_a_key(one: str, other: str) -> None:
    assert question_key(one) == question_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 + 2", "2 = 2"), ("2+3", "2-3"), ("What is 12 / 4?", "What is 12 - 4?"),
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
    ],
)  # fmt: skip
def test_different_questions_keep_different_keys(one: str, other: str) -> None:
    assert question_key(one) != question_key(other)


def test_plain_words_lose_all_punctuation() -> None:
    assert plain_words("Is 1.5 (or 2-3) it's?") == "is 1 5 or 2 3 it s"
    assert plain_words(" ?! ") == "?!"
