"""A merged export: the sums it holds, the files it writes, and that it loads back as a base."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tiny_jax as ours
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.models.compute import Compute
from sycojax.models.lora import LoRAConfig
from sycojax.models.quantize import NF4, Int8, quantize
from sycojax.weights import merged
from sycojax.weights.fingerprint import weights_fingerprint
from sycojax.weights.huggingface import load_config
from sycojax.weights.merged import write_merged
from sycojax.weights.peft import load_adapter

CONFIG = dataclasses.replace(tiny.GQA, num_hidden_layers=2)


def write_adapter(directory: Path, targets=("q_proj", "down_proj"), rank=4, **settings) -> Path:
    """In PEFT's format, B not zero; some projections are left alone."""
    return tiny.write_adapter(directory, CONFIG, targets, rank, 0.1, lora_alpha=6, **settings)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    directory = tiny.write(tmp_path / "base", CONFIG, shards=1)
    (directory / "tokenizer.json").write_text("{}")
    (directory / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    (directory / "LICENSE.txt").write_text("terms")
    (directory / "optimizer.pt").write_bytes(b"no part of the model")
    return directory


def made(base: Path, adapter: Path, name: str = "merged", **options) -> Path:
    target = base.parent / name
    target.mkdir()
    write_merged(base, adapter, target, **options)
    return target


def read(directory: Path) -> dict[str, np.ndarray]:
    files = sorted(directory.glob("*.safetensors"))
    return {k: v for f in files for k, v in safetensors.numpy.load_file(f).items()}


def test_weights_are_the_sums_and_the_rest_is_copied(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    target = made(base, adapter)
    stored, found = tiny.tensors(CONFIG), read(target)
    values = tiny.adapter(CONFIG, rank=4, b_scale=0.1)
    assert set(found) == set(stored)
    for name, weight in stored.items():
        key = f"base_model.model.{name.removesuffix('.weight')}"
        if name.split(".")[-2] in ("q_proj", "down_proj"):
            a, b = (values[f"{key}.lora_{x}.weight"].astype(np.float64) for x in "AB")
            np.testing.assert_allclose(found[name], weight + 1.5 * (b @ a), atol=2e-6)
            assert np.abs(found[name] - weight).max() > 1e-2
        else:
            np.testing.assert_array_equal(found[name], weight)
    assert sorted(p.name for p in target.iterdir()) == [
        "LICENSE.txt", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert json.loads((target / "config.json").read_text())["torch_dtype"] == "float32"


def test_it_loads_back_as_a_base(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", ("q_proj", "v_proj", "up_proj"), use_rslora=True)
    target = made(base, adapter)
    assert load_config(target) == load_config(base)
    assert load_config(target).eos_token_ids == (2, 7)
    lora = LoRAConfig(rank=4, alpha=6 * 2, targets=("q_proj", "v_proj", "up_proj"))  # sqrt(4)
    plain, whole = ours.load_base(base, lora, Compute(mesh=ours.one_device())), ours.load(target)
    tree = load_adapter(adapter, CONFIG)[1]
    prompt = tiny.prompts(CONFIG)[1]
    expected = ours.logits(plain, tree, prompt)
    np.testing.assert_allclose(
        ours.logits(whole, ours.zero_adapter(whole), prompt), expected, atol=1e-4
    )
    assert np.abs(ours.logits(plain, ours.zero_adapter(plain), prompt) - expected).max() > 0.1


def test_large_models_are_written_in_shards_with_an_index(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    whole, cut = made(base, adapter), made(base, adapter, "cut", shard_bytes=100_000)
    files = sorted(p.name for p in cut.glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert len(files) > 3
    index = json.loads((cut / "model.safetensors.index.json").read_text())
    sizes = {name: w.nbytes for name, w in read(whole).items()}
    assert index["metadata"]["total_size"] == sum(sizes.values())
    for file in files:
        inside = safetensors.numpy.load_file(cut / file)
        assert {name for name, place in index["weight_map"].items() if place == file} == set(inside)
        assert len(inside) == 1 or sum(sizes[n] for n in inside) <= 100_000
    assert weights_fingerprint(cut) == weights_fingerprint(whole) != weights_fingerprint(base)


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_quantised_base_is_written_out_as_it_was_trained_on(
    base: Path, tmp_path: Path, kind: str
) -> None:
    config = dataclasses.replace(CONFIG, intermediate_size=192)  # whole blocks of 64
    base = tiny.write(tmp_path / "q", config, shards=1)
    adapter = write_adapter(tmp_path / "adapter", ("q_proj",))
    found = read(made(base, adapter, quantization=kind))
    stored = tiny.tensors(config)
    name = "model.layers.1.mlp.up_proj.weight"
    codes = quantize(kind, stored[name].T)  # type: ignore[arg-type]
    assert isinstance(codes, Int8 if kind == "int8" else NF4)
    again = quantize(kind, found[name].T)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.codes, codes.codes)
    assert 1e-4 < np.abs(found[name] - stored[name]).max() < 0.1
    np.testing.assert_array_equal(found["lm_head.weight"], stored["lm_head.weight"])
    # The model that sycojax trains and scores: codes and adapter apart.
    lora = LoRAConfig(rank=4, alpha=6, targets=("q_proj",))
    apart = ours.load_base(base, lora, Compute(quantization=kind, mesh=ours.one_device()))
    whole = ours.load(base.parent / "merged")
    prompt = tiny.prompts(config)[1]
    tree = load_adapter(adapter, config)[1]
    np.testing.assert_allclose(
        ours.logits(whole, ours.zero_adapter(whole), prompt), ours.logits(apart, tree, prompt), atol=2e-4
    )  # fmt: skip


def test_a_full_disk_is_said_before_anything_is_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(merged.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SycojaxError, match=r"0.0 GB free, the merged model takes 0.0 GB"):
        made(base, adapter)
    assert not list((tmp_path / "merged").iterdir())


def test_no_more_than_a_few_tensors_are_held(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is handed to the file is garbage before the next tensor is computed."""
    import weakref

    adapter, alive, most = write_adapter(tmp_path / "adapter"), [], 0
    real = merged.np.ascontiguousarray

    def watched(value, **options):
        nonlocal most
        found = real(value, **options)
        alive.append(weakref.ref(found))
        most = max(most, sum(r() is not None for r in alive))
        return found

    monkeypatch.setattr(merged.np, "ascontiguousarray", watched)
    made(base, adapter)
    assert len(alive) == len(tiny.tensors(CONFIG))
    assert most <= 2
