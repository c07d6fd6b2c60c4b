"""The tiny models against stored numbers of transformers, PEFT and torch (``tests/golden/make.py``)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny

from sycojax.models.attention import inverse_frequencies
from sycojax.models.config import RopeScaling

GOLDEN = np.load(Path(__file__).parent / "golden" / "reference.npz")


@pytest.fixture(scope="module", params=list(tiny.CONFIGS))
def model(request, tmp_path_factory):
    """(name, base, zero adapter, adapter with non-zero B) of one tiny Llama."""
    name = request.param
    root = tmp_path_factory.mktemp(name)
    base = ours.load(tiny.write(root / "base", tiny.CONFIGS[name]))
    return name, base, ours.zero_adapter(base), ours.peft_adapter(root / "adapter", base, 0.02)


def test_logits_and_log_probabilities(model):
    name, base, zero, _ = model
    for i, prompt in enumerate(tiny.prompts(base.config)):
        logits = ours.logits(base, zero, prompt)[-4:]
        expected = GOLDEN[f"{name}/logits{i}"]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))
        np.testing.assert_allclose(
            ours.token_logprobs(base, zero, prompt),
            GOLDEN[f"{name}/token_logprobs{i}"],
            rtol=0,
            atol=5e-5,
        )


def test_an_adapter_of_peft_changes_the_logits_as_peft_says(model):
    name, base, _, adapter = model
    prompt = tiny.prompts(base.config)[1]
    logits = ours.logits(base, adapter, prompt)[-4:]
    np.testing.assert_allclose(logits, GOLDEN[f"{name}/adapted_logits"], rtol=0, atol=1e-4)
    assert np.abs(logits - GOLDEN[f"{name}/logits1"]).max() > 0.01


# Compiling a backward pass takes seconds; these three hold every part of the other two.
@pytest.mark.parametrize("model", ["mha", "tied", "llama3"], indirect=True)
def test_adapter_gradients(model):
    name, base, _, adapter = model
    found = ours.gradients(base, adapter, tiny.training_batches(base.config)[0])
    _assert_digests(ours.by_peft_name(found), GOLDEN[f"{name}/gradients"], relative=2e-5)


@pytest.mark.parametrize("name", ["mha", "tied"])
def test_twenty_training_steps(name, tmp_path):
    base = ours.load(tiny.write(tmp_path / "base", tiny.CONFIGS[name]))
    fresh = ours.peft_adapter(tmp_path / "adapter", base, 0.0)
    losses, norms, final = ours.train(base, fresh)
    np.testing.assert_allclose(losses, GOLDEN[f"{name}/losses"], rtol=1e-5)
    np.testing.assert_allclose(norms, GOLDEN[f"{name}/grad_norms"], rtol=2e-5)
    tensors = ours.by_peft_name(final)
    _assert_digests(tensors, GOLDEN[f"{name}/adapter"], relative=2e-5)
    for key in ("self_attn.q_proj.lora_B", "mlp.down_proj.lora_A"):
        value = tensors[f"base_model.model.model.layers.1.{key}.weight"]
        np.testing.assert_allclose(value, GOLDEN[f"{name}/{key}"], rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("theta", "scaling"),
    [(500_000.0, RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)), (1e4, RopeScaling("linear", 4.0))],
)
def test_rotary_frequencies(theta, scaling):
    config = dataclasses.replace(tiny.MHA, head_dim=128, rope_theta=theta, rope_scaling=scaling)
    expected = GOLDEN[f"rotary/{scaling.kind}"]
    np.testing.assert_allclose(inverse_frequencies(config), expected, rtol=5e-7)
    plain = inverse_frequencies(dataclasses.replace(config, rope_scaling=None))
    assert np.abs(plain / expected - 1).max() > 1


def test_the_training_numbers_move():
    """Losses that stood still would make the comparison empty."""
    for name in ("mha", "gqa", "tied"):
        assert np.ptp(GOLDEN[f"{name}/losses"]) > 0.1


def _assert_digests(tensors, expected, relative):
    found = np.array([tiny.digest(name, tensors[name]) for name in sorted(tensors)])
    assert found.shape == expected.shape
    # A projection is off by at most the tensor's error norm times its direction's; compare to the norm.
    scale = expected[:, :1]
    error = np.abs(found - expected) / scale
    assert error[:, 0].max() < relative, sorted(tensors)[error[:, 0].argmax()]
    assert error[:, 1:].max() < 10 * relative
