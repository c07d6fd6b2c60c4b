"""Mistral, Qwen2, Qwen3 and a Llama with biases against transformers and PEFT in float32 (the ``parity`` extra).

Through what a study uses: packed rows of a bank on one and on four devices, greedy decoding, gradients, merged exports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import scoring_cases as cases
import tiny_jax as ours
import tiny_models as tiny
from jax.sharding import Mesh

from sycojax.config import ScoreConfig
from sycojax.models.base import FrozenBase, Tree
from sycojax.parallel.mesh import make_mesh
from sycojax.scoring.decode import Decoder
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.texts import Prompt
from sycojax.scoring.tree import Completion
from sycojax.weights.huggingface import load_config, save_base
from sycojax.weights.merged import write_merged
from sycojax.weights.peft import export_adapter

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import torch_reference as reference  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    # Inside the peers, with the versions of the day.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
B_SCALE = 0.02
SCORE = ScoreConfig(batch_tokens=256, buckets=(64,), decode_batch=8)
# data x fsdp x tensor
MESHES = {"one device": (1, 1, 1), "four devices": (1, 2, 2), "four by rows": (4, 1, 1)}


class Family(NamedTuple):
    """One family on both sides, without and with the same adapter."""

    name: str
    checkpoint: Path
    base: FrozenBase
    adapters: list[Tree]  # zeros, and ``adapter``
    adapter: Path
    peers: list[Any]  # transformers' model, and the same with PEFT's adapter


@pytest.fixture(scope="module", params=list(tiny.FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    root, config = tmp_path_factory.mktemp(request.param), tiny.FAMILIES[request.param]
    checkpoint = tiny.write(root / "base", config)
    base = ours.load(checkpoint)
    adapter = ours.peft_adapter(root / "adapter", base, B_SCALE)
    adapted = reference.with_adapter(reference.load(checkpoint), config, B_SCALE).eval()
    assert type(adapted.get_base_model()).__name__ == config.to_hf()["architectures"][0]
    return Family(
        request.param, checkpoint, base, [ours.zero_adapter(base), adapter], root / "adapter",
        [reference.load(checkpoint), adapted],
    )  # fmt: skip


def devices(mesh: str) -> Mesh:
    sizes = MESHES[mesh]
    return make_mesh(*sizes, devices=jax.devices()[: int(np.prod(sizes))])


def test_logits_and_log_probabilities_of_padded_rows(family: Family) -> None:
    for prompt in tiny.prompts(family.base.config):
        moved = []
        for adapter, peer in zip(family.adapters, family.peers, strict=True):
            found, expected = (
                ours.logits(family.base, adapter, prompt), reference.logits(peer, prompt),
            )  # fmt: skip
            print(f"  {family.name}: max |difference| {np.abs(found - expected).max():.2e}")
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
            np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))
            np.testing.assert_allclose(
                ours.token_logprobs(family.base, adapter, prompt),
                reference.token_logprobs(peer, prompt), rtol=0, atol=5e-5,
            )  # fmt: skip
            moved.append(expected)
        assert np.abs(moved[0] - moved[1]).max() > 0.1


@pytest.mark.parametrize("mesh", MESHES)
def test_log_likelihoods_of_packed_rows(family: Family, mesh: str) -> None:
    """Completions that begin alike, several to a row, of a bank of the base and the adapter."""
    base = ours.load(family.checkpoint, mesh=devices(mesh))
    long, short = (prompt.tolist() for prompt in tiny.prompts(base.config))
    texts = [(long[:n], start) for n, start in ((40, 30), (40, 12), (25, 20), (60, 45))]
    texts += [(short[:10] + long[k : k + 9], 10) for k in range(0, 70, 10)]
    completions = [Completion(tuple(ids), start) for ids, start in texts]
    bank = jax.tree.map(lambda *leaves: np.stack(leaves), *family.adapters)
    scores = Scorer(base, cases.tokenizer(), SCORE).score_completions(
        completions, bank, progress=False
    )
    for found, peer in zip(scores.logprobs, family.peers, strict=True):
        expected = [
            reference.token_logprobs(peer, np.array(ids))[start - 1 :].astype(np.float64).sum()
            for ids, start in texts
        ]
        print(f"  {family.name}, {mesh}: {np.abs(found - expected).max():.2e}")
        np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1e-4)


@pytest.mark.parametrize("mesh", ["one device", "four devices"])
def test_greedy_text(family: Family, mesh: str) -> None:
    base, tokenizer = ours.load(family.checkpoint, mesh=devices(mesh)), cases.tokenizer()
    prompts = ["Q: the cat", "A", "xyz (A) or (B)? a longer one, that fills most of a row"]
    bank = jax.tree.map(lambda *leaves: np.stack(leaves), *family.adapters)
    asked = [Prompt(text, 12) for text in prompts]
    texts = Decoder(base, tokenizer, SCORE).generate(asked, bank, progress=False)
    for found, peer in zip(texts, family.peers, strict=True):
        for prompt, continuation in zip(prompts, found, strict=True):
            ids = torch.tensor([tokenizer.encode(prompt)])
            made = peer.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12,
                do_sample=False, eos_token_id=2, pad_token_id=0,
            )[0, ids.shape[1] :].tolist()  # fmt: skip
            said = made[: made.index(2)] if 2 in made else made
            said = [i for i in said if i < tokenizer.vocab_size]
            assert continuation.text == tokenizer.decode(said)
            assert continuation.finished == (2 in made)


def test_adapter_gradients(family: Family) -> None:
    """Of a step's loss, by every adapter matrix."""
    batch = tiny.training_batches(family.base.config)[0]
    expected = reference.gradients(family.peers[1], batch)
    found = ours.by_peft_name(ours.gradients(family.base, family.adapters[1], batch))
    reference.assert_close_by_tensor(family.name, found, expected)


def test_a_merged_export(family: Family, tmp_path: Path) -> None:
    write_merged(family.checkpoint, family.adapter, tmp_path, shard_bytes=200_000)
    written = json.loads((tmp_path / "config.json").read_text())
    stored = json.loads((family.checkpoint / "config.json").read_text())
    assert written == {**stored, "torch_dtype": "float32"}
    whole = reference.load(tmp_path)
    assert [type(whole).__name__] == stored["architectures"]
    again = ours.load(tmp_path)
    for prompt in tiny.prompts(family.base.config):
        expected = reference.logits(family.peers[1], prompt)
        np.testing.assert_allclose(reference.logits(whole, prompt), expected, rtol=0, atol=5e-5)
        found = ours.logits(again, ours.zero_adapter(again), prompt)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_our_adapter_in_peft(family: Family, tmp_path: Path) -> None:
    export_adapter(tmp_path, family.adapters[1], family.base.lora, str(family.checkpoint))
    peer = peft.PeftModel.from_pretrained(reference.load(family.checkpoint), tmp_path).eval()
    prompt = tiny.prompts(family.base.config)[1]
    np.testing.assert_array_equal(
        reference.logits(peer, prompt), reference.logits(family.peers[1], prompt)
    )


def test_checkpoints_travel_both_ways(family: Family, tmp_path: Path) -> None:
    """What each side writes, config.json included, is the same model on the other."""
    prompt = tiny.prompts(family.base.config)[1]
    save_base(tmp_path / "ours", family.base.config, family.base.params)
    np.testing.assert_array_equal(
        reference.logits(reference.load(tmp_path / "ours"), prompt),
        reference.logits(family.peers[0], prompt),
    )
    family.peers[0].save_pretrained(tmp_path / "theirs")
    assert load_config(tmp_path / "theirs") == family.base.config
    loaded = ours.load(tmp_path / "theirs")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, family.base.params)
