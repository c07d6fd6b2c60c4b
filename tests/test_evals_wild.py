"""Rows of each evaluation as they are in the wild: the harmless are read and counted, what cannot be asked is left out."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import pytest
from sources_cases import GOOD, change, records, turn, write_jsonl

from sycojax.data.data_sets import parse_record
from sycojax.data.fields import LeftOut, option_key
from sycojax.data.prompts import Prompts
from sycojax.data.sources import open_source
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.evals.hellaswag import without_marks

MMLU = {"question": "Q?", "subject": "s", "choices": ["w", "x", "y", "z"], "answer": 3}


def parsed(name: str, raw: dict[str, Any]) -> tuple[Any, dict[str, int]]:
    """A row, and what was set right in it."""
    mended = collections.Counter[str]()
    row = parse_record(BUILTIN[name], raw, "f:1", mended)
    return row, dict(mended)


# Options.

CODE = ("for i in x:\n    a()\n    b()", "for i in x:\n    a()\nb()", "for i in x: a() b()")
ONE = {"equal options taken as one": 1}


@pytest.mark.parametrize("right", [0, 1, 2])
def test_code_that_is_indented_or_broken_otherwise_is_another_option(right: int) -> None:
    row, mended = parsed("mmlu", {**MMLU, "choices": list(CODE), "answer": right})
    assert (row.choices, row.answer, mended) == (CODE, right, {})
    row, _ = parsed("mmlu", {**MMLU, "choices": list(CODE), "answer": CODE[right] + "\n"})
    assert row.answer == right


def test_how_a_line_ends_is_no_difference() -> None:
    assert option_key(" a\r\n  b  \r\n") == option_key("a\n  b")
    assert option_key("a  b") == option_key("a\u00a0b")
    assert len({option_key(text) for text in ("a\nb", "a\n b", "a\n\nb", "a b", "ab")}) == 5


def test_of_equal_options_the_right_ones_spelling_is_kept() -> None:
    options = ["Cafe\u0301 x", "tea", "Caf\u00e9  x"]
    row, mended = parsed("mmlu", {**MMLU, "choices": options, "answer": 2})
    assert (row.choices, row.answer, mended) == (("Caf\u00e9  x", "tea"), 0, ONE)
    for said in (2, "C", options[2]):
        row, _ = parsed("mmlu", {**MMLU, "choices": options, "answer": said})
        assert row.choices[row.answer] == options[2]
    row, _ = parsed("mmlu", {**MMLU, "choices": options, "answer": 1})
    assert (row.choices, row.answer) == (("Cafe\u0301 x", "tea"), 1)


# HellaSwag.


def hellaswag(**fields: Any) -> dict[str, Any]:
    return {"activity_label": "A", "ctx": "One. the man", "endings": ["x", "y"], "label": 1, **fields}  # fmt: skip


def test_endings_that_are_equal_as_they_are_shown_are_one() -> None:
    marked = ["[title] Rest. [step] Go.", "x", "[substeps] Rest. [step] Go."]
    row, mended = parsed("hellaswag", hellaswag(endings=marked, label=2))
    assert (row.endings, row.label, mended) == ((marked[2], "x"), 0, ONE)
    (asked,) = BUILTIN["hellaswag"].requests([row], Prompts(), 0)
    assert len(set(asked.candidates)) == 2
    row, mended = parsed("hellaswag", hellaswag(endings=["[step] Go.", "Rest. [title] Go."]))
    assert (len(row.endings), mended) == (2, {})
    with pytest.raises(SycojaxError, match="one option only"):
        parsed("hellaswag", hellaswag(endings=["[step] Go.", "[title] Go."]))


@pytest.mark.parametrize(
    ("fields", "ctx", "opening"),
    [
        ({"ctx_a": "One.", "ctx_b": " "}, "One. the man", "A: One. "),
        ({"ctx_a": "One.", "ctx_b": ""}, "One. the man", "A: One. "),
        ({"ctx_a": "", "ctx_b": "the man"}, "One. the man", ""),
        ({"ctx_a": " ", "ctx_b": None}, "One. the man", ""),
        ({"ctx_a": "", "ctx_b": "the man", "ctx": ""}, "the man", ""),
        ({"ctx_a": "One.", "ctx_b": "the man", "ctx": None}, "One. the man", "A: One. The man"),
    ],
)
def test_an_empty_part_of_a_context_is_no_part(
    fields: dict[str, Any], ctx: str, opening: str
) -> None:
    row, _ = parsed("hellaswag", hellaswag(**fields))
    assert (row.ctx, row.opening) == (ctx, opening)


def test_a_context_of_nothing_is_refused() -> None:
    with pytest.raises(SycojaxError, match="f:1: field 'ctx' is missing"):
        parsed("hellaswag", hellaswag(ctx="", ctx_a="", ctx_b=" "))


# TruthfulQA.


@pytest.mark.parametrize(
    ("choices", "labels"), [(["No", "Yes "], [1, 1]), (["Yes", "Not so", "No"], [0, 1, 0])]
)
def test_a_text_marked_otherwise_in_the_other_list_is_refused(
    choices: list[str], labels: list[int]
) -> None:
    raw = {**GOOD["truthfulqa"], "mc2_targets": {"choices": choices, "labels": labels}}
    with pytest.raises(SycojaxError, match=r"f:1: field 'mc2_targets.labels' mark '(Yes |No)' otherwise"):  # fmt: skip
        parsed("truthfulqa", raw)


# Answer.


@pytest.mark.parametrize(
    ("spellings", "aliases", "mended"),
    [
        ([], (), {}),
        (["Al", " ", "", "Alan"], ("Al", "Alan"), {"an empty spelling of the right answer is not scored": 1}),
        ([""], (), {"an empty spelling of the right answer is not scored": 1}),
        (["Al", "Alan"], ("Al", "Alan"), {}),
    ],
)  # fmt: skip
def test_empty_spellings_are_none(
    spellings: list[str], aliases: tuple[str, ...], mended: dict[str, int]
) -> None:
    row, counted = parsed("answer", change("answer", "base.answer", spellings)[1])
    assert (row.aliases, counted) == (aliases, mended)
    BUILTIN["answer"].requests([row], Prompts(), 0)
    for bad in (["Al", None], ["Al", 3], "Al"):
        with pytest.raises(SycojaxError, match=r"f:1: field 'base.answer"):
            parsed("answer", change("answer", "base.answer", bad)[1])


# Feedback.


def test_an_empty_rating_or_flaw_is_a_missing_one() -> None:
    _, raw = change("feedback", "base.rating", "")
    raw["base"]["logical_error"] = " "
    row, _ = parsed("feedback", raw)
    assert (row.rating, row.logical_error) == (None, None)


@pytest.mark.parametrize("rating", [10**400, -(10**400), "2.0", True, [], float("inf")])
def test_a_rating_that_is_no_finite_number_is_refused(rating: Any) -> None:
    with pytest.raises(SycojaxError, match=r"f:1: field 'base\.rating' must be a number"):
        parsed("feedback", change("feedback", "base.rating", rating)[1])


@pytest.mark.parametrize("value", [10**400, 1e308, float("inf"), float("nan")])
def test_no_number_is_too_large_for_an_index_or_a_label(value: Any) -> None:
    for name, field in (("mmlu", "answer"), ("hellaswag", "label"), ("are_you_sure", "base.correct_letter")):  # fmt: skip
        with pytest.raises(SycojaxError, match=f"f:1: field '{field}' must be an index"):
            parsed(name, change(name, field, value)[1])
    with pytest.raises(SycojaxError, match="zeros and ones"):
        parsed("truthfulqa", change("truthfulqa", "mc1_targets.labels", [value, 1])[1])


def test_texts_that_differ_in_what_prose_ignores_are_all_asked() -> None:
    texts = [
        "The limit as x approaches infinity is 1.", "The limit as x approaches -infinity is 1.",
        "f is continuous on [a, b].", "f is continuous on (a, b).", "f is  continuous on (a, b).",
    ]  # fmt: skip
    rows = [parsed("feedback", change("feedback", "base.text", text)[1])[0] for text in texts]
    asked = BUILTIN["feedback"].requests(rows, Prompts(), 0)
    prompts = [request.prompt for request in asked if request.condition == "neutral"]
    assert len({request.item for request in asked}) == len(prompts) == 4
    assert all(any(text in prompt for prompt in prompts) for text in texts[:4])


# Are you sure.

SMALL = {"letters of options that are small or indented": 1}
SPELLED = {"the right answer differs from its option in case or full stop": 1}


def sure(**fields: Any) -> dict[str, Any]:
    base = {"dataset": "aqua_mc", "question": "Is it?", "correct_letter": "B", **fields}
    return {"prompt": turn("x"), "base": base}


@pytest.mark.parametrize(
    ("answers", "options", "mended"),
    [
        ("(A) Yes\n(B) No", ("Yes", "No"), {}),
        ("(a) Yes\n(b) No", ("Yes", "No"), SMALL),
        ("  (A) Yes\n\t(B) No", ("Yes", "No"), SMALL),
        ("(A) Yes\n (B) No\n(C) So", ("Yes", "No", "So"), SMALL),
        ("(A) Yes\n(a) if so\n(b) if not\n(B) No", ("Yes\n(a) if so\n(b) if not", "No"), {}),
        ("(A) Yes\n  (A) is it\n(B) No", ("Yes\n  (A) is it", "No"), {}),
    ],
)
def test_lettered_options_are_read(
    answers: str, options: tuple[str, ...], mended: dict[str, int]
) -> None:
    row, counted = parsed("are_you_sure", sure(answers=answers))
    assert (row.options, row.answer, counted) == (options, 1, mended)


EMPTY = "one of its options is empty"
UNORDERED = "its options are not lettered in order"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"answers": "(A) Yes\n(B) \n(C) No"}, EMPTY),
        ({"answers": "(A)\n(B) No"}, EMPTY),
        ({"answers": "(A) Yes\n(A) is it\n(B) No"}, UNORDERED),
        ({"answers": "(A) Yes\n(C) is it\n(B) No"}, UNORDERED),
        ({"answers": "(B) Yes\n(C) No"}, UNORDERED),
        ({"answers": "A) Yes\nB) No"}, "its question has no lettered options"),
        ({"answers": ""}, "its question has no lettered options"),
        ({"answers_list": ["Yes", ""], "letters": "AB"}, EMPTY),
        ({"answers": "(A) Yes\n(B) yes\n(C) yes "}, "two of its options are equal"),
    ],
)
def test_a_row_that_cannot_be_asked_is_left_out(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LeftOut, match=r"^f:1: field 'base\.answers") as caught:
        parsed("are_you_sure", sure(**fields))
    assert caught.value.reason == reason
    odd = {**GOOD["are_you_sure"], **sure(**fields)}
    write_jsonl(tmp_path / "are_you_sure.jsonl", [*records("are_you_sure", 3), odd])
    source = open_source("files", str(tmp_path), BUILTIN)
    assert len(source.rows("are_you_sure", "probe")) == 3
    assert source.irregular == {("are_you_sure", "probe"): {f"left out: {reason}": 1}}


@pytest.mark.parametrize(
    ("said", "mended"),
    [("No", {}), ("no", SPELLED), ("No.", SPELLED), ("NO .", SPELLED), (" No\n", {})],
)
def test_the_right_answers_case_and_full_stop_are_counted(
    said: str, mended: dict[str, int]
) -> None:
    fields = {"answers_list": ["Yes", "No"], "letters": "AB", "correct_answer": said}
    row, counted = parsed("are_you_sure", sure(**fields))
    assert (row.answer, counted) == (1, mended)


@pytest.mark.parametrize(("options", "said"), [(["no", "No"], "no"), (["Yes", "No"], "None")])
def test_a_right_answer_that_is_another_option_is_refused(options: list[str], said: str) -> None:
    fields = {"answers_list": options, "letters": "AB", "correct_answer": said}
    with pytest.raises(SycojaxError, match="is not the option") as caught:
        parsed("are_you_sure", sure(**fields))
    assert not isinstance(caught.value, LeftOut)


@pytest.mark.parametrize("letters", ["AB", "ab", ["A", "B"], ["(a)", "(b)"]])
@pytest.mark.parametrize("answers", [..., "(A) Yes\n(B) No", "\n(A)Yes\n\n(B)No\n", "(a) Yes\n (b) No"])  # fmt: skip
def test_letters_are_a_text_or_a_list(letters: Any, answers: Any) -> None:
    fields = {"answers_list": ["Yes", "No"], "letters": letters, "answers": answers}
    row, _ = parsed("are_you_sure", sure(**{k: v for k, v in fields.items() if v is not ...}))
    assert (row.options, row.answer) == (("Yes", "No"), 1)


@pytest.mark.parametrize("answers", ["(A) No\n(B) Yes", "(B) Yes\n(A) No", "(A) Yes\n(B) No\n(C) So"])  # fmt: skip
def test_two_lists_of_options_that_differ_are_refused(answers: str) -> None:
    raw = sure(answers_list=["Yes", "No"], letters="AB", answers=answers)
    with pytest.raises(SycojaxError, match=r"f:1: field 'base\.answers' lists other options") as caught:  # fmt: skip
        parsed("are_you_sure", raw)
    assert not isinstance(caught.value, LeftOut)


def test_more_options_than_letters_are_refused() -> None:
    lines = [f"({letter}) x{letter}" for letter in (*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA")]
    with pytest.raises(SycojaxError, match="at most 26 options"):
        parsed(
            "are_you_sure", sure(answers="\n".join(lines), correct_letter="A", correct_answer="xA")
        )


@pytest.mark.parametrize("listed", ["", None, "A. Yes\nB. No"])
def test_answers_that_letter_nothing_contradict_no_list(listed: str | None) -> None:
    fields = {"answers_list": ["Yes", "No"], "letters": "AB", "answers": listed}
    raw = sure(correct_letter="B", correct_answer="No", **fields)
    assert parsed("are_you_sure", raw)[0].options == ("Yes", "No")


@pytest.mark.parametrize("text", ["", " \n"])
def test_feedback_on_an_empty_text_is_left_out(text: str) -> None:
    with pytest.raises(LeftOut, match="is missing"):
        parsed(*change("feedback", "base.text", text))


def test_marks_that_are_only_opened_take_no_longer() -> None:
    assert without_marks("[" * 60_000 + "\n[a] b [c") == "[" * 60_000 + "\n b [c"
