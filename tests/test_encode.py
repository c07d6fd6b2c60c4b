"""Where a completion starts, which targets count, and what each weighs in an optimiser step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sycojax.data.encode import (
    EncodedExample,
    LossAverage,
    encode_example,
    encode_pair,
    loss_weights,
)
from sycojax.data.examples import Example
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError

WORDS = ["<unk>", "<s>", "</s>", *"abcdefghij", "ab"]  # the pair "ab" is one token


def toy_tokenizer() -> Tokenizer:
    """One token per letter, except that "ab" is one; spaces say nothing."""

    def encode(text: str) -> list[int]:
        text = text.replace(" ", "")
        ids = []
        while text:
            word = max((w for w in WORDS if text.startswith(w)), key=len)
            ids.append(WORDS.index(word))
            text = text[len(word) :]
        return ids

    def decode(ids: list[int]) -> str:
        return "".join(WORDS[i] for i in ids)

    specials = {w: i for i, w in enumerate(WORDS[:3])}
    return Tokenizer(
        "toy", len(WORDS), specials, "<s>", "</s>", lambda texts: [encode(t) for t in texts], decode
    )


def ids(*words: str) -> list[int]:
    return [WORDS.index(word) for word in words]


def example(prompt: str, completion: str, loss_on_prompt: bool = False) -> Example:
    return Example("task", "item", prompt, completion, loss_on_prompt)


def encoded(length: int, targets: int) -> EncodedExample:
    """``length`` places of which the last ``targets`` are trained on."""
    row = np.arange(length, dtype=np.int32)
    return EncodedExample("t", "i", row, row + 1, row >= length - targets)


def test_a_pair_is_tokenised_jointly_with_one_bos() -> None:
    pair = encode_pair(toy_tokenizer().encode, "cd", " ef")
    assert pair.token_ids == ids("<s>", "c", "d", "e", "f")
    assert pair.start == 3
    assert encode_pair(toy_tokenizer().encode, "<s>cd", "e").token_ids == ids("<s>", "c", "d", "e")


def test_completions_of_one_prompt_may_start_at_different_places() -> None:
    pairs = [encode_pair(toy_tokenizer().encode, "ca", c) for c in ("bd", "d", "aab")]
    assert [pair.start for pair in pairs] == [2, 3, 3]
    assert [pair.token_ids[pair.start :] for pair in pairs] == [
        ids("ab", "d"),
        ids("d"),
        ids("a", "ab"),
    ]


def test_an_empty_prompt_leaves_bos_as_the_prompt() -> None:
    pair = encode_pair(toy_tokenizer().encode, "", "cd")
    assert (pair.token_ids, pair.start) == (ids("<s>", "c", "d"), 1)


def test_a_completion_without_tokens_is_an_error() -> None:
    with pytest.raises(SycojaxError, match="adds no token"):
        encode_pair(toy_tokenizer().encode, "cd", " ")


def test_completion_loss_counts_from_its_first_token_to_the_end_of_turn() -> None:
    row = encode_example(toy_tokenizer(), example("<s>cd", "ef</s>"), 99)
    assert row is not None
    assert row.token_ids.tolist() == ids("<s>", "c", "d", "e", "f")
    assert row.target_ids.tolist() == ids("c", "d", "e", "f", "</s>")
    assert row.loss_mask.tolist() == [False, False, True, True, True]
    assert not row.truncated
    assert row.token_ids.dtype == row.target_ids.dtype == np.int32


def test_full_text_loss_counts_every_token_after_the_first() -> None:
    row = encode_example(toy_tokenizer(), example("cd", "e", loss_on_prompt=True), 99)
    assert row is not None
    assert row.target_ids.tolist() == ids("c", "d", "e")
    assert row.loss_mask.all()


def test_what_exceeds_max_length_is_cut_on_the_right() -> None:
    row = encode_example(toy_tokenizer(), example("cd", "efg"), 5)  # <s> c d e f | g
    assert row is not None
    assert row.truncated
    assert row.target_ids.tolist() == ids("c", "d", "e", "f")
    assert row.loss_mask.tolist() == [False, False, True, True]
    whole = encode_example(toy_tokenizer(), example("cd", "efg"), 6)
    assert whole is not None
    assert not whole.truncated


def test_an_example_whose_completion_is_cut_off_is_lost_unless_its_prompt_is_trained_on() -> None:
    assert encode_example(toy_tokenizer(), example("cd", "ef"), 3) is None
    kept = encode_example(toy_tokenizer(), example("cd", "ef", loss_on_prompt=True), 3)
    assert kept is not None
    assert kept.truncated
    assert kept.target_ids.tolist() == ids("c", "d")


def test_an_example_without_targets_cannot_be_made() -> None:
    row = np.zeros(3, np.int32)
    with pytest.raises(SycojaxError, match="no token of this example is trained on"):
        EncodedExample("t", "i", row, row, np.zeros(3, bool))
    with pytest.raises(SycojaxError, match="differ in length"):
        EncodedExample("t", "i", row, row[1:], np.ones(3, bool))


# Three examples with 1, 3 and 4 targets of 2, 3 and 6 places.
STEP = [encoded(2, 1), encoded(3, 3), encoded(6, 4)]


@pytest.mark.parametrize(
    ("average", "micro_examples", "per_target"),
    [
        ("token", 1, [1 / 8, 1 / 8, 1 / 8]),
        ("example", 1, [1 / 3, 1 / 9, 1 / 12]),
        ("micro", 2, [1 / 8, 1 / 8, 1 / 8]),  # groups of 4 and 4 targets
        ("micro", 1, [1 / 3, 1 / 9, 1 / 12]),
        ("micro", 3, [1 / 8, 1 / 8, 1 / 8]),
    ],
)
def test_weights_of_a_step(
    average: LossAverage, micro_examples: int, per_target: list[float]
) -> None:
    weights = loss_weights(STEP, average, micro_examples)
    for row, weight, expected in zip(STEP, weights, per_target, strict=True):
        assert weight.dtype == np.float32
        np.testing.assert_allclose(weight, np.where(row.loss_mask, expected, 0.0), rtol=1e-6)
    assert sum(w.sum() for w in weights) == pytest.approx(1.0, rel=1e-6)


def test_micro_average_is_a_mean_over_groups_of_their_token_means() -> None:
    step = [encoded(2, 1), encoded(3, 3), encoded(6, 4), encoded(9, 2)]
    rng = np.random.default_rng(0)
    losses = [rng.random(len(row.token_ids)) for row in step]
    kept = [loss[row.loss_mask] for loss, row in zip(losses, step, strict=True)]
    by_hand = (np.concatenate(kept[:2]).mean() + np.concatenate(kept[2:]).mean()) / 2
    weights = loss_weights(step, "micro", 2)
    weighted = sum(float((w * loss).sum()) for w, loss in zip(weights, losses, strict=True))
    assert weighted == pytest.approx(by_hand, rel=1e-6)
    # A last group that is not full still counts as one group.
    assert loss_weights(step[:3], "micro", 2)[2].sum() == pytest.approx(0.5)


def test_no_examples_have_no_weights() -> None:
    for average in ("token", "example", "micro"):
        assert loss_weights([], average, 2) == []


def test_real_letters_are_one_token_after_their_bracket(shared_data: Path) -> None:
    """In place "A" is one token after "(", and " A" is one after a chat prompt; alone it would be two."""
    tokenizer = Tokenizer.from_directory(shared_data / "models" / "llama2_tokenizer")
    path = shared_data / "study" / "splits" / "mmlu_test.jsonl"
    for line in path.read_text(encoding="utf-8").split("\n")[:50]:
        question = json.loads(line)["question"]
        for prefix, letter in ((" The answer is (", "A"), ("", " A")):
            pair = encode_pair(tokenizer.encode, f"<s>[INST] {question} [/INST]{prefix}", letter)
            assert len(pair.token_ids) == pair.start + 1
            assert tokenizer.decode(pair.token_ids[pair.start :]) == letter
