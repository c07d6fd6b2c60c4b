"""From text to token ids, to targets and to what each target weighs: the loss-mask rule lives here only.

The rule: ``target_ids`` are the tokens one place to the right of ``token_ids``, and ``loss_mask`` is aligned
to the targets. With the loss on the completion, the targets from the completion's first token on count, the
end-of-turn token included; with the loss on the prompt, every target counts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from sycojax.data.examples import Example
from sycojax.data.tokenizer import Encode, Tokenizer
from sycojax.errors import SycojaxError

T = TypeVar("T")
LossAverage = Literal["example", "token", "micro"]


@dataclasses.dataclass(frozen=True)
class EncodedPair:
    """``token_ids[:start]`` is the prompt, ``token_ids[start:]`` the completion, never empty.

    ``merged`` says that a token of the joint text spans the boundary; it then belongs to the completion,
    so that no part of the completion is given away.
    """

    token_ids: list[int]
    start: int
    merged: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedExample:
    """One training example of T targets. The last token is a target only: nothing follows it."""

    task: str
    item: str
    token_ids: np.ndarray  # int32 [T]
    target_ids: np.ndarray  # int32 [T]
    loss_mask: np.ndarray  # bool [T], at least one True
    truncated: bool = False  # tokens were cut on the right
    question: str = ""  # as the example's

    def __post_init__(self) -> None:
        if not self.token_ids.shape == self.target_ids.shape == self.loss_mask.shape:
            raise SycojaxError(f"{self.task}/{self.item}: ids, targets and mask differ in length")
        if not self.loss_mask.any():
            raise SycojaxError(f"{self.task}/{self.item}: no token of this example is trained on")


def encode_pair(encode: Encode, prompt: str, completion: str) -> EncodedPair:
    """Tokenise ``prompt + completion`` as one text and say where the completion starts.

    ``encode`` gives the ids of a text with its special tokens written out. Encoding a completion alone would give
    other ids: a SentencePiece model puts a space in front of every text. Raises ``SycojaxError`` when the
    completion adds no token.
    """
    before, token_ids = encode(prompt), encode(prompt + completion)
    start = shared_length(before, token_ids)
    if start == len(token_ids):
        raise SycojaxError(
            f"completion {completion!r} adds no token after the prompt ending in {prompt[-40:]!r}"
        )
    return EncodedPair(token_ids, start, merged=start < len(before))


def shared_length(a: Sequence[T], b: Sequence[T]) -> int:
    """Length of the common prefix, by bisection: slices compare faster than a loop over tokens."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def encode_example(
    tokenizer: Tokenizer, example: Example, max_length: int
) -> EncodedExample | None:
    """Encode one example in at most ``max_length`` tokens, the last target included.

    A longer example is cut on the right (``truncated``). One that has nothing left to train on gives
    None: its completion is cut off entirely, or, with the loss on the prompt, it is a single token.
    """
    encode = functools.partial(tokenizer.encode, add_special_tokens=False)
    pair = encode_pair(encode, example.prompt, example.completion)
    if pair.merged and not example.loss_on_prompt:
        raise SycojaxError(
            f"{example.task}/{example.item}: the prompt's last tokens ({example.prompt[-20:]!r}) are others once the answer "
            f"{example.completion[:20]!r} follows, so a model trained on it is not asked what it learned; set another "
            "base.chat_template"
        )
    ids = np.asarray(pair.token_ids[:max_length], dtype=np.int32)
    first_target = 1 if example.loss_on_prompt else max(pair.start, 1)
    if first_target >= len(ids):
        return None
    return EncodedExample(
        example.task,
        example.item,
        token_ids=ids[:-1],
        target_ids=ids[1:],
        loss_mask=np.arange(1, len(ids)) >= first_target,
        truncated=len(pair.token_ids) > max_length,
        question=example.question,
    )


def loss_weights(
    examples: Sequence[EncodedExample], average: LossAverage, micro_examples: int = 1
) -> list[np.ndarray]:
    """The weight of every target of one optimiser step: its loss is ``sum(weights * cross_entropy)``.

    One float32 array [T] per example, zero off the loss mask; all weights of the step sum to 1.
    ``token``: every target weighs the same. ``example``: every example does, and within it every target.
    ``micro``: every run of ``micro_examples`` consecutive examples does (the last may be shorter), and
    within it every target, which is what gradient accumulation gave in transformers before 4.46.
    """
    if average == "token":
        size = len(examples)
    elif average == "example":
        size = 1
    else:
        size = micro_examples
    groups = [examples[i : i + size] for i in range(0, len(examples), max(size, 1))]
    weights = []
    for group in groups:
        targets = sum(int(example.loss_mask.sum()) for example in group)
        weight = np.float32(1.0 / (len(groups) * targets))
        weights += [example.loss_mask * weight for example in group]
    return weights
