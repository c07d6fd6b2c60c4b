"""Adapters in PEFT's format: exact both ways, and everything that is not computed exactly refused."""

from __future__ import annotations

import dataclasses
import json
from unittest.mock import Mock

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.models.base import abstract
from sycojax.models.lora import TARGETS, LoRAConfig
from sycojax.weights import peft
from sycojax.weights.peft import export_adapter, load_adapter

CONFIG = dataclasses.replace(tiny.GQA, num_hidden_layers=2)
LORA = LoRAConfig(rank=4, alpha=8, dropout=0.05)
KEY = "base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight"


def random_tree(lora=LORA, config=CONFIG):
    rng = np.random.default_rng(0)
    shapes = abstract(config, lora).lora
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


@pytest.fixture
def exported(tmp_path):
    export_adapter(tmp_path / "adapter", random_tree(), LORA, "some-org/base")
    return tmp_path / "adapter"


def test_files_are_those_of_peft(exported):
    tree = random_tree()
    stored = safetensors.numpy.load_file(exported / "adapter_model.safetensors")
    assert len(stored) == 2 * 7 * CONFIG.num_hidden_layers
    assert {value.dtype.name for value in stored.values()} == {"float32"}
    k_proj = tree["layers"]["self_attn"]["k_proj"]
    np.testing.assert_array_equal(stored[KEY], k_proj["lora_a"][1].T)
    np.testing.assert_array_equal(stored[KEY.replace("_A", "_B")], k_proj["lora_b"][1].T)
    assert stored[KEY].shape == (4, 64)  # [r, in]
    down = "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"
    assert stored[down].shape == (64, 4)  # [out, r]
    with safetensors.safe_open(exported / "adapter_model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
    assert json.loads((exported / "adapter_config.json").read_text()) == {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "some-org/base",
        "r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "bias": "none",
        "target_modules": list(TARGETS),
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


@pytest.mark.parametrize("targets", [TARGETS, ("q_proj", "v_proj"), ("down_proj",)])
def test_round_trip(tmp_path, targets):
    lora = dataclasses.replace(LORA, targets=targets, alpha=6.5)
    tree = random_tree(lora)
    export_adapter(tmp_path, tree, lora, "base")
    config, again = load_adapter(tmp_path, CONFIG)
    assert config == lora
    jax.tree.map(np.testing.assert_array_equal, again, tree)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_files_are_cast_up(exported, dtype):
    file = exported / "adapter_model.safetensors"
    stored = {k: v.astype(dtype) for k, v in safetensors.numpy.load_file(file).items()}
    safetensors.numpy.save_file(stored, file)
    tree = load_adapter(exported, CONFIG)[1]
    a = tree["layers"]["self_attn"]["k_proj"]["lora_a"]
    assert a.dtype == np.float32
    np.testing.assert_array_equal(a[1], stored[KEY].astype(np.float32).T)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type='LOHA'"),
        ({"task_type": "SEQ_CLS"}, "task_type='SEQ_CLS'"),
        ({"bias": "lora_only"}, "bias='lora_only'"),
        ({"use_rslora": "yes"}, "use_rslora='yes'"),
        ({"use_dora": True}, "use_dora=True"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out=True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save=['lm_head']"),
        ({"use_new_thing": True}, "use_new_thing=True"),
        ({"target_modules": ["q_proj", "lm_head"]}, "adapts lm_head, which is not supported"),
        ({"r": 0}, "lora.rank must be at least 1"),
        ({"r": "4"}, "r='4' is not a number"),
        ({"lora_alpha": None}, "lora_alpha=None is not a number"),
        ({"lora_dropout": 1.0}, "lora.dropout must be in"),
    ],
)
def test_settings_that_change_the_result_are_refused(exported, change, message):
    file = exported / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(SycojaxError) as error:
        load_adapter(exported, CONFIG)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_settings_that_are_off_are_accepted(exported):
    file = exported / "adapter_config.json"
    off = {
        "use_rslora": False, "use_dora": False, "alpha_pattern": {}, "rank_pattern": {},
        "layers_to_transform": None, "loftq_config": {}, "eva_config": {"rho": 2.0}, "ensure_weight_tying": True, "megatron_core": "megatron.core",
        "peft_version": "0.21.2", "qalora_group_size": 16, "some_future_setting": None,
    }  # fmt: skip
    file.write_text(json.dumps(json.loads(file.read_text()) | off))
    assert load_adapter(exported, CONFIG)[0] == LORA


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(KEY), f"missing tensors {KEY}"),
        (lambda w: w.update({"extra.weight": np.ones(2, np.float32)}), "unexpected tensors extra.weight"),
        (lambda w: w.update({KEY.replace("layers", "blocks"): w.pop(KEY)}), f"missing tensors {KEY}; unexpected tensors {KEY.replace('layers', 'blocks')}"),
        (lambda w: w.update({KEY.replace("model.layers", "model.language_model.layers"): w.pop(KEY)}), f"missing tensors {KEY}"),
        (lambda w: w.update({KEY.replace(".weight", ".b.weight"): w[KEY]}), "holds several adapters, or one twice"),
        (lambda w: w.update({KEY: np.zeros(0, np.float32)}), f"holds empty tensors ({KEY}): a model that was spread"),
        (dict.clear, "holds no tensors: a model that was spread over processes"),
        (lambda w: w.update({KEY: w[KEY].T.copy()}), f"{KEY} has shape (64, 4), this base and adapter_config.json need (4, 64)"),
        (lambda w: w.update({KEY: w[KEY].astype(np.int32)}), f"{KEY} is stored as I32"),
        (lambda w: w.update({KEY: w[KEY].astype(ml_dtypes.float8_e4m3fn)}), f"{KEY} is stored as F8_E4M3"),
        (lambda w: w.update({KEY: w[KEY] * np.nan}), f"{KEY} holds values that are not finite"),
    ],
)  # fmt: skip
def test_other_tensors_are_refused_by_name(exported, change, message):
    file = exported / "adapter_model.safetensors"
    stored = safetensors.numpy.load_file(file)
    change(stored)
    safetensors.numpy.save_file(stored, file)
    with pytest.raises(SycojaxError) as error:
        load_adapter(exported, CONFIG)
    assert message in str(error.value)


def test_adapter_of_another_base_is_refused(exported):
    for change, message in (
        ({"num_hidden_layers": 3}, "missing tensors .*layers.2"),
        ({"num_hidden_layers": 1}, "unexpected tensors .*layers.1"),
        ({"hidden_size": 128}, "the adapter was trained on another base"),
        ({"num_key_value_heads": 4}, "k_proj.lora_B.weight has shape"),
    ):
        with pytest.raises(SycojaxError, match=message):
            load_adapter(exported, dataclasses.replace(CONFIG, **change))


def test_missing_damaged_and_pickled_files_are_refused(exported):
    weights = exported / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SycojaxError, match="truncated or not a safetensors file"):
        load_adapter(exported, CONFIG)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(SycojaxError, match="it is a Git LFS pointer: run `git lfs pull`"):
        load_adapter(exported, CONFIG)
    # As an interrupted download leaves the hub's cache: a link to nothing.
    weights.unlink()
    weights.symlink_to("../../blobs/0123")
    with pytest.raises(SycojaxError, match=r"does not exist: the download stopped early"):
        load_adapter(exported, CONFIG)
    weights.rename(exported / "adapter_model.bin")
    with pytest.raises(SycojaxError, match=r"adapter_model.bin is not safetensors and is refused"):
        load_adapter(exported, CONFIG)
    (exported / "adapter_model.bin").unlink()
    # As the hub's cache holds it: of a repository only what is read is fetched.
    cached = exported.parent / "models--org--adapter" / "snapshots" / "0123abcd"
    cached.parent.mkdir(parents=True)
    exported.rename(cached)
    with pytest.raises(
        SycojaxError, match=r"run `hf download org/adapter` to finish it.*adapter_model\.bin only"
    ):
        load_adapter(cached, CONFIG)
    (cached / "adapter_config.json").unlink()
    (cached / "adapter_model.safetensors").touch()
    with pytest.raises(
        SycojaxError,
        match=r"adapter_config.json does not exist: its download or export stopped early",
    ):
        load_adapter(cached, CONFIG)


def test_interrupted_export_is_no_adapter(exported, monkeypatch):
    full = Mock(side_effect=SycojaxError("No space left on device"))
    monkeypatch.setattr(peft, "atomic_write", full)
    with pytest.raises(SycojaxError, match="No space left"):
        export_adapter(exported, random_tree(), LORA, "base")
    with pytest.raises(SycojaxError, match=r"adapter_config.json does not exist"):
        load_adapter(exported, CONFIG)
