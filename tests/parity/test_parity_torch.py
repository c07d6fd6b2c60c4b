"""Live comparison with transformers, PEFT and torch in float32 (the ``parity`` extra)."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny
from flax import nnx

from sycojax.models.attention import packed_mask, rotary_table
from sycojax.models.base import fit_adapter, merge
from sycojax.models.lora import TARGETS, covering
from sycojax.weights.huggingface import load_config, save_base
from sycojax.weights.peft import export_adapter, load_adapter

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import torch_reference as reference  # noqa: E402

pytestmark = reference.MARKS
NAMES = list(tiny.CONFIGS)


def close(found, expected, *, atol, rtol=0.0, what=""):
    """assert_allclose that also prints the largest difference (``pytest -s`` shows it)."""
    error = np.abs(np.asarray(found) - np.asarray(expected)).max()
    print(f"  {what}: max |difference| {error:.2e}")
    np.testing.assert_allclose(found, expected, atol=atol, rtol=rtol, err_msg=what)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: tiny.write(root / name, config) for name, config in tiny.CONFIGS.items()}


@pytest.fixture(scope="module")
def bases(checkpoints):
    return {name: ours.load(path) for name, path in checkpoints.items()}


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_log_probabilities(name, checkpoints, bases):
    model, base = reference.load(checkpoints[name]), bases[name]
    zero = ours.zero_adapter(base)
    for prompt in tiny.prompts(base.config):
        expected = reference.logits(model, prompt)
        found = ours.logits(base, zero, prompt)
        close(found, expected, atol=1e-4, what=f"{name} logits")
        np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))
        close(
            ours.token_logprobs(base, zero, prompt), reference.token_logprobs(model, prompt),
            atol=5e-5, what=f"{name} log-probabilities",
        )  # fmt: skip


@pytest.mark.parametrize("name", ["mha", "gqa", "llama3"])
def test_every_layer(name, checkpoints, bases):
    """Norm, rotated queries and keys, attention output and residual stream of each layer."""
    model, base = reference.load(checkpoints[name]), bases[name]
    prompt = tiny.prompts(base.config)[0]
    seen: dict[str, list[np.ndarray]] = {}

    def keep(key):
        def hook(_, inputs, output):
            value = output[0] if isinstance(output, tuple) else output
            seen.setdefault(key, []).append(value.detach().numpy()[0])
            if key == "o_proj":
                seen.setdefault("attended", []).append(inputs[0].detach().numpy()[0])

        return hook

    for layer in model.model.layers:
        layer.input_layernorm.register_forward_hook(keep("input_layernorm"))
        layer.self_attn.o_proj.register_forward_hook(keep("o_proj"))
        layer.post_attention_layernorm.register_forward_hook(keep("post_attention_layernorm"))
        layer.mlp.register_forward_hook(keep("mlp"))
        layer.register_forward_hook(keep("layer"))
    with torch.no_grad():
        cache = model(torch.tensor(prompt[None], dtype=torch.long), use_cache=True).past_key_values

    ids = prompt[None]
    llama = merge(base.graph, ours.zero_adapter(base), base.params)
    table = rotary_table(base.config, jnp.arange(ids.shape[1])[None])
    mask = packed_mask(jnp.ones_like(ids))
    graph, state = nnx.split(llama.layers)
    h = llama.embed_tokens.embedding[...][ids]
    for i in range(base.config.num_hidden_layers):
        layer = nnx.merge(graph, jax.tree.map(lambda x, i=i: x[i], state))
        q, k, v = layer.queries_keys_values(h, table, None)
        attended = jax.nn.dot_product_attention(q, k, v, mask=mask)
        mid = h + layer.self_attn.o_proj(attended.reshape(*h.shape[:2], -1), None)
        for key, found in (
            ("input_layernorm", layer.input_layernorm(h)[0]),
            ("attended", attended[0].reshape(ids.shape[1], -1)),
            ("o_proj", mid[0] - h[0]),
            ("post_attention_layernorm", layer.post_attention_layernorm(mid)[0]),
        ):
            close(found, seen[key][i], atol=5e-5, what=f"{name} layer {i} {key}")
        keys = cache.layers[i].keys.numpy()[0].transpose(1, 0, 2)
        close(k[0], keys, atol=5e-5, what=f"{name} layer {i} rotated keys")
        h = layer.finish(h, attended, None)
        close(h[0], seen["layer"][i], atol=1e-4, what=f"{name} layer {i} output")


@pytest.mark.parametrize("name", ["mha", "tied", "llama3"])
def test_adapter_gradients(name, checkpoints, bases, tmp_path):
    base = bases[name]
    model = reference.with_adapter(reference.load(checkpoints[name]), base.config, b_scale=0.02)
    batch = tiny.training_batches(base.config)[0]
    expected = reference.gradients(model, batch)
    adapter = ours.peft_adapter(tmp_path, base, 0.02)
    found = ours.by_peft_name(ours.gradients(base, adapter, batch))
    reference.assert_close_by_tensor(name, found, expected)


@pytest.mark.parametrize("name", ["mha", "gqa", "tied"])
def test_twenty_training_steps(name, checkpoints, bases, tmp_path):
    base = bases[name]
    model = reference.with_adapter(reference.load(checkpoints[name]), base.config, b_scale=0.0)
    losses, norms = reference.train(model, base.config)
    found, found_norms, final = ours.train(base, ours.peft_adapter(tmp_path, base, 0.0))
    close(found, losses, atol=0, rtol=1e-5, what=f"{name} losses")
    close(found_norms, norms, atol=0, rtol=2e-5, what=f"{name} gradient norms")
    tensors, expected = ours.by_peft_name(final), reference.adapter_tensors(model)
    assert tensors.keys() == expected.keys()
    for letter in "AB":
        names = [key for key in sorted(expected) if f"lora_{letter}" in key]
        close(
            np.concatenate([tensors[key].ravel() for key in names]),
            np.concatenate([expected[key].ravel() for key in names]),
            atol=2e-6, what=f"{name} adapter {letter} after 20 steps",
        )  # fmt: skip


@pytest.mark.parametrize("name", ["gqa", "tied"])
def test_our_export_in_peft(name, checkpoints, bases, tmp_path):
    base = bases[name]
    adapter = ours.peft_adapter(tmp_path / "made", base, 0.02)
    export_adapter(tmp_path / "exported", adapter, base.lora, str(checkpoints[name]))
    with_export = peft.PeftModel.from_pretrained(
        reference.load(checkpoints[name]), tmp_path / "exported"
    ).eval()
    loaded = reference.adapter_tensors(with_export)
    expected = ours.by_peft_name(adapter)
    assert loaded.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(loaded[key], value)
    prompt = tiny.prompts(base.config)[1]
    close(
        ours.logits(base, adapter, prompt), reference.logits(with_export, prompt),
        atol=1e-4, what=f"{name} logits of our export in PEFT",
    )  # fmt: skip


def test_what_peft_writes_here(checkpoints, bases, tmp_path):
    base = bases["gqa"]
    model = reference.with_adapter(reference.load(checkpoints["gqa"]), base.config, b_scale=0.02)
    model.save_pretrained(tmp_path)
    settings, adapter = load_adapter(tmp_path, base.config)
    assert (settings.rank, settings.alpha, settings.dropout) == (tiny.RANK, tiny.ALPHA, 0.0)
    assert settings == base.lora
    prompt = tiny.prompts(base.config)[1]
    close(
        ours.logits(base, adapter, prompt), reference.logits(model.eval(), prompt),
        atol=1e-4, what="logits of PEFT's files here",
    )  # fmt: skip


def test_adapters_of_other_shapes_share_a_bank(checkpoints, bases, tmp_path):
    """Other ranks, projections and scalings, rank-stabilised too: each in its place as PEFT computes it."""
    base, models = bases["gqa"], []
    kinds = [
        (4, 6.0, ("q_proj", "v_proj"), True),
        (24, 8.0, ("up_proj", "o_proj"), False),
        (tiny.RANK, tiny.ALPHA, TARGETS, False),
    ]
    for number, kind in enumerate(kinds):
        models.append(reference.with_new_adapter(reference.load(checkpoints["gqa"]), *kind))
        models[-1].save_pretrained(tmp_path / str(number))
    loaded = [load_adapter(tmp_path / str(n), base.config) for n in range(len(kinds))]
    wide = dataclasses.replace(base, lora=covering([settings for settings, _ in loaded]))
    assert (wide.lora.rank, set(wide.lora.targets)) == (24, set(TARGETS))
    prompt = tiny.prompts(base.config)[1]
    for model, (settings, adapter) in zip(models, loaded, strict=True):
        expected = reference.logits(model.eval(), prompt)
        found = ours.logits(wide, fit_adapter(adapter, settings, wide), prompt)
        close(found, expected, atol=1e-4, what=f"logits of an adapter of rank {settings.rank}")


@pytest.mark.parametrize("name", ["gqa", "tied", "llama3"])
def test_checkpoints_travel_both_ways(name, checkpoints, bases, tmp_path):
    base, model = bases[name], reference.load(checkpoints[name])
    prompt = tiny.prompts(base.config)[1]
    save_base(tmp_path / "ours", base.config, base.params)
    again = reference.load(tmp_path / "ours")
    np.testing.assert_array_equal(reference.logits(again, prompt), reference.logits(model, prompt))
    model.save_pretrained(tmp_path / "theirs")
    assert load_config(tmp_path / "theirs") == base.config
    loaded = ours.load(tmp_path / "theirs")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, base.params)


def test_stories260k(shared_data):
    directory = shared_data / "models" / "stories260K"
    base = ours.load(directory)
    prompt = np.concatenate([[1], tiny.prompts(base.config)[0][:95]]).astype(np.int32)
    close(
        ours.logits(base, ours.zero_adapter(base), prompt),
        reference.logits(reference.load(directory), prompt),
        atol=1e-4, what="stories260K logits",
    )  # fmt: skip


def test_the_golden_file_is_what_its_script_makes(tmp_path):
    golden = Path(__file__).parent.parent / "golden"
    sys.path.insert(0, str(golden))
    try:
        import make
    finally:
        sys.path.remove(str(golden))
    stored, made = np.load(golden / "reference.npz"), make.make(tmp_path)
    assert set(stored.files) == set(made)
    for key, value in made.items():
        # Other processors round differently in the last places.
        np.testing.assert_allclose(stored[key], value, rtol=1e-4, atol=5e-5, err_msg=key)
