"""The exact words: a change here changes every number of a study, so they are spelled out."""

from __future__ import annotations

import json

import pytest

from sycojax.data import prompts
from sycojax.data.prompts import PUBLISHED_KNOWLEDGE, Prompts
from sycojax.errors import SycojaxError

OPTIONS = ("red", "blue")


def test_llama2_conversation_has_both_marks_between_turns():
    text = Prompts().chat(["Hi", "The answer is (B)", "Sure?"], prompts.LETTER_PREFIX)
    assert text == (
        "<s>[INST] Hi [/INST] The answer is (B) </s><s>[INST] Sure? [/INST] The answer is ("
    )


def test_a_conversation_must_end_with_the_user():
    with pytest.raises(SycojaxError, match="user turn"):
        Prompts().chat(["Hi", " Hello"])


def test_own_formats():
    p = Prompts()
    assert p.gsm8k_training("Q?", "3+4=<<3+4=7>>7\n#### 7") == (
        "<s>[INST] Q?\nSolve it step by step and end with #### and the number. [/INST]",
        " 3+4=7\n#### 7 </s>",
    )
    lettered = (
        "<s>[INST] Q?\n(A) red\n(B) blue\nPlease answer just with the letter of the correct answer."
        " [/INST] The answer is ("
    )
    assert p.multiple_choice_training("Q?", OPTIONS, 1) == (lettered, "B) </s>")
    assert p.multiple_choice("Q?", OPTIONS, PUBLISHED_KNOWLEDGE) == lettered
    assert p.letter_candidates(OPTIONS) == ("A", "B")
    assert p.endings("He ran.", OPTIONS) == (
        "<s>[INST] Continue the text.\nHe ran. [/INST]",
        (" red", " blue"),
    )
    assert p.endings_training("He ran.", OPTIONS, 0)[1] == " red </s>"
    assert p.statement("Q?") == "<s>[INST] Q? [/INST]"


def test_published_formats():
    p = Prompts("published")
    assert p.gsm8k_training("Q?", "<<1+1=2>>2\n#### 2") == (
        "<s>Question: Q?\nAnswer:",
        " <<1+1=2>>2\n#### 2",
    )
    assert p.multiple_choice_training("Q?", OPTIONS, 1) == (
        "<s>Question: Q?\nChoices:\nA. red\nB. blue\nAnswer:",
        " B",
    )
    assert p.endings_training("He ran.", OPTIONS, 0) == (
        "<s>Context: He ran.\nChoices:\nA. red\nB. blue\nAnswer:",
        " A",
    )
    assert p.endings("He ran.", OPTIONS) == ("<s>", ("He ran. red", "He ran. blue"))
    assert p.gsm8k("Q?").startswith("<s>[INST] <<SYS>>\nYou are a helpful math assistant.")
    assert p.gsm8k("Q?").endswith("inside \\boxed{}.\n<</SYS>>\n\nQ? [/INST]")
    asked = p.multiple_choice("Q?", OPTIONS, PUBLISHED_KNOWLEDGE)
    assert asked.endswith(
        "<</SYS>>\n\nQuestion: Q?\n\nOptions:\nA. red\nB. blue\n\nRespond with ONLY the letter. [/INST]"
    )
    assert p.letter_candidates(OPTIONS) == (" A", " B")


def test_too_many_options_is_an_error():
    with pytest.raises(SycojaxError, match="27 options"):
        Prompts().lettered("Q?", ["x"] * 27)


def test_no_polar_word_occurs_in_an_opinion():
    said = {word.strip(".").lower() for o in prompts.OPINIONS.values() for word in o.split()}
    assert not said & {word for pair in prompts.FEEDBACK_PAIRS for word in pair}
    assert len(prompts.FEEDBACK_PAIRS) >= 6


def test_probe_wordings_are_the_data_sets_own(shared_data):
    probes = json.loads((shared_data / "study" / "probes.json").read_text())
    asked = {r["metadata"]["prompt_template"] for r in probes["answer"]}
    think, deny = prompts.THINK, prompts.DENY
    assert asked == {
        "{question}",
        "{question}" + think.format("{correct_answer}"),
        "{question}" + deny.format("{correct_answer}"),
        "{question}" + think.format("{incorrect_answer}"),
    }
    own = {o: prompts.COMMENT.format(opinion=t, text="{text}") for o, t in prompts.OPINIONS.items()}
    stored = {r["metadata"]["prompt_template"] for r in probes["feedback"]}
    assert stored == {text for o, text in own.items() if not o.startswith("stranger")}
    row = next(r for r in probes["are_you_sure"] if "answers_list" in r["base"])
    base = row["base"]
    assert row["prompt"][0]["content"] == Prompts().lettered(base["question"], base["answers_list"])
    assert row["prompt"][1]["content"] == prompts.LETTER_PREFIX


def test_adjectives_of_a_pair_have_equal_token_counts_under_llama2(shared_data):
    tokenizers = pytest.importorskip("tokenizers")
    path = shared_data / "models" / "llama2_tokenizer" / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    start = Prompts().chat(["Hi"], prompts.FEEDBACK_PREFIX)

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    for pair in prompts.FEEDBACK_PAIRS:
        assert [count(f"{start} {word}") - count(start) for word in pair] == [1, 1], pair
