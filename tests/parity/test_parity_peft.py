"""Adapters that PEFT wrote with names, patterns and initialisations of every kind, against PEFT (``parity`` extra)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.models.base import fit_adapter
from sycojax.models.lora import TARGETS, covering
from sycojax.weights.peft import load_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import torch_reference as reference  # noqa: E402

pytestmark = [*reference.MARKS, pytest.mark.filterwarnings("ignore::UserWarning")]
ALL = list(TARGETS)
COMPUTED = {
    "all-linear": {"target_modules": "all-linear"},
    "a pattern": {"target_modules": r".*\.(0|2)\.self_attn\.(q|v)_proj"},
    "ends of paths": {"target_modules": ["self_attn.q_proj", "layers.2.mlp.down_proj"]},
    "whole paths": {"target_modules": ["model.layers.1.self_attn.q_proj", "up_proj"], "layers_to_transform": [0]},
    "layers": {"layers_to_transform": [1, 3], "layers_pattern": "layers"},
    "a first layer": {"layers_to_transform": 0},
    "without some": {"target_modules": ALL, "exclude_modules": r".*\.0\..*"},
    "ranks": {"target_modules": ALL, "rank_pattern": {"q_proj": 8, "layers.1.self_attn.v_proj": 2}},
    "alphas": {"target_modules": ALL, "alpha_pattern": {"q_proj": 32, r"layers\.[01]\.mlp\..*": 1}},
    "both, stabilised": {
        "target_modules": ALL, "use_rslora": True,
        "rank_pattern": {r"^model\.layers\.0\.self_attn\.q_proj": 9, "k_proj": 1},
        "alpha_pattern": {"q_proj": 32, "up_proj": 3},
    },
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "eva": {"target_modules": ["q_proj", "v_proj", "o_proj"], "init_lora_weights": "eva", "eva_config": peft.EvaConfig(rho=2.0, tau=0.0)},
    "pissa, converted": {"init_lora_weights": "pissa"},
}  # fmt: skip
REFUSED = {
    "head": ({"target_modules": ["q_proj", "lm_head"]}, "adapts lm_head"),
    "embeddings": ({"target_modules": ["q_proj", "embed_tokens"]}, "adapts model.embed_tokens"),
    "saved modules": ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]"),
    "tokens": ({"trainable_token_indices": [5]}, r"trainable_token_indices=\[5\]"),
    "biases": ({"bias": "all"}, "bias='all'"),
    "lora biases": ({"lora_bias": True}, "lora_bias=True"),
    "dora": ({"use_dora": True}, "use_dora=True"),
    "pissa": ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
    "olora": ({"init_lora_weights": "olora"}, "init_lora_weights='olora'"),
    "repeated layers": ({"layer_replication": [(0, 3), (1, 4)]}, "layer_replication="),
    "parameters": ({"target_parameters": ["mlp.up_proj.weight"]}, "target_parameters="),
    "invocation": ({"alora_invocation_tokens": [5, 6]}, "alora_invocation_tokens="),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("base") / "gqa", tiny.GQA)


@pytest.fixture(scope="module")
def base(checkpoint: Path) -> Any:
    return ours.load(checkpoint)


def write(directory: Path, checkpoint: Path, settings: dict[str, Any]) -> None:
    """An adapter that PEFT made, moved away from its initialisation and saved."""
    given = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}  # fmt: skip
    torch.manual_seed(len(directory.name))
    config = peft.LoraConfig(**{**given, **settings})
    model = peft.get_peft_model(reference.load(checkpoint), config)
    initial = None
    if settings.get("init_lora_weights") == "eva":
        ids = torch.randint(3, 500, (8, 32))
        texts = [{"input_ids": two, "attention_mask": torch.ones_like(two)} for two in ids.split(2)]
        peft.initialize_lora_eva_weights(model, texts, show_progress_bar=False)
    if directory.name == "pissa, converted":
        # As PEFT documents: the initial adapter is kept, so that the saved one can be one of the unchanged base.
        initial = directory.with_name("initial")
        config.init_lora_weights = True
        model.save_pretrained(initial)
        config.init_lora_weights = "pissa"
    for name, value in model.named_parameters():
        if "lora_B" in name:
            with torch.no_grad():
                value += 0.05 * torch.randn_like(value)
    model.save_pretrained(directory, path_initial_model_for_weight_conversion=initial)


@pytest.mark.parametrize("kind", COMPUTED)
def test_computed_as_peft_does(kind: str, checkpoint: Path, base: Any, tmp_path: Path) -> None:
    """Alone, and in a bank with an adapter of all projections and a larger rank."""
    place = tmp_path / kind
    write(place, checkpoint, COMPUTED[kind])
    prompt = tiny.prompts(base.config)[1]
    theirs = peft.PeftModel.from_pretrained(reference.load(checkpoint), place).eval()
    expected = reference.logits(theirs, prompt)
    plain = ours.logits(base, ours.zero_adapter(base), prompt)
    assert np.abs(expected - plain).max() > 0.3
    own, adapter = load_adapter(place, base.config)
    for shape in (own, covering([own, base.lora])):
        wide = dataclasses.replace(base, lora=shape)
        found = ours.logits(wide, fit_adapter(adapter, own, wide), prompt)
        print(f"  {kind}: max |difference| {np.abs(found - expected).max():.2e}")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_name(kind: str, checkpoint: Path, base: Any, tmp_path: Path) -> None:
    """What PEFT computes and this model cannot."""
    settings, message = REFUSED[kind]
    write(tmp_path / kind, checkpoint, settings)
    with pytest.raises(SycojaxError, match=message):
        load_adapter(tmp_path / kind, base.config)
