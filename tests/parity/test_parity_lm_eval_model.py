"""``--model sycojax`` against ``--model hf`` of lm-evaluation-harness: the same numbers and texts, request by request."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
from safetensors.numpy import load_file, save_file

from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.toy import base_directory

pytestmark = pytest.mark.parity

# As Llama's, in the vocabulary of the embedded base.
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<s>[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' </s>' }}"
    "{% else %}{{ raise_exception('no system turn') }}{% endif %}{% endfor %}"
)
PAIRS = [
    ("Question: Where did Tim go?\nAnswer:", " He went to the park."),
    ("The answer is ", "blue"),  # the space moves to the continuation
    ("The answer is \n", "blue"),
    ("", "no context at all"),
    ("", " led by a space"),
    ("", "<s>spelt BOS"),
    ("<s>[INST] Are you sure? [/INST]", " Yes"),
    ("One two three. " * 60, " The end."),  # longer than the context: cut on the left
    ("Which?", " A"), ("Which?", " B"), ("Which?", " A B C"),  # one context, several continuations
]  # fmt: skip
# Several windows long, and nowhere periodic: with equal windows that are cut differently, hf's cache of logits errs.
LONG = " ".join(f"Cat {i} sat on mat {i * i}." for i in range(40))
ROLLING = ["Short.", LONG, " led by a space", "<s>begins with BOS"]
GENERATED = [
    ("Once upon a time", {"until": ["\n\n"], "max_gen_toks": 12}),
    ("Question: why?\nAnswer:", {"until": [" ", "e"], "max_gen_toks": 12, "do_sample": False}),
    ("<s>[INST] Hello [/INST]", {"until": "zzz", "max_new_tokens": 20, "temperature": 0.0}),
    ("Many words. " * 60, {"until": [], "max_gen_toks": 20}),  # cut on the left
    ("One", {"until": [], "max_gen_toks": 20}),
    # Stop strings one within the other are cut in the order that they are given.
    ("Two", {"until": ["e", "\n e", " e"], "max_gen_toks": 20, "num_beams": 1}),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama and an adapter, with the embedded base's tokenizer, made to add no BOS by itself."""
    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


def write_checkpoint(directory: Path, context: int = 128) -> Path:
    source = base_directory()
    size = Tokenizer.from_directory(source).vocab_size
    config = dataclasses.replace(tiny.GQA, vocab_size=size, max_position_embeddings=context)
    tiny.write(directory, config)
    vocabulary = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    text = json.dumps(vocabulary | {"post_processor": None})
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")
    settings = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["chat_template"] = TEMPLATE
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory


def both(directory: Path | str, **settings: Any) -> tuple[Any, Any]:
    """The harness's model and ours, from the same arguments."""
    pytest.importorskip("torch")
    pytest.importorskip("lm_eval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the harness's and torch's own
        from lm_eval.models.huggingface import HFLM

        from sycojax.harness.model import SycojaxLM

        peer = HFLM(
            pretrained=str(directory), dtype="float32", device="cpu", batch_size=4, **settings
        )
        return peer, SycojaxLM(str(directory), dtype="float32", batch_size=4, **settings)


def answers(model: Any, kind: str, arguments: list[Any]) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.api.instance import Instance

        asked = [Instance(kind, {}, one, i) for i, one in enumerate(arguments)]  # pyright: ignore[reportArgumentType]
        return getattr(model, kind)(asked, disable_tqdm=True)


def compare(peer: Any, ours: Any) -> None:
    for pair, (logprob, greedy), (expected, expected_greedy) in zip(
        PAIRS,
        answers(ours, "loglikelihood", PAIRS),
        answers(peer, "loglikelihood", PAIRS),
        strict=True,
    ):
        assert logprob == pytest.approx(expected, abs=1e-4 + 2e-7 * abs(expected)), pair
        assert greedy == expected_greedy, pair
    texts = [(text,) for text in ROLLING]
    for text, logprob, expected in zip(
        texts,
        answers(ours, "loglikelihood_rolling", texts),
        answers(peer, "loglikelihood_rolling", texts),
        strict=True,
    ):
        assert logprob == pytest.approx(expected, abs=1e-4 + 2e-7 * abs(expected)), text
    found, wanted = (answers(model, "generate_until", GENERATED) for model in (ours, peer))
    assert found == wanted
    assert any(found)


@pytest.mark.parametrize(
    "settings",
    [{}, {"add_bos_token": True}, {"max_length": 64, "prefix_token_id": 2}],
    ids=["as it is", "with BOS", "short, another prefix"],
)
def test_answers_equal_the_harness(checkpoint: Path, settings: dict[str, Any]) -> None:
    compare(*both(checkpoint, **settings))


def test_answers_equal_on_a_trained_model(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Llama's own kind of tokenizer: BOS by default, bytes, and a first space that decoding drops."""
    compare(*both(shared_data / "models" / "stories260K"))
    assert "starts with a space" in caplog.text


def test_a_special_token_ends_a_text(checkpoint: Path, tmp_path: Path) -> None:
    """Decoding leaves it out, so that no stop string is found in the text, but ``hf`` stops at it."""
    shutil.copytree(checkpoint, tmp_path / "model")
    files = (tmp_path / "model").glob("*.safetensors")
    file, tensors = next((f, t) for f in files if "lm_head.weight" in (t := load_file(f)))
    peer, ours = both(checkpoint)
    context, limit = "Once upon a time", 12
    (told,) = answers(ours, "generate_until", [(context, {"until": [], "max_gen_toks": limit})])
    ids, mask = peer.tok_batch_encode([context])
    said = peer.model.generate(ids, attention_mask=mask, max_new_tokens=limit, do_sample=False)
    # Wherever the third token would be said, the special one is a little likelier.
    head = np.array(tensors["lm_head.weight"])
    head[ours.tokenizer.unk_token_id] = 1.001 * head[int(said[0, ids.shape[1] + 2])]
    save_file({**tensors, "lm_head.weight": head}, file, {"format": "pt"})
    peer, ours = both(tmp_path / "model")
    ask = [(context, {"until": [ours.tokenizer.unk_token], "max_gen_toks": limit})]
    found = answers(ours, "generate_until", ask)
    assert found == answers(peer, "generate_until", ask)
    assert 0 < len(found[0]) < len(told)


def test_a_context_without_tokens_is_said(checkpoint: Path) -> None:
    _, ours = both(checkpoint)
    with pytest.raises(SycojaxError, match="add_bos_token=True"):
        answers(ours, "generate_until", [("", {"until": [], "max_gen_toks": 4})])


def test_a_gguf_file_is_asked_as_the_checkpoint_it_is_of(checkpoint: Path, tmp_path: Path) -> None:
    """hf reads the checkpoint, ``sycojax`` the file; the tokenizer is the checkpoint's, which has a cut of its own."""
    pytest.importorskip("gguf", reason="the gguf extra is not installed")
    import gguf_cases

    from sycojax.harness.model import SycojaxLM
    from sycojax.weights.huggingface import load_config

    config = load_config(checkpoint)
    file = gguf_cases.write(tmp_path / "model.gguf", config, tiny.tensors(config))
    peer, _ = both(checkpoint)
    ours = SycojaxLM(str(file), tokenizer=str(checkpoint), batch_tokens=512)
    expected = answers(peer, "loglikelihood", PAIRS[:5])
    found = answers(ours, "loglikelihood", PAIRS[:5])
    np.testing.assert_allclose([f[0] for f in found], [e[0] for e in expected], atol=1e-3)
    own = SycojaxLM(str(file), add_bos_token=False)
    assert own.tok_encode("a b") == own.model.tokenizer.encode("a b", add_special_tokens=False)
