"""Frozen weights in 4 and 8 bits: bitsandbytes' numbers, bounded errors, and a model that knows no difference."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny
from quantized_cases import is_quantized, restored, stored_weight

from sycojax import toy
from sycojax.config import BaseConfig, ScoreConfig, StudyConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models import quantize
from sycojax.models.base import FrozenBase, abstract, initial_lora
from sycojax.models.compute import Compute
from sycojax.models.quantize import NF4, dequantize, quantize_int8, quantize_nf4
from sycojax.parallel.mesh import make_mesh
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.training.loss import loss
from sycojax.weights import huggingface
from sycojax.weights.huggingface import save_base

GOLDEN = np.load(Path(__file__).parent / "golden" / "quantized.npz")
# Divisible into blocks of 64 everywhere, in two halves too.
CONFIG = dataclasses.replace(
    tiny.GQA, hidden_size=128, intermediate_size=192, head_dim=32, num_hidden_layers=2
)
BOTH = pytest.mark.parametrize("quantization", ["int8", "nf4"])


# --- the arithmetic ------------------------------------------------------------


def test_tables_are_the_published_ones():
    np.testing.assert_array_equal(quantize.NF4_VALUES, GOLDEN["nf4_values"])
    np.testing.assert_allclose(
        quantize.DYNAMIC_VALUES, GOLDEN["dynamic_values"], rtol=1.5e-7, atol=0
    )


def test_nf4_equals_bitsandbytes():
    weight = stored_weight()
    q = quantize_nf4(weight.T)
    golden = GOLDEN["codes"].T
    np.testing.assert_array_equal(q.codes, golden)
    by_input = GOLDEN["absmax_nearest"].reshape(len(weight), -1).T
    np.testing.assert_array_equal(q.absmax, by_input)
    table = GOLDEN["absmax"].reshape(by_input.shape[::-1]).T
    off = q.absmax != table
    assert off.mean() < 0.01
    np.testing.assert_allclose(  # only where two values are as near as its table can tell
        quantize.DYNAMIC_VALUES[q.absmax][off], quantize.DYNAMIC_VALUES[table][off], atol=0.0142
    )
    np.testing.assert_allclose(q.absmax_scale, GOLDEN["absmax_scale"], rtol=3e-7)
    np.testing.assert_allclose(q.absmax_mean, GOLDEN["absmax_mean"], rtol=3e-7)
    theirs = NF4(golden, table, GOLDEN["absmax_scale"], GOLDEN["absmax_mean"])
    np.testing.assert_allclose(
        dequantize(theirs, jnp.float32), GOLDEN["dequantized"].T, rtol=5e-7, atol=1e-9
    )


def test_int8_equals_bitsandbytes():
    q = quantize_int8(stored_weight().T)
    np.testing.assert_array_equal(q.codes, GOLDEN["int8"].T)
    expected = GOLDEN["int8"].T * (GOLDEN["int8_absmax"] / 127)
    np.testing.assert_allclose(dequantize(q, jnp.float32), expected, rtol=3e-7)


@pytest.mark.parametrize("shape", [(64, 1), (64, 7), (192, 96), (1024, 260)], ids=str)
def test_round_trip_errors_are_bounded(shape):
    kernel = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    q = quantize_nf4(kernel)
    blocks = np.abs(kernel.reshape(-1, 64, shape[1])).max(1)
    # Half the widest gap of NF4 of the block's absmax, itself off by half the widest gap of its own 8 bits.
    off = 0.00704 * np.max(q.absmax_scale)
    bound = np.repeat(0.152 * blocks + off, 64, axis=0)
    assert (np.abs(np.asarray(dequantize(q, jnp.float32)) - kernel) <= bound).all()
    q = quantize_int8(kernel)
    bound = np.abs(kernel).max(0) / 254 * (1 + 1e-5)
    assert (np.abs(np.asarray(dequantize(q, jnp.float32)) - kernel) <= bound).all()


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_kernels_without_spread(value):
    """No division by an absmax, or a difference between absmaxes, that is zero."""
    kernel = np.full((128, 3), value, np.float32)
    for q in (quantize_nf4(kernel), quantize_int8(kernel)):
        np.testing.assert_allclose(dequantize(q, jnp.float32), kernel, rtol=2e-7)


def test_inputs_that_do_not_divide_into_blocks_are_refused(tmp_path):
    with pytest.raises(SycojaxError, match="100 inputs does not divide into blocks of 64"):
        quantize_nf4(np.zeros((100, 64), np.float32))
    config = dataclasses.replace(CONFIG, intermediate_size=176)
    directory = tiny.write(tmp_path / "base", config)
    with pytest.raises(SycojaxError, match=r"use base\.quantization=int8"):
        ours.load(directory, quantization="nf4")
    ours.load(directory, quantization="int8")


# --- the model -----------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("quantized") / "base", CONFIG, dtype="float16")


@pytest.fixture(scope="module", params=["int8", "nf4"])
def base(request, checkpoint):
    return ours.load(checkpoint, quantization=request.param)


def test_leaves_hold_the_codes_of_the_stored_weights(base):
    leaves = base.params["layers"]["mlp"]["down_proj"]
    weight = tiny.tensors(CONFIG)["model.layers.1.mlp.down_proj.weight"].astype(np.float16)
    q = quantize_nf4(weight.T) if "absmax" in leaves else quantize_int8(weight.T)
    assert leaves.keys() == q._asdict().keys()
    for name, value in q._asdict().items():
        np.testing.assert_array_equal(np.asarray(leaves[name])[1], value)
    assert base.params["lm_head"]["kernel"].dtype == jnp.float32


def test_logits_are_those_of_the_restored_weights(base):
    """And a fresh adapter changes no bit of them."""
    prompt, zero = tiny.prompts(CONFIG)[1], ours.zero_adapter(base)
    found = ours.logits(base, zero, prompt)
    np.testing.assert_allclose(found, ours.logits(restored(base), zero, prompt), atol=1e-4, rtol=0)
    fresh = initial_lora(base.config, base.lora, jax.random.key(0))
    np.testing.assert_array_equal(found, ours.logits(base, fresh, prompt))


@pytest.mark.parametrize(("quantization", "bound"), [("int8", 0.1), ("nf4", 0.5)])
def test_a_trained_model_keeps_its_logits(quantization, bound):
    """Root-mean-square error over root-mean-square logit of the embedded base, on tokens it never saw in a row."""
    plain = ours.load(toy.base_directory())
    prompt = np.random.default_rng(0).integers(3, plain.config.vocab_size, 90).astype(np.int32)
    zero = ours.zero_adapter(plain)
    expected = ours.logits(plain, zero, prompt)
    found = ours.logits(ours.load(toy.base_directory(), quantization=quantization), zero, prompt)
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert 0 < error < bound, error


@BOTH
def test_sharded_codes_and_logits_are_the_same(checkpoint, quantization):
    one = ours.load(checkpoint, quantization=quantization)
    spread = ours.load(checkpoint, quantization=quantization, mesh=make_mesh(2, 2, 2))
    jax.tree.map(np.testing.assert_array_equal, spread.params, one.params)
    codes = one.params["layers"]["mlp"]["up_proj"]["codes"]
    shard = spread.params["layers"]["mlp"]["up_proj"]["codes"].addressable_shards[0].data
    assert shard.shape == (2, codes.shape[1] // 2, codes.shape[2] // 2)
    prompt, zero = tiny.prompts(CONFIG)[1], ours.zero_adapter(one)
    np.testing.assert_allclose(
        ours.logits(spread, zero, prompt), ours.logits(one, zero, prompt), atol=1e-4, rtol=0
    )


@BOTH
@pytest.mark.parametrize("family", ["qwen2", "qwen3-tied", "biased"])
@pytest.mark.slow
def test_biases_and_norms_stay_as_they_are(tmp_path, family, quantization):
    """In the base's dtype beside the codes, on any mesh; nothing of them is lost in the product."""
    own = tiny.FAMILIES[family]
    config = dataclasses.replace(own, hidden_size=64, intermediate_size=128, head_dim=32)
    directory = tiny.write(tmp_path / "base", config)
    base = ours.load(directory, quantization=quantization)
    stored = tiny.tensors(config)
    for name, leaves in base.params["layers"]["self_attn"].items():
        leaf = "bias" if name.endswith("_proj") else "scale"
        if leaf in leaves:
            written = f"model.layers.1.self_attn.{name}.{'bias' if leaf == 'bias' else 'weight'}"
            np.testing.assert_array_equal(leaves[leaf][1], stored[written])
    assert "bias" in base.params["layers"]["self_attn"]["q_proj"]
    prompt, zero = tiny.prompts(config)[1], ours.zero_adapter(base)
    found = ours.logits(base, zero, prompt)
    np.testing.assert_allclose(found, ours.logits(restored(base), zero, prompt), atol=1e-4, rtol=0)
    spread = ours.load(directory, quantization=quantization, mesh=make_mesh(2, 2, 2))
    jax.tree.map(np.testing.assert_array_equal, spread.params, base.params)
    np.testing.assert_allclose(ours.logits(spread, zero, prompt), found, atol=1e-4, rtol=0)


@BOTH
def test_processes_share_the_work(checkpoint, quantization, monkeypatch):
    """Two processes, played by threads: each reads and quantises some of three layers, and has all codes."""
    config = dataclasses.replace(CONFIG, num_hidden_layers=3)
    directory = tiny.write(checkpoint.parent / f"three_{quantization}", config)
    alone = ours.load(directory, quantization=quantization)
    me, together, given = threading.local(), threading.Barrier(2), [None, None]
    read: list[list[str]] = [[], []]
    opened = huggingface.open_files

    class Noted:
        def __init__(self, name, tensor):
            self.name, self.tensor = name, tensor
            self.get_shape, self.get_dtype = tensor.get_shape, tensor.get_dtype

        def __getitem__(self, window):
            read[me.rank].append(self.name)
            return self.tensor[window]

    def exchange(tree):
        given[me.rank] = tree
        together.wait()
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *given)
        together.wait()
        return stacked

    def load(rank):
        me.rank = rank
        return ours.load(directory, quantization=quantization)

    monkeypatch.setattr(
        huggingface, "open_files", lambda *a: {n: Noted(n, t) for n, t in opened(*a).items()}
    )
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: me.rank)
    monkeypatch.setattr(huggingface.multihost_utils, "process_allgather", exchange)
    with ThreadPoolExecutor(2) as pool:
        for base in pool.map(load, (0, 1)):
            jax.tree.map(np.testing.assert_array_equal, base.params, alone.params)
    layers = [{name.split(".")[2] for name in names if "_proj" in name} for names in read]
    assert layers == [{"0", "2"}, {"1"}]


@pytest.mark.slow
def test_adapters_train_and_codes_stay(base):
    before = jax.tree.map(np.array, base.params)
    lora = initial_lora(base.config, base.lora, jax.random.key(1))
    losses, norms, trained = ours.train(base, lora)
    assert losses[-3:].mean() < losses[:3].mean() - 0.1
    assert np.isfinite(norms).all()
    assert any(np.abs(x).max() > 0 for x in jax.tree.leaves(trained))
    jax.tree.map(np.testing.assert_array_equal, base.params, before)


@pytest.mark.slow
def test_gradients_are_those_of_the_restored_weights(base):
    lora = initial_lora(base.config, base.lora, jax.random.key(1))
    lora = jax.tree.map(lambda x: x + 0.01, lora)
    batch = tiny.training_batches(base.config)[0]
    found, expected = (ours.gradients(b, lora, batch) for b in (base, restored(base)))

    def close(x, y):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-4 * np.abs(y).max())

    jax.tree.map(close, found, expected)


@pytest.mark.slow
def test_no_layer_waits_for_the_backward_pass_in_full_precision():
    """What a deeper model needs more for a gradient is less than one layer's kernels per layer."""
    rows = jax.tree.map(jnp.asarray, ours.rows(tiny.training_batches(CONFIG)[0][:4]))
    rows = jax.tree.map(lambda x: x.reshape(4, -1)[:1, :2], rows)

    def temporary(layers: int) -> tuple[int, int]:
        config = dataclasses.replace(CONFIG, num_hidden_layers=layers)
        split = abstract(config, ours.LORA, Compute(quantization="nf4"))
        gradient = jax.jit(jax.grad(loss, argnums=1), static_argnums=0)
        compiled = gradient.lower(split.graph, split.lora, split.base, rows).compile()
        kernels = abstract(config, ours.LORA).base["layers"]
        size = sum(x.size * 4 for x in jax.tree.leaves(kernels))
        return compiled.memory_analysis().temp_size_in_bytes, size

    (few, size), (many, larger) = temporary(4), temporary(12)
    assert many - few < 0.5 * (larger - size), (many - few) / (larger - size)


def test_scores_are_those_of_the_restored_weights():
    base = ours.load(toy.base_directory(), quantization="nf4")
    tokenizer = Tokenizer.from_directory(toy.base_directory())
    requests = [
        Request("test", str(i), "", str(i), prompt, (" yes", " no", " maybe so"))
        for i, prompt in enumerate(["Is it true", "Are you sure that it is so"])
    ]
    config = ScoreConfig(batch_tokens=256, buckets=(64,))
    zero = ours.zero_adapter(base)
    bank = jax.tree.map(lambda x: x[None], zero)

    def scores(base: FrozenBase) -> np.ndarray:
        records = Scorer(base, tokenizer, config).score(requests, bank, progress=False)[0]
        return np.array([record.logprobs for record in records])

    np.testing.assert_allclose(scores(base), scores(restored(base)), atol=1e-3)


# --- around it -----------------------------------------------------------------


def test_every_leaf_of_a_projection_is_quantised(base):
    nodes = [*base.params["layers"]["self_attn"].values(), *base.params["layers"]["mlp"].values()]
    assert len(nodes) == 7
    assert all(map(is_quantized, nodes))


def test_a_quantised_base_is_not_saved(base, tmp_path):
    with pytest.raises(SycojaxError, match="a quantised base cannot be saved"):
        save_base(tmp_path, base.config, base.params)


def test_the_precision_in_words():
    configs = [StudyConfig(base=BaseConfig(quantization=q)) for q in ("none", "int8", "nf4")]
    assert [config.base.precision for config in configs] == [
        "float32", "float32, int8 projections", "float32, nf4 projections",
    ]  # fmt: skip
