"""GGUF files against transformers' own reader of them: every weight, and what the models compute."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("gguf", reason="the gguf extra is not installed")
import gguf_cases as cases  # noqa: E402
import torch_reference as reference  # noqa: E402
from gguf import GGMLQuantizationType as Kind  # noqa: E402

import sycojax  # noqa: E402
from sycojax.data.tokenizer_gguf import CUTS  # noqa: E402
from sycojax.weights.huggingface import load_config  # noqa: E402
from sycojax.weights.stored import open_files  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    # Inside the peers, with the versions of the day.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
MIXED = {
    "model.embed_tokens": Kind.Q8_0, "lm_head": Kind.Q8_0, "self_attn.q_proj": Kind.Q4_0,
    "self_attn.k_proj": Kind.Q5_1, "self_attn.v_proj": Kind.Q4_1, "mlp.down_proj": Kind.BF16,
    "mlp.up_proj": Kind.F16, "mlp.gate_proj": Kind.Q5_0,
}  # fmt: skip


def theirs(path: Path) -> torch.nn.Module:
    return transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@pytest.mark.parametrize(
    "kind",
    [Kind.F32, Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0, "mixed"],
    ids=str,
)
@pytest.mark.parametrize("tied", [False, True])
def test_weights_and_logits(kind: Kind | str, tied: bool, tmp_path: Path) -> None:
    config = dataclasses.replace(cases.GROUPED, tie_word_embeddings=tied)
    path = tmp_path / "model.gguf"
    cases.write(path, config, tiny.tensors(config), MIXED if isinstance(kind, str) else kind)
    model = theirs(path)
    with contextlib.ExitStack() as stack:
        found = open_files(path, stack)
        values = {name: np.asarray(tensor[:]) for name, tensor in found.items()}
    expected = {
        k: v.numpy()
        for k, v in model.state_dict().items()
        if tied is False or k != "lm_head.weight"
    }
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)
    base = ours.load(path)
    for prompt in tiny.prompts(config):
        logits = ours.logits(base, ours.zero_adapter(base), prompt)
        np.testing.assert_allclose(logits, reference.logits(model, prompt), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q5_K, Kind.Q6_K], ids=str)
def test_blocks_of_256(kind: Kind, tmp_path: Path) -> None:
    """The package writes none of these, so they are random bits, and only compared as numbers."""
    path = cases.write(tmp_path / "model.gguf", cases.GROUPED, tiny.tensors(cases.GROUPED), kind)
    model = theirs(path)
    with contextlib.ExitStack() as stack:
        found = open_files(path, stack)
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(found[name][:], value.numpy(), err_msg=name)


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_families(family: str, tmp_path: Path) -> None:
    """Their rows of q and k are in order in the file; biases and norms of heads come with them."""
    # transformers reads no head_dim of Qwen3 from a file, and takes 128.
    own: dict[str, Any] = (
        {"qk_norm": True, "head_dim": 128} if family == "qwen3" else {"qkv_bias": True}
    )
    config = dataclasses.replace(cases.GROUPED, model_type=family, rms_norm_eps=1e-6, **own)
    path = tmp_path / "model.gguf"
    cases.write(path, config, tiny.tensors(config), Kind.Q8_0, architecture=family)
    assert load_config(path) == config
    model, base = theirs(path), ours.load(path)
    assert type(model).__name__ == config.to_hf()["architectures"][0]
    for prompt in tiny.prompts(config):
        logits = ours.logits(base, ours.zero_adapter(base), prompt)
        np.testing.assert_allclose(logits, reference.logits(model, prompt), atol=1e-4, rtol=1e-4)


def test_texts_are_cut_where_transformers_cuts_them() -> None:
    mapping = pytest.importorskip("transformers.integrations.gguf.gguf_tokenizer_mapping")
    theirs = mapping.GGUF_PRE_TOKENIZER_SPLITS
    both = {name for name in CUTS if name in theirs}
    assert both >= {"llama-bpe", "qwen2", "tekken"}
    assert {name: CUTS[name].pattern for name in both} == {name: theirs[name] for name in both}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["SmolLM2-135M-Instruct.Q4_1.gguf", "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf"]
)
def test_real_files(name: str, real_models: Path) -> None:
    """Every weight, and log-likelihoods of an answer; ``tests/test_real_gguf.py`` says where the files are had."""
    path = real_models / name
    if not path.is_file():
        pytest.skip(f"{real_models} holds no {name}")
    model = theirs(path)
    expected = {k: v.numpy() for k, v in model.state_dict().items()}
    with contextlib.ExitStack() as stack:
        found = open_files(path, stack)
        # Tied, transformers lists the head, and the file does not.
        assert expected.keys() - found.keys() <= {"lm_head.weight"}
        for weight, tensor in found.items():
            np.testing.assert_array_equal(tensor[:], expected[weight], err_msg=weight)
    ours_model = sycojax.load(path, mesh=ours.one_device())
    raw: Any = ours_model.tokenizer.raw
    ids = raw.encode("What is the capital of France?\nThe capital of France is Paris.")
    logprobs = reference.token_logprobs(model, np.array(ids))
    pairs = [(ids[:i], ids[i : i + 1]) for i in range(1, len(ids))]
    scored = [value for value, _ in ours_model.loglikelihood_tokens(pairs)]
    np.testing.assert_allclose(scored, logprobs, atol=3e-4, rtol=2e-6)
