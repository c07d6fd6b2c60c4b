"""A merged export in transformers against base and adapter in PEFT, and against sycojax's own (the ``parity`` extra)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny

from sycojax.weights.merged import write_merged

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import torch_reference as reference  # noqa: E402

pytestmark = reference.MARKS


@pytest.mark.parametrize(
    ("name", "shard_bytes"), [("gqa", 10**9), ("tied", 200_000), ("llama3", 10**9)]
)
def test_merged_is_base_and_adapter(name: str, shard_bytes: int, tmp_path: Path) -> None:
    config = tiny.CONFIGS[name]
    checkpoint = tiny.write(tmp_path / "base", config)
    base = ours.load(checkpoint)
    lora = ours.peft_adapter(tmp_path / "adapter", base, b_scale=0.02)
    target = tmp_path / "merged"
    target.mkdir()
    write_merged(checkpoint, tmp_path / "adapter", target, shard_bytes=shard_bytes)
    whole = transformers.AutoModelForCausalLM.from_pretrained(target)
    assert whole.dtype.itemsize == 4  # float32 without being told
    whole, again = reference.load(target), ours.load(target)
    plain = reference.load(checkpoint)
    adapted = reference.with_adapter(reference.load(checkpoint), config, b_scale=0.02)
    for prompt in tiny.prompts(config):
        found, expected = reference.logits(whole, prompt), reference.logits(adapted, prompt)
        moved = np.abs(reference.logits(plain, prompt) - expected).max()
        print(
            f"  {name}: max |difference| {np.abs(found - expected).max():.2e}, moved by {moved:.1f}"
        )
        assert moved > 0.5  # otherwise a merge that did nothing would pass
        # Rounding: at logits that an adapter this strong moves by 5, each of the two is 0.6e-5 to 1.1e-5 away from the
        # adapted model in float64, and so is a merge in float64 that is rounded once; 1.5e-5 was measured between them.
        # The weights are those of PEFT's own merge to 1e-6, see below.
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
        np.testing.assert_allclose(ours.logits(base, lora, prompt), found, atol=1e-4)
        np.testing.assert_allclose(
            ours.logits(again, ours.zero_adapter(again), prompt), found, atol=1e-4
        )


def test_peft_merges_to_the_same_weights(tmp_path: Path) -> None:
    config = tiny.CONFIGS["gqa"]
    checkpoint = tiny.write(tmp_path / "base", config)
    ours.peft_adapter(tmp_path / "adapter", ours.load(checkpoint), b_scale=0.02)
    (tmp_path / "merged").mkdir()
    write_merged(checkpoint, tmp_path / "adapter", tmp_path / "merged")
    found = reference.load(tmp_path / "merged").state_dict()
    theirs = reference.with_adapter(reference.load(checkpoint), config, b_scale=0.02)
    for key, value in theirs.merge_and_unload().state_dict().items():
        np.testing.assert_allclose(found[key], value, atol=1e-6, err_msg=key)
