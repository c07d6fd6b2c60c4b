"""The peers at their best settings: transformers, PEFT and lm-evaluation-harness (the ``parity`` extra)."""

from __future__ import annotations

import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from benchmarks.hardware import cpu_seconds, threads
from sycojax.config import TrainConfig
from sycojax.data.encode import EncodedExample

T = TypeVar("T")
IGNORED = -100  # torch's label of a target that does not count


def missing(*packages: str) -> str:
    """Why there is no peer: what is not installed, or does not see JAX's device; empty when all is there."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    if jax.default_backend() != "cpu" and setup() == "cpu":
        return f"torch does not compute on {jax.default_backend()} here"
    return ""


def setup() -> str:
    """All processors for torch; returns the device it computes on."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads())
    warnings.filterwarnings("ignore", module="torch|transformers|peft")
    return "cuda" if torch.cuda.is_available() else "cpu"


def fastest(options: Sequence[T], run: Callable[[T], Any]) -> T:
    """The option that takes least, of increasing sizes: the search ends where more gets slower.

    The better of two runs counts, in processor time on a CPU, which other processes disturb less. What
    does not fit the device's memory is not an option.
    """
    import torch  # pyright: ignore[reportMissingImports]

    clock = time.perf_counter if setup() == "cuda" else cpu_seconds
    best, chosen = math.inf, options[0]
    run(chosen)  # warms up
    for option in options:
        taken = []
        try:
            for _ in range(2):
                start = clock()
                run(option)
                taken.append(clock() - start)
        except torch.OutOfMemoryError:
            break
        if min(taken) > 1.2 * best:
            break
        if min(taken) < best:
            best, chosen = min(taken), option
    return chosen


def load(checkpoint: Path, dtype: str, attention: str = "sdpa") -> Any:
    """The checkpoint as transformers reads it, on torch's device."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(
        str(checkpoint), dtype=getattr(torch, dtype), attn_implementation=attention
    )
    return model.to(setup()).eval()  # type: ignore[arg-type]


def random_model(config: dict[str, Any], dtype: str, attention: str = "sdpa") -> Any:
    """A Llama of this ``config.json`` with random weights, made on torch's device."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import AutoConfig, LlamaForCausalLM

    known = AutoConfig.for_model(**config)
    with torch.device(setup()):
        model = LlamaForCausalLM._from_config(
            known, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    return model.eval()


class PeftTrainer:
    """transformers + PEFT: one optimiser step at a time, as its trainer makes it (4.46 or newer)."""

    def __init__(
        self, model: Any, adapter: Path, config: TrainConfig, dropout: float, recompute: bool
    ):
        import torch  # pyright: ignore[reportMissingImports]
        from peft import PeftConfig, PeftModel  # pyright: ignore[reportMissingImports]

        settings = PeftConfig.from_pretrained(str(adapter))
        settings.lora_dropout = dropout  # type: ignore[attr-defined]
        settings.inference_mode = False
        self.model = PeftModel.from_pretrained(model, adapter, is_trainable=True, config=settings)
        self.model.train()
        if recompute:
            self.model.gradient_checkpointing_enable()
            self.model.enable_input_require_grads()
        self.config = config
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def step(
        self, batches: Sequence[Sequence[EncodedExample]], lengths: Sequence[int]
    ) -> tuple[float, float]:
        """Mean loss over all target tokens and gradient norm of a step over micro-batches padded to ``lengths``."""
        import torch  # pyright: ignore[reportMissingImports]

        targets = torch.tensor(sum(int(e.loss_mask.sum()) for batch in batches for e in batch))
        total = 0.0
        for batch, length in zip(batches, lengths, strict=True):
            ids, mask, labels = (
                torch.from_numpy(x).to(self.model.device) for x in padded(batch, length)
            )
            out = self.model(
                input_ids=ids, attention_mask=mask, labels=labels, shift_labels=labels,
                num_items_in_batch=targets, use_cache=False,
            )  # fmt: skip
            out.loss.backward()
            total += out.loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self.config.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(total), float(norm)


def padded(
    batch: Sequence[EncodedExample], length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, attention mask and labels int64 [B, length]; labels are already the next tokens."""
    ids, mask = np.zeros((2, len(batch), length), np.int64)
    labels = np.full((len(batch), length), IGNORED, np.int64)
    for row, example in enumerate(batch):
        n = len(example.token_ids)
        ids[row, :n], mask[row, :n] = example.token_ids, 1
        labels[row, :n] = np.where(example.loss_mask, example.target_ids, IGNORED)
    return ids, mask, labels


def harness(model: Any, tokenizer: Path, batch_size: int) -> Any:
    """lm-evaluation-harness's own ``hf`` model around one of transformers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.models.huggingface import HFLM  # pyright: ignore[reportMissingImports]
        from transformers import AutoTokenizer

        words = AutoTokenizer.from_pretrained(str(tokenizer))
        return HFLM(pretrained=model, tokenizer=words, batch_size=batch_size)  # pyright: ignore[reportCallIssue]


def loglikelihoods(model: Any, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Summed log-probabilities float64 [n] of (context, continuation) pairs."""
    from lm_eval.api.instance import Instance  # pyright: ignore[reportMissingImports]

    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]  # type: ignore[arg-type]
    return np.array([value for value, _ in model.loglikelihood(asked, disable_tqdm=True)])


def generate(
    model: Any, prompts: Sequence[Sequence[int]], batch: int, new_tokens: int, eos: Sequence[int]
) -> list[list[int]]:
    """Greedy continuations of token ids, longest prompts first, left-padded, up to end-of-sequence."""
    import torch  # pyright: ignore[reportMissingImports]

    order = sorted(range(len(prompts)), key=lambda n: -len(prompts[n]))
    results: list[list[int]] = [[] for _ in prompts]
    for first in range(0, len(order), batch):
        numbers = order[first : first + batch]
        length = max(len(prompts[n]) for n in numbers)
        ids, mask = np.zeros((2, len(numbers), length), np.int64)
        for row, n in enumerate(numbers):
            ids[row, length - len(prompts[n]) :] = prompts[n]
            mask[row, length - len(prompts[n]) :] = 1
        with torch.inference_mode():
            out = model.generate(
                input_ids=torch.from_numpy(ids).to(model.device),
                attention_mask=torch.from_numpy(mask).to(model.device),
                max_new_tokens=new_tokens, do_sample=False, eos_token_id=list(eos), pad_token_id=0,
            ).cpu().numpy()  # fmt: skip
        for row, n in enumerate(numbers):
            new = out[row, length:].tolist()
            ends = [i for i, token in enumerate(new) if token in eos]
            results[n] = new[: ends[0] + 1] if ends else new
    return results
