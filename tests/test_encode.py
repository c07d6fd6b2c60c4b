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


@pytest.mark.parametrize(
    ("prompt", "completion", "tokens", "start", "merged"),
    [
        ("cd", " ef", "<s> c d e f", 3, False),
        ("<s>cd", "e", "<s> c d e", 3, False),  # one <s> is enough
        ("", "cd", "<s> c d", 1, False),
        # Completions of one prompt may start at different places.
        ("ca", "bd", "<s> c ab d", 2, True),
        ("ca", "d", "<s> c a d", 3, False),
        ("ca", "aab", "<s> c a a ab", 3, False),
    ],
)
def test_a_pair_is_tokenised_jointly(
    prompt: str, completion: str, tokens: str, start: int, merged: bool
) -> None:
    pair = encode_pair(toy_tokenizer().encode, prompt, completion)
    assert pair.token_ids == ids(*tokens.split())
    assert (pair.start, pair.merged) == (start, merged)


def test_a_completion_without_tokens_is_an_error() -> None:
    with pytest.raises(SycojaxError, match="adds no token"):
        encode_pair(toy_tokenizer().encode, "cd", " ")


@pytest.mark.parametrize(
    ("row", "max_length", "targets", "trained", "truncated"),
    [
        # From the completion's first token to the end of the turn.
        (example("<s>cd", "ef</s>"), 99, "c d e f </s>", 3, False),
        (example("<s>cd", "e", loss_on_prompt=True), 99, "c d e", 3, False),
        # What exceeds max_length is cut on the right.
        (example("<s>cd", "efg"), 5, "c d e f", 2, True),
        (example("<s>cd", "efg"), 6, "c d e f g", 3, False),
        (example("<s>cd", "ef", loss_on_prompt=True), 3, "c d", 2, True),
    ],
)
def test_what_is_trained_on(
    row: Example, max_length: int, targets: str, trained: int, truncated: bool
) -> None:
    made = encode_example(toy_tokenizer(), row, max_length)
    assert made is not None
    assert made.target_ids.tolist() == ids(*targets.split())
    assert made.token_ids.tolist() == [ids("<s>")[0], *made.target_ids.tolist()[:-1]]
    assert made.loss_mask.tolist() == [False] * (len(made.target_ids) - trained) + [True] * trained
    assert made.truncated == truncated
    assert made.token_ids.dtype == made.target_ids.dtype == np.int32


def test_an_example_whose_completion_is_cut_off_is_lost() -> None:
    assert encode_example(toy_tokenizer(), example("<s>cd", "ef"), 3) is None


def test_a_prompt_that_its_completion_changes_is_refused() -> None:
    with pytest.raises(SycojaxError, match=r"task/item: the prompt's last tokens .*'<s>ca'"):
        encode_example(toy_tokenizer(), example("<s>ca", "bd"), 9)


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
            assert not pair.merged
            assert len(pair.token_ids) == pair.start + 1
            assert tokenizer.decode(pair.token_ids[pair.start :]) == letter
