"""What transformers, PEFT and torch compute on the tiny models, as NumPy arrays.

Used by the live comparison and by ``tests/golden/make.py``, which stores a part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import peft
import pytest
import tiny_models as tiny
import torch
import transformers

# Of tests that ask the peers: warnings inside them, with the versions of the day, are theirs.
MARKS = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def load(directory: Path) -> torch.nn.Module:
    """The checkpoint as transformers reads it, float32, eager attention."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def logits(model: torch.nn.Module, token_ids: np.ndarray) -> np.ndarray:
    """[T, V] of one sequence."""
    with torch.no_grad():
        return model(torch.tensor(token_ids[None], dtype=torch.long)).logits[0].numpy()


def assert_close_by_tensor(
    name: str, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    """Gradients by tensor: the largest difference in each is under 2e-5 of its largest value."""
    assert found.keys() == expected.keys()
    worst = 0.0
    for key, value in expected.items():
        scale = np.abs(value).max()
        assert scale > 0
        worst = max(worst, np.abs(found[key] - value).max() / scale)
    print(f"  {name} gradients: max |difference| / max |gradient| of a tensor {worst:.2e}")
    assert worst < 2e-5


def token_logprobs(model: torch.nn.Module, token_ids: np.ndarray) -> np.ndarray:
    """log p of tokens 1.. given those before, [T - 1]."""
    table = torch.log_softmax(torch.tensor(logits(model, token_ids)), dim=-1).numpy()
    return table[np.arange(len(token_ids) - 1), token_ids[1:]]


def with_adapter(
    model: torch.nn.Module, config: tiny.LlamaConfig, b_scale: float
) -> peft.PeftModel:
    """A PEFT model with ``tiny.adapter``'s matrices, dropout off."""
    settings = peft.LoraConfig(
        r=tiny.RANK,
        lora_alpha=tiny.ALPHA,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=[
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        ],
    )  # fmt: skip
    wrapped = peft.get_peft_model(model, settings)
    values = {k: torch.tensor(v) for k, v in tiny.adapter(config, b_scale=b_scale).items()}
    result = peft.set_peft_model_state_dict(wrapped, values)
    assert not result.unexpected_keys
    return wrapped


def with_new_adapter(
    model: torch.nn.Module, rank: int, alpha: float, targets: Sequence[str], stabilised: bool
) -> peft.PeftModel:
    """A PEFT model with an adapter of another shape and random matrices."""
    settings = peft.LoraConfig(
        r=rank, lora_alpha=alpha, bias="none", task_type="CAUSAL_LM", target_modules=list(targets),
        use_rslora=stabilised,
    )  # fmt: skip
    torch.manual_seed(rank)
    wrapped = peft.get_peft_model(model, settings)
    for name, value in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.05)
    return wrapped


def adapter_tensors(model: peft.PeftModel) -> dict[str, np.ndarray]:
    """The adapter's matrices by PEFT file name."""
    return {k: v.detach().numpy().copy() for k, v in peft.get_peft_model_state_dict(model).items()}


def step_loss(model: torch.nn.Module, batch: list[tiny.Text]) -> torch.Tensor:
    """Mean cross-entropy over the completion tokens of one step, in two micro-batches of two examples.

    Backward runs per micro-batch, each divided by the step's number of targets (transformers >= 4.46).
    """
    targets = sum(len(text.token_ids) - text.start for text in batch)
    total = torch.zeros(())
    for micro in (batch[:2], batch[2:]):
        width = max(len(text.token_ids) for text in micro)
        ids = torch.zeros((2, width), dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for row, text in enumerate(micro):
            n = len(text.token_ids)
            ids[row, :n] = torch.tensor(text.token_ids, dtype=torch.long)
            labels[row, text.start : n] = ids[row, text.start : n]
            mask[row, :n] = 1
        out = model(input_ids=ids, attention_mask=mask).logits.float()
        loss = torch.nn.functional.cross_entropy(
            out[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
        )
        (loss / targets).backward()
        total += loss.detach() / targets
    return total


def gradients(model: peft.PeftModel, batch: list[tiny.Text]) -> dict[str, np.ndarray]:
    """Gradient of the step loss with respect to every adapter matrix, by PEFT file name."""
    model.zero_grad()
    step_loss(model, batch)
    named = {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}
    return {name.replace(".default.", "."): grad for name, grad in named.items()}


def train(model: peft.PeftModel, config: tiny.LlamaConfig) -> tuple[np.ndarray, np.ndarray]:
    """The 20 steps with torch's AdamW, clipping at 1 and warm-up + cosine: losses and gradient norms."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=tiny.LEARNING_RATE, weight_decay=tiny.WEIGHT_DECAY, eps=1e-8
    )
    losses, norms = [], []
    for step, batch in enumerate(tiny.training_batches(config)):
        if step < tiny.WARMUP:
            factor = step / tiny.WARMUP
        else:
            progress = (step - tiny.WARMUP) / (tiny.STEPS - tiny.WARMUP)
            factor = 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = tiny.LEARNING_RATE * factor
        optimizer.zero_grad()
        losses.append(step_loss(model, batch).item())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
        optimizer.step()
    return np.array(losses), np.array(norms)
