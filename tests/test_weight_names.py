"""Weights under the names that people's files have, and what else lies in them; and which pickled ones are refused how."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
import tiny_jax as ours
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.models.base import abstract
from sycojax.models.lora import LoRAConfig
from sycojax.weights.admission import admit
from sycojax.weights.fingerprint import weights_fingerprint
from sycojax.weights.huggingface import load_config, resolve_base
from sycojax.weights.peft import export_adapter, load_adapter

SMALL = dataclasses.replace(tiny.GQA, num_hidden_layers=2)
TIED = dataclasses.replace(SMALL, tie_word_embeddings=True)
LORA = LoRAConfig(rank=2, alpha=4, targets=("q_proj", "v_proj"))
Weights = dict[str, np.ndarray]


def renamed(rename: Callable[[str], str]) -> Callable[[Weights], Weights]:
    return lambda weights: {rename(name): value for name, value in weights.items()}


def base_of(directory: Path, weights: Weights, config: tiny.LlamaConfig = SMALL) -> Path:
    """A base of one file that holds these tensors."""
    tiny.write(directory, config, shards=1)
    safetensors.numpy.save_file(weights, directory / "model.safetensors")
    return directory


BUFFERS = {
    "model.rotary_emb.inv_freq": np.ones(8, np.float32),
    "model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32),
    "model.layers.0.self_attn.rotary_emb.cos_cached": np.zeros((1, 1, 8, 16), np.float16),
    "model.layers.1.self_attn.rotary_emb.sin_cached": np.zeros((1, 1, 8, 16), np.float32),
    "model.embeddings.position_ids": np.arange(8),
}


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w | BUFFERS,
        renamed(lambda name: name.removeprefix("model.")),
        renamed(lambda name: f"module.{name}"),
        renamed(lambda name: f"_orig_mod.{name}"),
        renamed(lambda name: name.replace("layers.", "layers._fsdp_wrapped_module.")),
        renamed(lambda name: name.replace(".self_attn", "._checkpoint_wrapped_module.self_attn")),
        lambda w: {name: value.astype(np.float64) for name, value in w.items()},
    ],
    ids=["buffers", "no model.", "module.", "_orig_mod.", "fsdp", "checkpoint", "float64"],
)
def test_the_same_base_under_other_names(tmp_path: Path, change: Any) -> None:
    weights = tiny.tensors(SMALL)
    plain, other = base_of(tmp_path / "a", weights), base_of(tmp_path / "b", change(weights))
    jax.tree.map(np.testing.assert_array_equal, ours.load(other).params, ours.load(plain).params)
    assert weights_fingerprint(other) == weights_fingerprint(plain)


def test_a_tied_head_is_stored_or_not(tmp_path: Path) -> None:
    weights = tiny.tensors(TIED)
    table = weights["model.embed_tokens.weight"]
    plain = base_of(tmp_path / "plain", weights, TIED)
    expected, known_by = ours.load(plain).params, weights_fingerprint(plain)
    both = weights | {"lm_head.weight": table}
    only = {n: v for n, v in both.items() if n != "model.embed_tokens.weight"}
    for name, stored in (("both", both), ("only", only)):
        found = base_of(tmp_path / name, stored, TIED)
        jax.tree.map(np.testing.assert_array_equal, ours.load(found).params, expected)
        assert weights_fingerprint(found) == known_by
    last = table.copy()
    last[-1, -1] += 1
    for name, head in (("last", last), ("rows", table[:-1])):
        other = base_of(tmp_path / name, weights | {"lm_head.weight": head}, TIED)
        with pytest.raises(SycojaxError, match=r"is tied .*set tie_word_embeddings to false if"):
            resolve_base(other)
    untied = base_of(tmp_path / "untied", weights, SMALL)
    with pytest.raises(SycojaxError, match=r"lm_head\.weight; .*set tie_word_embeddings to true"):
        resolve_base(untied)


def test_indices_as_they_are_found(tmp_path: Path) -> None:
    """One that names a tied head which is stored once, one with "./" in front of files, and none at all."""
    base = tiny.write(tmp_path / "base", TIED, shards=3)
    expected = ours.load(base).params
    index = base / "model.safetensors.index.json"
    said = json.loads(index.read_text())["weight_map"]
    last = max(said.values())
    index.write_text(json.dumps({"weight_map": {**said, "lm_head.weight": last}}))
    jax.tree.map(np.testing.assert_array_equal, ours.load(base).params, expected)
    index.write_text(json.dumps({"weight_map": {n: f"./{f}" for n, f in said.items()}}))
    jax.tree.map(np.testing.assert_array_equal, ours.load(base).params, expected)
    index.unlink()
    jax.tree.map(np.testing.assert_array_equal, ours.load(base).params, expected)
    (base / last).unlink()
    with pytest.raises(SycojaxError, match="its download stopped early"):
        resolve_base(base)


@pytest.mark.parametrize("left", ["pytorch_model.bin", "pytorch_model.bin.index.json", ""])
def test_pickled_weights_are_refused_with_what_to_do(tmp_path: Path, left: str) -> None:
    """Of a hub's repository the index of them is fetched, or nothing."""
    base = tmp_path / "models--lmsys--vicuna-7b-v1.5" / "snapshots" / "0123"
    tiny.write(base, SMALL, shards=1)
    (base / "model.safetensors").unlink()
    (base / "training_args.bin").write_bytes(b"")
    if left:
        (base / left).write_bytes(b"{}")
    with pytest.raises(SycojaxError) as error:
        resolve_base(base)
    message = str(error.value)
    assert "from_pretrained('lmsys/vicuna-7b-v1.5').save_pretrained('converted')" in message
    assert "copy the tokenizer's files" in message
    assert (f"pickled weights only ({left})" in message) == bool(left)


# --- adapters ------------------------------------------------------------------


def adapter_tree() -> Any:
    random = np.random.default_rng(0)
    shapes = abstract(SMALL, LORA).lora
    return jax.tree.map(lambda x: random.normal(size=x.shape).astype(np.float32), shapes)


def adapter_of(directory: Path, change: Callable[[Weights], Weights], **settings: Any) -> Path:
    """``adapter_tree`` in PEFT's format, with other tensors and settings."""
    export_adapter(directory, adapter_tree(), LORA, "base")
    file = directory / "adapter_model.safetensors"
    safetensors.numpy.save_file(change(safetensors.numpy.load_file(file)), file)
    config = directory / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return directory


@pytest.mark.parametrize(
    "change",
    [
        renamed(lambda name: name.replace(".weight", ".default.weight")),
        renamed(lambda name: name.replace(".weight", ".mine.weight")),
        renamed(lambda name: name.removeprefix("base_model.model.")),
        renamed(lambda name: name.replace("model.model.model.", "model.model.")),
        renamed(lambda name: f"module.{name}"),
        renamed(lambda name: name.replace("base_model.model.", "base_model.model._orig_mod.")),
        renamed(lambda name: name.replace("layers.", "layers._fsdp_wrapped_module.")),
        lambda w: {name: value.astype(np.float64) for name, value in w.items()},
    ],
    ids=["default", "mine", "no base_model.", "one model.", "module", "orig", "fsdp", "float64"],
)
def test_the_same_adapter_under_other_names(tmp_path: Path, change: Any) -> None:
    lora, tree = load_adapter(adapter_of(tmp_path, change), SMALL)
    assert dataclasses.replace(lora, dropout=0.1) == dataclasses.replace(LORA, dropout=0.1)
    jax.tree.map(np.testing.assert_array_equal, tree, adapter_tree())


TABLE = "base_model.model.model.embed_tokens.weight"
LM_HEAD = "base_model.model.lm_head.weight"


@pytest.mark.parametrize("config", [SMALL, TIED], ids=["untied", "tied"])
def test_embeddings_that_are_the_base_s_are_accepted(
    tmp_path: Path, config: tiny.LlamaConfig
) -> None:
    base = tiny.write(tmp_path / "base", config)
    stored = tiny.tensors(config)
    table = stored["model.embed_tokens.weight"]
    head = stored.get("lm_head.weight", table)
    for kind in ("float32", "float16"):  # saved as the model was loaded for training
        saved = {TABLE: table.astype(kind), LM_HEAD: head.astype(kind)}
        own = adapter_of(tmp_path / kind, lambda w, saved=saved: w | saved)
        _, tree = admit(own, config, base, "base")
        jax.tree.map(np.testing.assert_array_equal, tree, adapter_tree())
    changed = table.copy()
    changed[7, 3] += 0.01
    for name, value, said in (
        ("trained", changed, "model.embed_tokens.weight that is not the base's"),
        ("longer", np.concatenate([table, table[:1]]), r"of shape \(513, 64\), the base's is \(512, 64\)"),
    ):  # fmt: skip
        other = adapter_of(tmp_path / name, lambda w, value=value: w | {TABLE: value})
        with pytest.raises(SycojaxError, match=said) as error:
            admit(other, config, base, "base")
        assert "merge_and_unload" in str(error.value)


@pytest.mark.parametrize("letter", "AB")
def test_an_adapter_that_does_nothing_is_pointed_at(tmp_path: Path, letter: str) -> None:
    base = tiny.write(tmp_path / "base", SMALL)
    zero = adapter_of(
        tmp_path / "zero",
        lambda w: {n: v * (0 if f"lora_{letter}" in n else 1) for n, v in w.items()},
    )
    with pytest.warns(UserWarning, match=rf"{zero} does nothing: its B .* are all zero"):
        admit(zero, SMALL, base, "base")
    some = adapter_of(
        tmp_path / "some", lambda w: {n: v * (0 if "layers.0" in n else 1) for n, v in w.items()}
    )
    admit(some, SMALL, base, "base")


def test_a_base_and_an_adapter_in_each_other_s_place(tmp_path: Path) -> None:
    base = tiny.write(tmp_path / "base", SMALL)
    with pytest.raises(SycojaxError, match="the directory holds a whole model"):
        load_adapter(base, SMALL)
    with pytest.raises(SycojaxError, match="an adapter is named by --adapter=NAME=PATH"):
        load_config(adapter_of(tmp_path / "adapter", lambda w: w))
