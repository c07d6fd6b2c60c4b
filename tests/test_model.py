"""Properties of the forward pass and of LoRA that hold without any other implementation."""

from __future__ import annotations

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny
from flax import nnx

from sycojax.models.attention import packed_mask, rotary_table, rotate
from sycojax.models.base import abstract, initial_lora, merge, parameter_count, unstack
from sycojax.models.cache import KVCache
from sycojax.models.compute import Compute
from sycojax.models.dropout import SAVED_MASK, dropped_out, random_words
from sycojax.models.lora import (
    ATTENTION_TARGETS,
    TARGETS,
    LoRAConfig,
    Projection,
)
from sycojax.parallel.mesh import batch_sharding, make_mesh
from sycojax.planning.shapes import SHAPES
from sycojax.weights.huggingface import load_base

B, T = 4, 32  # every forward pass of this file has this shape, so most share a compilation


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("gqa"), tiny.GQA)


@pytest.fixture(scope="module")
def base(directory):
    return ours.load(directory)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return ours.peft_adapter(tmp_path_factory.mktemp("adapter"), base, 0.05)


def _logits_of(graph, lora, params, token_ids, positions, segment_ids, ends):
    model = merge(graph, lora, params)
    return model.logits(model.hidden(token_ids, positions, segment_ids, ends))


_compiled = jax.jit(_logits_of, static_argnums=0)


def forward(base, lora, token_ids, positions=None, segment_ids=None, ends=None):
    """Logits [B, T, V]; by default rows are one plain sequence each."""
    plain = np.broadcast_to(np.arange(T, dtype=np.int32), (B, T))
    positions = plain if positions is None else positions
    segment_ids = np.ones((B, T), np.int32) if segment_ids is None else segment_ids
    ends = np.full((B, T), T, np.int32) if ends is None else ends
    out = _compiled(base.graph, lora, base.params, token_ids, positions, segment_ids, ends)
    return np.asarray(out)


def tokens(seed=0, shape=(B, T)):
    return np.random.default_rng(seed).integers(3, 512, size=shape, dtype=np.int32)


# --- attention ---------------------------------------------------------------


def test_no_token_sees_a_later_one(base, adapter):
    one = tokens()
    other = one.copy()
    other[:, 20:] = tokens(1)[:, 20:]
    a, b = forward(base, adapter, one), forward(base, adapter, other)
    np.testing.assert_array_equal(a[:, :20], b[:, :20])
    assert np.abs(a[:, 20:] - b[:, 20:]).min(axis=-1).max() > 0


def test_what_stands_in_the_padding_does_not_matter(base, adapter):
    one, other = tokens(), tokens()
    other[:, 12:] = 0
    segment_ids = np.where(np.arange(T) < 12, 1, 0) * np.ones((B, 1), np.int64)
    padded = forward(base, adapter, other, segment_ids=segment_ids.astype(np.int32))
    assert np.isfinite(padded).all()
    np.testing.assert_allclose(padded[:, :12], forward(base, adapter, one)[:, :12], atol=1e-5)


def test_packed_sequences_equal_the_same_alone(base, adapter):
    one = tokens()
    alone = forward(base, adapter, one)
    # Row 0 of the packed batch: 10 tokens of sequence 0, then 15 of sequence 1, then padding.
    packed, positions, segment_ids = (np.zeros((B, T), np.int32) for _ in range(3))
    packed[0, :25] = np.concatenate([one[0, :10], one[1, :15]])
    positions[0, :25] = np.concatenate([np.arange(10), np.arange(15)])
    segment_ids[0, :25] = np.repeat([1, 2], [10, 15])
    out = forward(base, adapter, packed, positions, segment_ids)
    np.testing.assert_allclose(out[0, :10], alone[0, :10], atol=2e-5)
    np.testing.assert_allclose(out[0, 10:25], alone[1, :15], atol=2e-5)
    # Relative positions alone count, so a segment may start anywhere.
    shifted = forward(base, adapter, packed, positions + 100 * (segment_ids == 2), segment_ids)
    np.testing.assert_allclose(shifted[0, 10:25], alone[1, :15], atol=2e-4)


def test_branches_of_a_tree_equal_separate_rows(base, adapter):
    one = tokens()
    # Three sequences: 9 tokens shared by all, 3 more by the last two.
    second = np.concatenate([one[0, :9], one[1, :5]])
    third = np.concatenate([second[:12], one[1, 7:9]])
    padded = np.zeros((B, T), np.int32)
    padded[0, :14], padded[1, :14] = one[0, :14], second
    alone = forward(base, adapter, padded)
    padded[1, :14] = third
    other = forward(base, adapter, padded)
    tree, positions, ends, segments = (np.zeros((B, T), np.int32) for _ in range(4))
    tree[0, :21] = np.concatenate([one[0, :14], second[9:], third[12:]])
    positions[0, :21] = np.concatenate([np.arange(14), np.arange(9, 14), np.arange(12, 14)])
    ends[0, :21] = np.repeat([21, 14, 21, 19, 21], [9, 5, 3, 2, 2])
    segments[0, :21] = 1
    out = forward(base, adapter, tree, positions, segments, ends)
    np.testing.assert_allclose(out[0, :14], alone[0, :14], atol=2e-5)
    np.testing.assert_allclose(out[0, 14:19], alone[1, 9:14], atol=2e-5)
    np.testing.assert_allclose(out[0, 19:21], other[1, 12:14], atol=2e-5)


def test_mask_of_a_small_tree():
    segments = jnp.array([[1, 1, 1, 1, 2, 0]])
    ends = jnp.array([[4, 2, 4, 4, 5, 6]])  # 0 above 1 and 2, 2 above 3
    expected = np.eye(6, dtype=bool)
    expected[[1, 2, 3, 3], [0, 0, 0, 2]] = True
    np.testing.assert_array_equal(packed_mask(segments, ends)[0, 0], expected)
    expected[[2, 3], [1, 1]] = True
    np.testing.assert_array_equal(packed_mask(segments)[0, 0], expected)


def test_cache_gives_what_the_full_pass_gives(base, adapter):
    """Prompts of different lengths, then one token after the other, each row at its own place."""
    one = tokens()
    full = forward(base, adapter, one)
    count, slots = base.config.num_hidden_layers, 40
    lengths = 20 - 3 * np.arange(B)

    @jax.jit
    def prefill(lora, params, ids):
        model = merge(base.graph, lora, params)
        hidden, cache = model.prefill(ids)
        return model.logits(hidden), cache

    @jax.jit
    def step(lora, params, ids, at, caches):
        model = merge(base.graph, lora, params)
        layers = list(
            zip(unstack(lora["layers"], count), unstack(params["layers"], count), strict=True)
        )
        hidden, caches = model.step(ids, at, caches, layers)
        return model.logits(hidden), caches

    out, made = prefill(adapter, base.params, one[:, :20])
    np.testing.assert_allclose(out, full[:, :20], atol=2e-5)
    heads = (B, base.config.num_key_value_heads, slots, base.config.head_dim)
    empty = KVCache(jnp.zeros(heads), jnp.zeros(heads))
    rows = np.arange(B)
    caches = tuple(empty.replace(made.keys[n], made.values[n], rows) for n in range(count))
    for t in range(4):
        at = lengths + t
        out, caches = step(adapter, base.params, one[rows, at], at, caches)
        np.testing.assert_allclose(out, full[rows, at], atol=2e-5)
    assert not np.asarray(caches[0].keys[:, :, 24:]).any()


def test_grouped_heads_equal_repeated_ones(base, adapter):
    config = dataclasses.replace(tiny.GQA, num_key_value_heads=4)
    params = jax.tree.map(lambda x: x, base.params)
    lora = jax.tree.map(lambda x: x, adapter)

    def repeated(x):  # [..., K * H] -> [..., N * H], kv head k serving query heads 2k and 2k + 1
        return np.repeat(np.asarray(x).reshape(*x.shape[:-1], 2, 16), 2, axis=-2).reshape(
            *x.shape[:-1], 64
        )

    for name in ("k_proj", "v_proj"):
        kernel = params["layers"]["self_attn"][name]["kernel"]
        params["layers"]["self_attn"][name] = {"kernel": repeated(kernel)}
        module = lora["layers"]["self_attn"][name]
        lora["layers"]["self_attn"][name] = module | {"lora_b": repeated(module["lora_b"])}
    wide = dataclasses.replace(base, config=config, params=params)
    one = tokens()
    np.testing.assert_allclose(
        forward(wide, lora, one), forward(base, adapter, one), rtol=0, atol=2e-5
    )


# --- dtypes, recomputation, devices -----------------------------------------


def test_bfloat16_keeps_the_delicate_parts_in_float32(directory):
    half = ours.load(directory, dtype=jnp.bfloat16)
    zero = np.zeros((1, 8), np.int32)
    jaxpr = jax.make_jaxpr(_logits_of, static_argnums=0)(
        half.graph, ours.zero_adapter(half), half.params, zero, zero, zero + 1, zero
    )
    seen = {}
    for equation in ours.equations(jaxpr.jaxpr):
        kinds = {v.aval.dtype.name for v in equation.invars if hasattr(v.aval, "dtype")}
        seen.setdefault(equation.primitive.name, set()).update(kinds)
    for primitive in ("exp", "rsqrt", "cos", "sin", "reduce_max"):  # softmax, norms, rope
        assert seen[primitive] == {"float32"}, primitive
    assert jaxpr.out_avals[0].dtype == jnp.float32
    hidden = jax.eval_shape(
        lambda lora, params: merge(half.graph, lora, params).hidden(zero, zero, zero + 1),
        ours.zero_adapter(half), half.params,
    )  # fmt: skip
    assert hidden.dtype == jnp.bfloat16
    assert {x.dtype.name for x in jax.tree.leaves(half.params)} == {"bfloat16"}


def test_rotation_does_not_round_to_bfloat16_on_the_way():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, 64, 4, 16)), jnp.bfloat16)
    table = rotary_table(tiny.MHA, jnp.arange(3000, 3064)[None])
    exact = rotate(x.astype(jnp.float32), table)
    np.testing.assert_array_equal(rotate(x, table), exact.astype(jnp.bfloat16))


def test_recomputation_changes_no_gradient(base, adapter):
    batch = tiny.training_batches(base.config)[0]
    reference = ours.gradients(base, adapter, batch)
    for remat in ("dots", "full"):
        again = dataclasses.replace(base, compute=dataclasses.replace(base.compute, remat=remat))
        found = ours.gradients(again, adapter, batch)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=5e-7), found, reference
        )
        assert "remat" in str(
            jax.make_jaxpr(_logits_of, static_argnums=0)(
                again.graph, adapter, base.params, *[np.zeros((1, 4), np.int32)] * 4
            )
        )


def test_eight_devices_compute_what_one_computes(directory, base, adapter):
    spread = ours.load(directory, mesh=make_mesh(data=2, fsdp=2, tensor=2))
    kernel = spread.params["layers"]["self_attn"]["q_proj"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(4, 32, 32)}
    one = tokens()
    expected = forward(base, adapter, one)
    np.testing.assert_allclose(forward(spread, adapter, one), expected, rtol=0, atol=2e-5)
    # The same for a bank of two adapters, the other one being all zeros.
    bank = jax.tree.map(lambda x: np.stack([x, np.zeros_like(x)]), adapter)
    plain = np.broadcast_to(np.arange(T, dtype=np.int32), (B, T))
    inputs = (spread.params, one, plain, np.ones((B, T), np.int32), np.full((B, T), T))
    both = jax.jit(jax.vmap(lambda lora: _logits_of(spread.graph, lora, *inputs)))(bank)
    np.testing.assert_allclose(both[0], expected, rtol=0, atol=2e-5)
    zero = ours.zero_adapter(base)
    np.testing.assert_allclose(both[1], forward(base, zero, one), rtol=0, atol=2e-5)


def test_fsdp_splits_the_work_and_not_only_the_weights(directory):
    """Without a word about activations the partitioner gives every device the whole batch."""
    mesh = make_mesh(data=1, fsdp=8, tensor=1)
    spread = load_base(directory, ours.LORA, Compute(mesh=mesh))
    ids = jax.ShapeDtypeStruct((8, T), jnp.int32, sharding=batch_sharding(mesh))
    compiled = _compiled.lower(
        spread.graph, ours.zero_adapter(spread), spread.params, ids, ids, ids, ids
    ).compile()
    rows = set(re.findall(r"= f32\[(\d+),\d+\]\S* dot\(", compiled.as_text()))
    assert str(T) in rows  # one row of T tokens per device
    assert str(8 * T) not in rows


# --- LoRA --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fresh_adapter_leaves_every_bit_of_the_base(directory, dtype):
    base = ours.load(directory, dtype=dtype)
    fresh = initial_lora(base.config, base.lora, jax.random.key(3))
    # A model without any adapter: not a setting that users have, hence the detour.
    plain = dataclasses.replace(base.lora)
    object.__setattr__(plain, "targets", ())
    assert abstract(base.config, plain).lora == {}
    one = tokens()
    np.testing.assert_array_equal(
        forward(base, fresh, one), forward(dataclasses.replace(base, lora=plain), {}, one)
    )


def test_targets_choose_the_projections():
    lora = LoRAConfig(rank=4, targets=("v_proj", "q_proj"))
    tree = abstract(tiny.GQA, lora).lora
    assert set(tree["layers"]) == {"self_attn"}
    assert set(tree["layers"]["self_attn"]) == {"q_proj", "v_proj"}
    only_attention = abstract(SHAPES["llama2_7b"], LoRAConfig(targets=ATTENTION_TARGETS)).lora
    assert parameter_count(only_attention) == 32 * 4 * 16 * (4096 + 4096)


def test_fresh_adapter_is_drawn_as_peft_draws_it():
    tree = initial_lora(tiny.GQA, ours.LORA, jax.random.key(0))
    again = initial_lora(tiny.GQA, ours.LORA, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, tree, again)
    drawn = []
    for block in tree["layers"].values():
        for module in block.values():
            a, b = np.asarray(module["lora_a"]), np.asarray(module["lora_b"])
            bound = 1 / math.sqrt(a.shape[1])
            assert a.dtype == b.dtype == np.float32
            assert not b.any()
            assert 0.98 * bound < np.abs(a).max() <= bound
            assert abs(a.mean()) < 0.05 * bound
            assert a.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
            drawn.extend(layer[:16].tobytes() for layer in a / bound)
    assert len(set(drawn)) == len(drawn) == 7 * tiny.GQA.num_hidden_layers
    other = initial_lora(tiny.GQA, ours.LORA, jax.random.key(1))
    assert not np.array_equal(
        other["layers"]["mlp"]["up_proj"]["lora_a"], tree["layers"]["mlp"]["up_proj"]["lora_a"]
    )


def _identity_projection(name):
    """A projection whose output is the dropped-out input: kernel 0, A = B = identity."""
    lora = LoRAConfig(rank=64, alpha=64, dropout=0.25, targets=(name,))
    module = Projection(
        name,
        64,
        64,
        1,
        ("embed", "mlp"),
        bias=False,
        lora=lora,
        compute=Compute(),
        rngs=nnx.Rngs(0),
    )
    module.kernel[...] = jnp.zeros((64, 64))
    module.lora_a[...] = module.lora_b[...] = jnp.eye(64)
    return module


def _masks(name, x, keys):
    return np.asarray(_identity_projection(name)(x, keys))


def test_dropout_masks_are_fresh_per_projection_row_and_token():
    x, keys = jnp.ones((2, 3, 64)), jax.random.split(jax.random.key(0), 2)
    masks = {name: _masks(name, x, keys) for name in TARGETS}
    for mask in masks.values():
        assert set(np.round(np.unique(mask), 5)) == {0.0, np.float32(1.33333)}
        assert len({token.tobytes() for row in mask for token in row}) == 6
        assert 0.6 < (mask > 0).mean() < 0.9
    assert len({mask.tobytes() for mask in masks.values()}) == len(TARGETS)
    # A row's mask is its own, whatever stands beside it.
    np.testing.assert_array_equal(_masks("q_proj", x[:1], keys[1:]), masks["q_proj"][1:])
    np.testing.assert_array_equal(_masks("q_proj", x, None), x)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 64)])
def test_random_words_are_those_of_jax(shape: tuple[int, ...]):
    for seed in (0, 1, 2**32 - 1):
        key = jax.random.fold_in(jax.random.key(seed), 3)
        want = jax.random.bits(key, shape, jnp.uint32)
        np.testing.assert_array_equal(jax.jit(random_words, static_argnums=1)(key, shape), want)
        np.testing.assert_array_equal(random_words(key, (2, *shape))[0], want)  # a beginning


@pytest.mark.parametrize("width", [8, 13, 64])
def test_a_mask_of_bits_is_the_mask_that_was_drawn(width: int):
    """Also where a width is no multiple of 8, and in the gradient, which reads the bits."""
    x, keys = jnp.ones((2, 3, width)), jax.random.split(jax.random.key(0), 2)
    words = [jax.random.bits(key, (3, -(-width // 2)), jnp.uint32) for key in keys]
    halves = np.stack([np.concatenate([w & 0xFFFF, w >> 16], axis=-1)[:, :width] for w in words])
    want = np.where(halves >= round(0.25 * 65536), np.float32(4 / 3), 0)
    np.testing.assert_array_equal(dropped_out(x, keys, 0.25), want)
    policy = jax.checkpoint_policies.save_only_these_names(SAVED_MASK)
    dropped = jax.checkpoint(lambda x: dropped_out(x, keys, 0.25), policy=policy)
    np.testing.assert_array_equal(jax.grad(lambda x: dropped(x).sum())(x), want)
    kept = jax.tree.leaves(jax.eval_shape(lambda x: jax.vjp(dropped, x)[1], x))
    assert [leaf.shape for leaf in kept if leaf.dtype == jnp.uint8] == [(2, 3, -(-width // 8))]


def test_dropout_masks_are_fresh_per_layer():
    # Two layers of which only v and o act, as identities on a constant stream: h1 = 1 + m1,
    # h2 = h1 + m2 * norm(h1). Equal masks would leave two distinct values, fresh ones leave four.
    config = dataclasses.replace(
        tiny.MHA, num_hidden_layers=2, intermediate_size=8, rms_norm_eps=1e-12
    )
    lora = LoRAConfig(rank=64, alpha=64, dropout=0.5, targets=("v_proj",))
    split = abstract(config, lora)
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), split.base)
    params["embed_tokens"]["embedding"] = np.ones((512, 64), np.float32)
    params["norm"]["scale"] = np.ones(64, np.float32)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        params["layers"][norm]["scale"] = np.ones((2, 64), np.float32)
    eye = np.stack([np.eye(64, dtype=np.float32)] * 2)
    params["layers"]["self_attn"]["o_proj"]["kernel"] = eye
    adapter = {"layers": {"self_attn": {"v_proj": {"lora_a": eye, "lora_b": eye}}}}
    zero = np.zeros((1, 1), np.int32)

    @jax.jit
    def hidden(keys):
        model = merge(split.graph, adapter, params)
        return model.hidden(zero, zero, zero + 1, dropout_keys=keys)

    def values(key):
        return np.round(np.asarray(hidden(key if key is None else key[None])).ravel(), 4)

    assert len(np.unique(values(None))) == 1
    first = values(jax.random.key(0))
    assert len(np.unique(first)) == 4
    np.testing.assert_array_equal(values(jax.random.key(0)), first)
    assert not np.array_equal(values(jax.random.key(1)), first)
