"""Make ``reference.npz``: what torch, transformers and PEFT compute on the tiny models.

Run ``python tests/golden/make.py`` with the ``parity`` extra installed. The tests that read the file
need none of these libraries; the parity tests check that the file is what this script makes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "parity")]

# ruff: noqa: E402
import tiny_models as tiny
import torch
import torch_reference as reference
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

ROTARY = {
    # theta, head size, scaling: Llama 3.1 8B as published, and a linear one
    "llama3": (500_000.0, 128, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
    "linear": (10_000.0, 128, {"rope_type": "linear", "factor": 4.0}),
}  # fmt: skip


def rotary_frequencies(theta: float, head_dim: int, scaling: dict) -> np.ndarray:
    """transformers' inverse frequencies, float32 [H/2]."""
    config = transformers.LlamaConfig(
        hidden_size=head_dim * 2,
        num_attention_heads=2,
        max_position_embeddings=131_072,
        rope_parameters={**scaling, "rope_theta": theta},
    )
    return ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, device="cpu")[0].numpy()


def make(directory: Path) -> dict[str, np.ndarray]:
    """All arrays of the file; checkpoints are written under ``directory``."""
    torch.manual_seed(0)
    out = {f"rotary/{name}": rotary_frequencies(*ROTARY[name]) for name in ROTARY}
    for name, config in tiny.CONFIGS.items():
        path = tiny.write(directory / name, config)
        model = reference.load(path)
        for i, prompt in enumerate(tiny.prompts(config)):
            out[f"{name}/logits{i}"] = reference.logits(model, prompt)[-4:]
            out[f"{name}/token_logprobs{i}"] = reference.token_logprobs(model, prompt)
        adapted = reference.with_adapter(model, config, b_scale=0.02)
        out[f"{name}/adapted_logits"] = reference.logits(adapted, tiny.prompts(config)[1])[-4:]
        batch = tiny.training_batches(config)[0]
        found = reference.gradients(adapted, batch)
        out[f"{name}/gradients"] = np.array([tiny.digest(k, found[k]) for k in sorted(found)])
        if name not in ("mha", "gqa", "tied"):
            continue
        trained = reference.with_adapter(reference.load(path), config, b_scale=0.0)
        out[f"{name}/losses"], out[f"{name}/grad_norms"] = reference.train(trained, config)
        final = reference.adapter_tensors(trained)
        out[f"{name}/adapter"] = np.array([tiny.digest(k, final[k]) for k in sorted(final)])
        for key in ("self_attn.q_proj.lora_B", "mlp.down_proj.lora_A"):
            out[f"{name}/{key}"] = final[f"base_model.model.model.layers.1.{key}.weight"]
    return out


def main() -> None:
    target = Path(__file__).parent / "reference.npz"
    with tempfile.TemporaryDirectory() as directory:
        np.savez_compressed(target, **make(Path(directory)))
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
