"""Which Hugging Face configs are read, and that everything else is refused by name."""

from __future__ import annotations

import dataclasses

import pytest
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.models.config import LlamaConfig, RopeScaling

# config.json of Llama-2-7B-chat as published (transformers 4.32).
LLAMA2_7B = {
    "_name_or_path": "meta-llama/Llama-2-7b-chat-hf",
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.32.0.dev0",
    "use_cache": True,
    "vocab_size": 32000,
}
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_llama_2_as_published():
    config = LlamaConfig.from_hf(LLAMA2_7B)
    assert config == LlamaConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        head_dim=128,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        rope_theta=10_000.0,
        rope_scaling=None,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_ids=(2,),
    )
    assert config.base_parameter_count == 6_738_415_616


def test_transformers_5_spelling_means_the_same():
    new = {k: v for k, v in LLAMA2_7B.items() if k not in ("rope_scaling", "torch_dtype")}
    new |= {
        "rope_parameters": {"rope_theta": 500_000.0, **LLAMA3_SCALING},
        "dtype": "bfloat16",
        "head_dim": 128,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "pad_token_id": None,
        "eos_token_id": [128001, 128008],
    }
    old = LLAMA2_7B | {
        "rope_theta": 500_000.0,
        "rope_scaling": LLAMA3_SCALING,
        "eos_token_id": [128001, 128008],
    }
    config = LlamaConfig.from_hf(new)
    assert config == LlamaConfig.from_hf(old)
    assert config.rope_scaling == RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    assert config.eos_token_ids == (128001, 128008)
    # Files written for both versions hold both.
    assert LlamaConfig.from_hf(old | {"rope_parameters": new["rope_parameters"]}) == config


def test_old_name_of_the_scaling_type_and_the_tiny_default():
    raw = LLAMA2_7B | {"rope_scaling": {"type": "linear", "factor": 2.0}}
    assert LlamaConfig.from_hf(raw).rope_scaling == RopeScaling("linear", 2.0)
    raw = LLAMA2_7B | {"rope_scaling": {"rope_type": "default"}, "num_key_value_heads": None}
    config = LlamaConfig.from_hf(raw)
    assert config.rope_scaling is None
    assert config.num_key_value_heads == 32


@pytest.mark.parametrize("name", list(tiny.CONFIGS))
def test_written_config_reads_back(name):
    config = tiny.CONFIGS[name]
    assert LlamaConfig.from_hf(config.to_hf()) == config
    assert LlamaConfig.from_hf(
        dataclasses.replace(config, eos_token_ids=(2, 5)).to_hf()
    ).eos_token_ids == (2, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral"}, "model_type='mistral'"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"attention_bias": True}, "attention_bias=True"),
        ({"mlp_bias": True}, "mlp_bias=True"),
        ({"rope_interleaved": True}, "rope_interleaved=True"),
        ({"attention_dropout": 0.1}, "attention_dropout=0.1"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder"),
        ({"attn_implementation": "magic"}, "attn_implementation='magic'"),
        ({"auto_map": {"AutoModel": "x.py"}}, "remote code is never run"),
        ({"sliding_window": 512}, "unknown attributes sliding_window"),
        ({"hidden_size": "4096"}, "hidden_size='4096' is not a valid int"),
        ({"hidden_size": 4096.5}, "hidden_size=4096.5 is not a valid int"),
        ({"hidden_size": 4095}, "hidden_size=4095 is not a multiple"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0 must be positive"),
        ({"rms_norm_eps": None}, "rms_norm_eps=None is not a valid float"),
        ({"num_key_value_heads": 5}, "not a multiple of num_key_value_heads=5"),
        ({"head_dim": 7}, "head_dim=7 must be even"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings='no'"),
        ({"eos_token_id": None}, "eos_token_id=None"),
        ({"eos_token_id": ["</s>"]}, "eos_token_id=['</s>']"),
        ({"bos_token_id": None}, "bos_token_id=None"),
        ({"rope_theta": "big"}, "rope_theta must be one number"),
        ({"rope_theta": -1.0}, "rope_theta=-1.0 must be positive"),
        ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}, "rope_theta must be one"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "scaling type 'yarn'"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "scaling type 'dynamic'"),
        ({"rope_scaling": "linear"}, "rope_scaling='linear' is not a JSON object"),
        ({"rope_scaling": {"type": "linear"}}, "needs a positive 'factor', got None"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "needs a positive 'factor', got 0"),
        ({"rope_scaling": LLAMA3_SCALING | {"low_freq_factor": 4.0}}, "high_freq_factor=4.0 must"),
        ({"rope_scaling": LLAMA3_SCALING | {"mscale": 2.0}}, "unknown parameters mscale"),
        (
            {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
            "unknown parameters partial_rotary_factor",
        ),
        (
            {"rope_scaling": LLAMA3_SCALING, "rope_parameters": {"rope_type": "default"}},
            "contradict each other",
        ),
    ],
)
def test_what_is_not_computed_exactly_is_refused(change, message):
    with pytest.raises(SycojaxError) as error:
        LlamaConfig.from_hf(LLAMA2_7B | change, "base/config.json")
    assert message in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"],
)
def test_missing_attribute_is_named(name):
    raw = {k: v for k, v in LLAMA2_7B.items() if k != name}
    with pytest.raises(SycojaxError, match=f"base/config.json: attribute '{name}' is missing"):
        LlamaConfig.from_hf(raw, "base/config.json")
