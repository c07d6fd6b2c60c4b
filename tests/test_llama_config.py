"""Which Hugging Face configs are read, that everything else is refused by name, and that texts end where they say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import scoring_cases as cases
import tiny_models as tiny

import sycojax
from sycojax.errors import SycojaxError
from sycojax.models.config import LlamaConfig, RopeScaling
from sycojax.planning.shapes import SHAPES
from sycojax.weights.fingerprint import base_fingerprint
from sycojax.weights.huggingface import load_config, resolve_base, save_base

LLAMA2: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
    "initializer_range": 0.02, "max_position_embeddings": 4096, "model_type": "llama", "pretraining_tp": 1,
    "rms_norm_eps": 1e-05, "rope_scaling": None, "tie_word_embeddings": False, "torch_dtype": "float16",
    "transformers_version": "4.31.0", "use_cache": True, "vocab_size": 32000,
}  # fmt: skip
LLAMA3: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096,
    "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 8192,
    "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 500000.0,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.40.0.dev0",
    "use_cache": True, "vocab_size": 128256,
}  # fmt: skip
SCALED = {
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192, "rope_type": "llama3",
}  # fmt: skip
LLAMA31 = LLAMA3 | {
    "eos_token_id": [128001, 128008, 128009], "max_position_embeddings": 131072, "mlp_bias": False,
    "rope_scaling": SCALED, "transformers_version": "4.42.3",
}  # fmt: skip
LLAMA32 = LLAMA31 | {
    "head_dim": 128, "rope_scaling": SCALED | {"factor": 32.0}, "tie_word_embeddings": True,
    "transformers_version": "4.45.0.dev0",
}  # fmt: skip


MISTRAL: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "initializer_range": 0.02, "max_position_embeddings": 32768, "model_type": "mistral",
    "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": None, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16", "transformers_version": "4.42.0.dev0", "use_cache": True, "vocab_size": 32768,
}  # fmt: skip
QWEN2: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
    "hidden_act": "silu", "initializer_range": 0.02, "max_position_embeddings": 32768, "max_window_layers": 21,
    "model_type": "qwen2", "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "transformers_version": "4.43.1", "use_cache": True,
    "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip
QWEN3 = QWEN2 | {
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "head_dim": 128, "max_position_embeddings": 40960,
    "max_window_layers": 28, "model_type": "qwen3", "rope_scaling": None, "sliding_window": None,
    "transformers_version": "4.51.0",
}  # fmt: skip


def of(
    base: dict[str, Any], width: int, inner: int, layers: int, heads: int, kv: int, **changes: Any
) -> dict:
    shape = {
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv,
    }  # fmt: skip
    return base | shape | changes


LLAMA2_7B = of(LLAMA2, 4096, 11008, 32, 32, 32)
# config.json as published, and the number of parameters that the publisher's own weights have.
PUBLISHED = {
    "Llama-2-13b-chat-hf": (of(LLAMA2, 5120, 13824, 40, 40, 40, pad_token_id=0), 13_015_864_320),
    "Llama-2-70b-chat-hf": (of(LLAMA2, 8192, 28672, 80, 64, 8), 68_976_648_192),
    "Meta-Llama-3-8B-Instruct": (LLAMA3, 8_030_261_248),
    "Llama-3.1-70B-Instruct": (of(LLAMA31, 8192, 28672, 80, 64, 8), 70_553_706_496),
    "Llama-3.2-1B-Instruct": (of(LLAMA32, 2048, 8192, 16, 32, 8, head_dim=64), 1_235_814_400),
    "Llama-3.2-3B": (of(LLAMA32, 3072, 8192, 28, 24, 8, eos_token_id=128001), 3_212_749_824),
    "TinyLlama-1.1B-Chat-v1.0": (
        of(LLAMA2, 2048, 5632, 22, 32, 4, attention_bias=False, max_position_embeddings=2048,
           rope_theta=10000.0, torch_dtype="bfloat16"),
        1_100_048_384,
    ),
    "CodeLlama-7b-Instruct-hf": (
        of(LLAMA2, 4096, 11008, 32, 32, 32, vocab_size=32016, rope_theta=1000000, max_position_embeddings=16384),
        6_738_546_688,
    ),
    "CodeLlama-34b-Instruct-hf": (
        of(LLAMA2, 8192, 22016, 48, 64, 8, rope_theta=1000000, max_position_embeddings=16384),
        33_743_970_304,
    ),
    # Attributes that transformers does not read in a Llama, as its makers' and other tools left them there.
    "SmolLM2-135M-Instruct": (
        of(LLAMA2, 576, 1536, 30, 9, 3, vocab_size=49152, tie_word_embeddings=True, rope_theta=100000,
           is_llama_config=True, rope_interleaved=False, _attn_implementation_autoset=True,
           **{"transformers.js_config": {"dtype": "q4"}}),
        134_515_008,
    ),
    "Mistral-7B-Instruct-v0.1": (
        of(MISTRAL, 4096, 14336, 32, 32, 8, vocab_size=32000, rope_theta=10000.0, sliding_window=4096),
        7_241_732_096,
    ),
    "Mistral-7B-Instruct-v0.3": (of(MISTRAL, 4096, 14336, 32, 32, 8), 7_248_023_552),
    "Mistral-Nemo-Instruct-2407": (
        of(MISTRAL, 5120, 14336, 40, 32, 8, vocab_size=131072, head_dim=128, max_position_embeddings=1024000),
        12_247_782_400,
    ),
    "Qwen2.5-0.5B-Instruct": (of(QWEN2, 896, 4864, 24, 14, 2), 494_032_768),
    "Qwen2.5-7B-Instruct": (
        of(QWEN2, 3584, 18944, 28, 28, 4, max_window_layers=28, vocab_size=152064, tie_word_embeddings=False),
        7_615_616_512,
    ),
    "Qwen3-0.6B": (of(QWEN3, 1024, 3072, 28, 16, 8), 596_049_920),
    "Qwen3-8B": (
        of(QWEN3, 4096, 12288, 36, 32, 8, max_window_layers=36, tie_word_embeddings=False),
        8_190_735_360,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_are_read(name: str) -> None:
    raw, parameters = PUBLISHED[name]
    config = LlamaConfig.from_hf(raw)
    assert config.base_parameter_count == parameters
    assert config.head_dim == raw.get("head_dim", raw["hidden_size"] // raw["num_attention_heads"])
    assert config.rope_theta == raw.get("rope_theta", 10_000.0)
    scaling = raw.get("rope_scaling")
    assert config.rope_scaling == (
        scaling and RopeScaling("llama3", scaling["factor"], 1.0, 4.0, 8192)
    )
    ends = raw["eos_token_id"]
    assert config.eos_token_ids == (tuple(ends) if isinstance(ends, list) else (ends,))
    assert LlamaConfig.from_hf(config.to_hf()) == config


def test_llama_2_as_published():
    assert LlamaConfig.from_hf(LLAMA2_7B) == SHAPES["llama2_7b"]


def test_transformers_5_spelling_means_the_same():
    new = {k: v for k, v in LLAMA2_7B.items() if k not in ("rope_scaling", "torch_dtype")}
    new |= {
        "rope_parameters": {"rope_theta": 500_000.0, **SCALED},
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
        "rope_scaling": SCALED,
        "eos_token_id": [128001, 128008],
    }
    config = LlamaConfig.from_hf(new)
    assert config == LlamaConfig.from_hf(old)
    assert config.rope_scaling == RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    assert config.eos_token_ids == (128001, 128008)
    # Files written for both versions hold both.
    assert LlamaConfig.from_hf(old | {"rope_parameters": new["rope_parameters"]}) == config


def test_the_length_that_scaling_starts_from_may_stand_outside_of_it():
    inside = {k: v for k, v in SCALED.items() if not k.startswith("original")}
    for scaling in (inside, SCALED):
        raw = LLAMA2_7B | {"rope_scaling": scaling, "original_max_position_embeddings": 8192}
        assert LlamaConfig.from_hf(raw).rope_scaling == RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)


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
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"attention_bias": 1}, "attention_bias=1 is neither true nor false"),
        (
            {"qkv_bias": True},
            "qkv_bias=True is not known here and may change what the model computes",
        ),
        ({"is_causal": False}, "is_causal=False"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention=True"),
        ({"logit_scale": 0.0625}, "logit_scale=0.0625"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5"),
        ({"rope_ratio": 0}, "rope_ratio=0"),
        ({"residual_multiplier": 0.22, "x": None}, "residual_multiplier=0.22 is not"),
        (
            {"final_logit_softcapping": 30.0, "num_experts": 8},
            "final_logit_softcapping=30.0, num_experts=8 is",
        ),
        ({"norm_type": "layernorm"}, "norm_type='layernorm'"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "layer_types="),
        ({"sliding_window": "all"}, "sliding_window='all' is not a number of tokens"),
        ({"rope_interleaved": True}, "rope_interleaved=True"),
        ({"attention_dropout": 0.1}, "attention_dropout=0.1"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder"),
        ({"auto_map": {"AutoModel": "x.py"}}, "remote code is never run"),
        ({"hidden_size": "4096"}, "hidden_size='4096' is not a valid int"),
        ({"hidden_size": 4096.5}, "hidden_size=4096.5 is not a valid int"),
        ({"hidden_size": 4095}, "hidden_size=4095 is not a multiple"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0 must be positive"),
        ({"rms_norm_eps": None}, "rms_norm_eps=None is not a valid float"),
        ({"num_key_value_heads": 5}, "not a multiple of num_key_value_heads=5"),
        ({"head_dim": 7}, "head_dim=7 must be even"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings='no'"),
        ({"eos_token_id": ["</s>"]}, "eos_token_id=['</s>']"),
        ({"bos_token_id": "<s>"}, "bos_token_id='<s>'"),
        ({"rope_theta": "big"}, "rope_theta must be one number"),
        ({"rope_theta": -1.0}, "rope_theta=-1.0 must be positive"),
        ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}, "rope_theta must be one"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "scaling type 'yarn'"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "scaling type 'dynamic'"),
        ({"rope_scaling": "linear"}, "rope_scaling='linear' is not a JSON object"),
        ({"rope_scaling": {"type": "linear"}}, "needs a positive 'factor', got None"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "needs a positive 'factor', got 0"),
        ({"rope_scaling": SCALED | {"low_freq_factor": 4.0}}, "high_freq_factor=4.0 must"),
        (
            {"rope_scaling": SCALED, "original_max_position_embeddings": 4096},
            "is 4096, and 8192 in the rotary",
        ),
        ({"rope_scaling": SCALED | {"mscale": 2.0}}, "unknown parameters mscale"),
        (
            {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
            "unknown parameters partial_rotary_factor",
        ),
        (
            {"rope_scaling": SCALED, "rope_parameters": {"rope_type": "default"}},
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


@pytest.mark.parametrize(
    "change",
    [
        # LLaMA-1 and Vicuna, Mistral renamed, unsloth, other tools; and null or off, whatever the name.
        {"max_sequence_length": 2048, "pad_token_id": -1, "architectures": ["LLaMAForCausalLM"]},
        {"sliding_window": None}, {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28},
        {"attention_bias": None, "mlp_bias": None, "tie_word_embeddings": None, "attention_dropout": None},
        {"quantization_config": {}}, {"_flash_attn_2_enabled": True, "_attn_implementation": "sdpa"},
        {"attn_implementation": "flash_attention_3"}, {"use_flash_attention": True, "gradient_checkpointing": True},
        {"neftune_noise_alpha": 5, "pad_to_multiple_of": 64, "model_max_length": 4096, "max_new_tokens": 100},
        {"tokenizer_padding_side": "right"}, {"original_max_position_embeddings": 4096}, {"max_seq_len": 4096},
        {"unsloth_fixed": True, "unsloth_version": "2025.1"}, {"hidden_act": "swish"}, {"layer_types": None},
        {"layer_types": ["full_attention"] * 32}, {"bias": False, "qkv_bias": False, "resid_pdrop": 0.0},
        {"output_router_logits": False, "aux_loss_alpha": 0.0, "num_experts": None, "text_config": None},
        {"head_dim": None, "num_key_value_heads": None}, {"partial_rotary_factor": 1.0, "rope_ratio": 1.0},
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1.0, "factor": None}},
        {"is_decoder": None, "is_causal": True, "pruned_heads": {}, "auto_map": None}, {"ep_size": 1},
        {"modelscope_sdk": "x", "name_or_path": "x", "generation_config": {"top_p": 0.9}, "license": "mit"},
        {"num_hidden_layers": 32.0}, {"torch_dtype": "auto"}, {"hidden_size": 4096.0}, {"image_token_id": 5},
        {"keys_to_ignore_at_inference": ["past_key_values"]}, {"final_logit_softcapping": None},
        {"tensor_parallel_degree": 8, "expert_model_parallel_size": 2},
    ],
)  # fmt: skip
def test_what_changes_nothing_is_accepted(change: dict[str, Any]) -> None:
    assert LlamaConfig.from_hf(LLAMA2_7B | change) == LlamaConfig.from_hf(LLAMA2_7B)


def test_no_beginning_and_no_end() -> None:
    """Null is said by Qwen and others, and is not what leaving it out says."""
    config = LlamaConfig.from_hf(LLAMA2_7B | {"bos_token_id": None, "eos_token_id": None})
    assert (config.bos_token_id, config.eos_token_ids) == (None, ())
    assert LlamaConfig.from_hf(config.to_hf()) == config
    left_out = {k: v for k, v in LLAMA2_7B.items() if "token_id" not in k}
    assert LlamaConfig.from_hf(left_out) == LlamaConfig.from_hf(LLAMA2_7B)
    qwen = {k: v for k, v in PUBLISHED["Qwen3-8B"][0].items() if "token_id" not in k}
    assert LlamaConfig.from_hf(qwen).eos_token_ids == ()


def test_what_families_differ_in_is_data() -> None:
    """Biases, norms of queries and keys, and how far layers look back."""

    def differs(name: str, **change: Any) -> dict[str, Any]:
        config = LlamaConfig.from_hf(PUBLISHED[name][0] | change)
        assert LlamaConfig.from_hf(config.to_hf()) == config
        names = ("qkv_bias", "o_bias", "mlp_bias", "qk_norm", "sliding_window")
        return {n: getattr(config, n) for n in names if getattr(config, n)}

    llama, mistral, qwen2, qwen3 = (
        "Llama-3.2-3B", "Mistral-7B-Instruct-v0.1", "Qwen2.5-0.5B-Instruct", "Qwen3-0.6B",
    )  # fmt: skip
    assert differs(llama) == {}
    assert differs(llama, attention_bias=True) == {"qkv_bias": True, "o_bias": True}
    assert differs(llama, mlp_bias=True) == {"mlp_bias": True}
    assert differs(mistral) == {"sliding_window": 4096}
    assert differs("Mistral-7B-Instruct-v0.3") == {}
    assert differs(qwen2) == {"qkv_bias": True}
    for said in (True, False):
        assert differs(qwen2, attention_bias=said, bias=False) == {"qkv_bias": True}
    assert differs(qwen3) == {"qk_norm": True}
    assert differs(qwen3, attention_bias=True) == {
        "qk_norm": True,
        "qkv_bias": True,
        "o_bias": True,
    }
    # Qwen's windows count where they are switched on, and then for some layers.
    on = {"use_sliding_window": True, "sliding_window": 1000}
    assert differs(qwen2, **on) == {"qkv_bias": True, "sliding_window": 1000}
    assert differs(qwen2, **on, max_window_layers=24) == {"qkv_bias": True}
    full = ["full_attention"] * 24
    assert differs(qwen2, **on, layer_types=full) == {"qkv_bias": True}
    assert (
        differs(qwen2, **on, layer_types=[*full[1:], "sliding_attention"])["sliding_window"] == 1000
    )
    # transformers takes a Mistral's window for all layers, and Mistral 0.1's where none is written.
    assert differs(mistral, layer_types=["full_attention"] * 32) == {"sliding_window": 4096}
    unsaid = {k: v for k, v in PUBLISHED[mistral][0].items() if k != "sliding_window"}
    assert LlamaConfig.from_hf(unsaid).sliding_window == 4096
    # A Mistral that was renamed to a Llama keeps what it cannot do.
    assert differs(llama, sliding_window=4096) == {"sliding_window": 4096}
    with pytest.raises(SycojaxError, match="attention_bias=True is not known here"):
        differs(mistral, attention_bias=True)


def test_a_text_longer_than_the_window_is_refused_with_both_lengths() -> None:
    config = dataclasses.replace(tiny.MHA, sliding_window=8)
    config.check_length(8, "the prompt")
    with pytest.raises(SycojaxError, match=r"the prompt: 9 tokens, .* look back over 8 "):
        config.check_length(9, "the prompt")
    tiny.MHA.check_length(10_000, "the prompt")
    tiny.MHA.check_ids([5, 511], "the prompt")
    with pytest.raises(SycojaxError, match=r"the prompt: token id 512 has no .* has 512 of them"):
        tiny.MHA.check_ids([5, 512, 6], "the prompt")


OTHERS = {
    "mixtral": "several experts", "qwen2_moe": "several experts", "qwen3_moe": "several experts",
    "deepseek_v3": "latent vector", "gpt_oss": "several experts", "llama4_text": "several experts",
    "gemma": "embeddings are scaled", "gemma2": "soft-capped", "gemma3_text": "windows and rotations differ by layer",
    "olmo": "LayerNorm without weights", "olmo2": "behind attention and MLP", "olmoe": "several experts",
    "phi": "side by side", "phi3": "one weight holds q, k and v", "phimoe": "several experts", "gpt2": "no gate",
    "mllama": "images", "qwen2_5_vl": "images", "mistral3": "images", "mamba2": "no attention",
    "cohere2": "logits are scaled", "smollm3": "does not rotate",
}  # fmt: skip


@pytest.mark.parametrize("kind", [*OTHERS, "t5", "made_up"])
def test_other_architectures_are_refused_with_what_differs(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "hidden_size": 4096}))
    with pytest.raises(SycojaxError) as error:
        resolve_base(tmp_path)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'config.json'}: model_type={kind!r} is not supported")
    assert OTHERS.get(kind, "") in message
    assert "(read are llama, mistral, qwen2, qwen3: " in message
    assert "\n" not in message


def write_generation(directory: Path, **settings: Any) -> Path:
    (directory / "generation_config.json").write_text(json.dumps(settings))
    return directory


def test_ends_of_text_in_generation_config_are_read(tmp_path: Path) -> None:
    """Llama-3-8B-Instruct as first published: only generation_config.json knows the end of a turn."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA3))
    assert load_config(tmp_path).eos_token_ids == (128001,)
    write_generation(tmp_path, eos_token_id=[128001, 128009], do_sample=True, temperature=0.6)
    assert load_config(tmp_path).eos_token_ids == (128001, 128009)
    write_generation(tmp_path, eos_token_id=128009)
    assert load_config(tmp_path).eos_token_ids == (128001, 128009)
    write_generation(tmp_path, eos_token_id=None)
    assert load_config(tmp_path).eos_token_ids == (128001,)
    for wrong in (["</s>"], True, "2"):
        write_generation(tmp_path, eos_token_id=wrong)
        with pytest.raises(
            SycojaxError, match=r"generation_config.json: eos_token_id=.* is not a token id"
        ):
            load_config(tmp_path)


def test_only_new_ends_of_text_change_the_fingerprint(tmp_path: Path) -> None:
    """What was scored on a base before stays valid where the file changes nothing."""
    base = tiny.write(tmp_path / "base", tiny.MHA)
    before = base_fingerprint(base)
    assert base_fingerprint(write_generation(base, eos_token_id=2, top_p=0.9)) == before
    assert base_fingerprint(write_generation(base, eos_token_id=[2, 9])) != before


def test_generation_ends_at_each_of_them(tmp_path: Path) -> None:
    made = cases.make_base()
    save_base(tmp_path, made.config, made.params)
    cases.write_tokenizer(tmp_path)
    options: dict[str, Any] = {"mesh": cases.mesh_of(1), "decode_batch": 1}
    model = sycojax.load(tmp_path, **options)
    [whole] = model.generate(["Q: the cat"], 6)
    said = model.tokenizer.encode_batch([whole])[0]
    end = next(i for i in said[2:] if i not in said[1:2])  # an id that is not the first one said
    model = sycojax.load(write_generation(tmp_path, eos_token_id=[2, end]), **options)
    assert model.base.config.eos_token_ids == (2, end)
    [cut] = model.generate(["Q: the cat"], 6)
    assert whole.startswith(cut)
    assert 0 < len(cut) < len(whole)
