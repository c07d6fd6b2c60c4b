"""``sycojax.load``: lm-evaluation-harness's tokens, this project's numbers."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as cases

import sycojax
from sycojax.errors import SycojaxError
from sycojax.interface import LanguageModel
from sycojax.models.base import FrozenBase
from sycojax.weights.huggingface import save_base
from sycojax.weights.peft import export_adapter

CHARACTERS = {c: i for i, c in enumerate((*cases.SPECIALS, *string.printable))}
THE = len(CHARACTERS) + 2  # " the"


@pytest.fixture(scope="module")
def base() -> FrozenBase:
    return cases.make_base()


@pytest.fixture(scope="module")
def lora() -> Any:
    return cases.adapter(cases.make_bank(1), 0)


@pytest.fixture(scope="module")
def directory(base: FrozenBase, lora: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base")
    save_base(path, base.config, base.params)
    cases.write_tokenizer(path)
    export_adapter(path / "adapter", lora, cases.LORA, path.name)
    return path


@pytest.fixture(scope="module")
def model(directory: Path) -> LanguageModel:
    return sycojax.load(directory, mesh=cases.mesh_of(1), batch_tokens=128, decode_batch=2)


@pytest.fixture(scope="module")
def adapted(directory: Path) -> LanguageModel:
    return sycojax.load(
        str(directory), str(directory / "adapter"), mesh=cases.mesh_of(1), batch_tokens=128
    )


def characters(text: str) -> list[int]:
    return [CHARACTERS[c] for c in text]


@pytest.mark.parametrize(("pair", "context", "continuation"), [
    (("Q", "A"), [1, *characters("Q")], characters("A")),
    (("Q", " A"), [1, *characters("Q")], [THE + 1]),
    # The context's trailing whitespace is the continuation's.
    (("Q  ", "the"), [1, *characters("Q")], [*characters(" "), THE]),
    ((" \n", "z"), [1], characters(" \nz")),
    # No context: BOS, whether the continuation spells it or not.
    (("", "zA"), [1], characters("zA")),
    (("", "<s>zA"), [1], characters("zA")),
    # Text that spells the BOS does not get another one.
    (("<s>Q", "z"), [1, *characters("Q")], characters("z")),
    # The cut is by count where a token spans it: "B (A" has one token less than "B (" and "A" apart.
    (("B (", "Az"), [1, *characters("B "), THE + 2], characters("z")),
])  # fmt: skip
def test_encode_rules(
    model: LanguageModel, pair: tuple[str, str], context: list[int], continuation: list[int]
) -> None:
    assert model.encode(*pair) == (context, continuation)


def test_a_text_begins_as_the_tokenizer_begins_one(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is with nothing, the first token of a text without context is not scored."""
    monkeypatch.setattr(model.tokenizer, "start_ids", [])
    assert model.encode("Q", "A") == (characters("Q"), characters("A"))
    assert model.encode("", "zA") == (characters("z"), characters("A"))


def test_loglikelihood_in_order(
    model: LanguageModel, adapted: LanguageModel, base: FrozenBase, lora: Any
) -> None:
    pairs = [
        ("Q: the", " A"),
        ("Q: the", " the cat"),
        ("", "xyz"),
        ("Q: the", " A"),
        ("zz ", "top"),
    ]
    zeros = jax.tree.map(np.zeros_like, lora)
    for which, adapter in ((model, zeros), (adapted, lora)):
        answers = which.loglikelihood(pairs)
        for pair, (logprob, greedy) in zip(pairs, answers, strict=True):
            context, continuation = which.encode(*pair)
            expected = cases.slow_score(base, adapter, [*context, *continuation], len(context))
            assert logprob == pytest.approx(expected[0], abs=1e-5, rel=5e-7)
            assert greedy == expected[1]
    assert model.loglikelihood(pairs) != adapted.loglikelihood(pairs)


def test_long_contexts_are_cut_as_the_harness_does(
    model: LanguageModel, base: FrozenBase, lora: Any
) -> None:
    """The last 97 tokens of context and continuation stay: 96 are fed, the BOS is not among them."""
    zeros = jax.tree.map(np.zeros_like, lora)
    text = "".join(chr(ord("a") + i % 26) for i in range(150))
    ((logprob, _),) = model.loglikelihood([(text, "xyz")])
    ids = characters(text + "xyz")[-(cases.LONGEST + 1) :]
    expected, _ = cases.slow_score(base, zeros, ids, len(ids) - 3)
    assert logprob == pytest.approx(expected, abs=1e-5, rel=5e-7)


def test_generate(model: LanguageModel, base: FrozenBase, lora: Any) -> None:
    zeros = jax.tree.map(np.zeros_like, lora)
    ids = model.tokenizer.encode("Q: the")
    for _ in range(6):
        ids.append(int(cases.full_logits(base, zeros, ids)[-1].argmax()))
    new = ids[-6:]
    assert 2 not in new  # this model does not end its text here
    text = model.tokenizer.decode([i for i in new if i < model.tokenizer.vocab_size])
    first, second = model.generate(["Q: the", "z"], max_new_tokens=6)
    assert first == text != second
    assert model.generate(["Q: the"], max_new_tokens=6, stop=[text[2]]) == [
        text[: text.find(text[2])]
    ]


def test_what_cannot_be_done_is_said(model: LanguageModel, directory: Path) -> None:
    with pytest.raises(SycojaxError, match=r"pair 1: .* 0 continuation"):
        model.loglikelihood([("a", "b"), ("B (", "A")])
    with pytest.raises(SycojaxError, match="within 96 tokens"):
        model.loglikelihood([("a", "b" * 97)])
    with pytest.raises(SycojaxError, match="dtype='float16'"):
        sycojax.load(directory, dtype="float16")  # pyright: ignore[reportArgumentType]
    with pytest.raises(SycojaxError, match="does not exist"):
        sycojax.load(directory / "nowhere")
    with pytest.raises(SycojaxError, match="max_new_tokens=0"):
        model.generate(["a"], max_new_tokens=0)
