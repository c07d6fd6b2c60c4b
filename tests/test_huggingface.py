"""Checkpoints in Hugging Face layout: loaded exactly, or refused by name; and written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import tiny_jax as ours
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.models.base import parameter_count
from sycojax.parallel.mesh import make_mesh
from sycojax.weights import huggingface
from sycojax.weights.huggingface import save_base

SMALL = dataclasses.replace(tiny.MHA, num_hidden_layers=2)  # most tests need no depth


def load(directory, **options):
    """One device unless told: what is tested is the reading."""
    return ours.load(directory, **options)


def leaf(base, *path):
    node = base.params
    for part in path:
        node = node[part]
    return np.asarray(node)


@pytest.fixture
def checkpoint(tmp_path):
    return tiny.write(tmp_path / "base", SMALL)


def rewrite(directory: Path, change) -> None:
    """Apply ``change`` to the dict of all tensors and store the result as one file."""
    weights = {}
    for file in directory.glob("*.safetensors"):
        weights.update(safetensors.numpy.load_file(file))
        file.unlink()
    (directory / "model.safetensors.index.json").unlink(missing_ok=True)
    change(weights)
    safetensors.numpy.save_file(weights, directory / "model.safetensors")


def test_the_number_of_files_does_not_matter(tmp_path):
    """Where each tensor belongs is held by the golden logits, and by what is written below."""
    one, two, three = (load(tiny.write(tmp_path / str(n), SMALL, n)) for n in (1, 2, 3))
    assert one.config == SMALL
    assert parameter_count(one.params) == SMALL.base_parameter_count
    for other in (two, three):
        jax.tree.map(np.testing.assert_array_equal, other.params, one.params)


def test_sharded_arrays_hold_the_same_numbers(checkpoint):
    one = load(checkpoint)
    for sizes in ((1, 4, 2), (8, 1, 1), (2, 1, 4)):
        spread = load(checkpoint, mesh=make_mesh(*sizes))
        jax.tree.map(np.testing.assert_array_equal, spread.params, one.params)
        _, fsdp, tensor = sizes
        shard = spread.params["layers"]["mlp"]["up_proj"]["kernel"].addressable_shards[0]
        assert shard.data.shape == (2, 64 // fsdp, 176 // tensor)


@pytest.mark.parametrize("stored", ["float16", "bfloat16"])
def test_dtypes_are_cast(tmp_path, stored):
    directory = tiny.write(tmp_path / "base", SMALL, dtype=stored)
    name, path = "model.layers.1.mlp.up_proj.weight", ("layers", "mlp", "up_proj", "kernel")
    rounded = tiny.tensors(SMALL)[name].T.astype(stored)
    for dtype in (jnp.float32, jnp.bfloat16):
        base = load(directory, dtype=dtype)
        assert {x.dtype for x in jax.tree.leaves(base.params)} == {jnp.dtype(dtype)}
        np.testing.assert_array_equal(leaf(base, *path)[1], rounded.astype(dtype))


def test_stored_rotary_frequencies_are_ignored(checkpoint):
    rewrite(
        checkpoint,
        lambda w: w.update(
            {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": np.ones(8) for i in range(2)}
        ),
    )
    load(checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.layers.1.mlp.up_proj.weight"), "missing tensors model.layers.1.mlp.up"),
        (lambda w: w.update({"model.extra.weight": np.ones(3)}), "unexpected tensors model.extra"),
        (lambda w: w.pop("lm_head.weight"), "missing tensors lm_head.weight"),
        (
            lambda w: w.update({"model.layers.0.self_attn.q_proj.bias": np.ones(64)}),
            "unexpected tensors model.layers.0.self_attn.q_proj.bias",
        ),
        (
            lambda w: w.update({"model.norm.weight": np.ones(65, np.float32)}),
            "model.norm.weight has shape (65,), config.json says (64,)",
        ),
        (
            lambda w: w.update({"model.layers.0.mlp.up_proj.weight": np.ones((64, 176))}),
            "model.layers.0.mlp.up_proj.weight has shape (64, 176), config.json says (176, 64)",
        ),
        (
            lambda w: w.update({"model.norm.weight": np.ones(64, np.int8)}),
            "model.norm.weight is stored as I8",
        ),
    ],
)  # fmt: skip
def test_other_tensors_are_refused_by_name(checkpoint, change, message):
    rewrite(checkpoint, change)
    with pytest.raises(SycojaxError) as error:
        load(checkpoint)
    assert message in str(error.value)


def test_damaged_directories_are_refused(checkpoint, tmp_path):
    first = checkpoint / "model-00001-of-00002.safetensors"

    def refused(message, path=checkpoint):
        with pytest.raises(SycojaxError) as error:
            load(path)
        assert message in str(error.value)

    whole = first.read_bytes()
    for size in (0, 5, 300, len(whole) - 1):
        first.write_bytes(whole[:size])
        refused(f"{first} is truncated or not a safetensors file")
    first.unlink()
    refused("1 of 2 weight files are missing (model-00001-of-00002.safetensors)")
    index = checkpoint / "model.safetensors.index.json"
    moved = json.loads(index.read_text())
    first.write_bytes(whole)
    moved["weight_map"]["model.ghost.weight"] = first.name
    index.write_text(json.dumps(moved))
    refused("lacks tensors that the index places there: model.ghost.weight")
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}))
    refused("'../elsewhere.safetensors' is not a file name")
    index.write_text("{}")
    refused("has no weight_map")
    index.write_text("{")
    refused("is not valid JSON")
    index.unlink()
    for file in checkpoint.glob("*.safetensors"):
        file.unlink()
    refused("holds neither model.safetensors nor model.safetensors.index.json")
    for name in ("pytorch_model.bin", "consolidated.00.pth"):
        (checkpoint / name).write_bytes(b"\x80\x04")
        refused("holds pickled weights only")
        (checkpoint / name).unlink()
    (checkpoint / "config.json").unlink()
    refused("config.json does not exist")
    refused("is a file; name the directory", index.parent.parent / _touch(tmp_path / "weights.bin"))
    refused("does not exist, and is not a hub id", tmp_path / "nowhere")


def _touch(path):
    path.write_bytes(b"")
    return path


# --- writing -----------------------------------------------------------------


@pytest.mark.parametrize("config", [SMALL, tiny.TIED, tiny.LLAMA3], ids=["mha", "tied", "llama3"])
def test_saved_base_loads_the_same(tmp_path, config):
    base = load(tiny.write(tmp_path / "base", config))
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "tokenizer.json").write_text("{}")
    save_base(tmp_path / "copy", config, base.params)
    again = load(tmp_path / "copy")
    assert again.config == config
    jax.tree.map(np.testing.assert_array_equal, again.params, base.params)
    stored = safetensors.numpy.load_file(tmp_path / "copy" / "model.safetensors")
    expected = tiny.tensors(config)
    assert stored.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(stored[name], value)
    assert {p.name for p in (tmp_path / "copy").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip


def test_saved_dtype_and_an_interrupted_save(tmp_path, monkeypatch):
    base = load(tiny.write(tmp_path / "base", SMALL))
    save_base(tmp_path / "half", SMALL, base.params, jnp.bfloat16)
    stored = safetensors.numpy.load_file(tmp_path / "half" / "model.safetensors")
    assert {value.dtype.name for value in stored.values()} == {"bfloat16"}
    assert json.loads((tmp_path / "half" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    load(tmp_path / "half", dtype="bfloat16")

    def full(path, content):
        raise SycojaxError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(huggingface, "atomic_write", full)
    with pytest.raises(SycojaxError, match="No space left"):
        save_base(tmp_path / "half", SMALL, base.params)
    with pytest.raises(SycojaxError, match=r"config.json does not exist"):
        load(tmp_path / "half")
