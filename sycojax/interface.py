"""``sycojax.load``: a model, with or without an adapter, to ask directly.

Log-likelihoods follow lm-evaluation-harness token for token (its ``TemplateLM`` and ``HFLM``), so its task
numbers can be reproduced; the study's own requests go through ``scoring.Scorer``, which cuts prompts
differently (the first token stays) and refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import jax
from jax.sharding import Mesh

from sycojax.config import ScoreConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models.backends import choose
from sycojax.models.base import FrozenBase, Tree, zero_lora
from sycojax.models.compute import Compute, Dtype
from sycojax.models.lora import NO_ADAPTER
from sycojax.models.quantize import Quantization
from sycojax.parallel.mesh import make_mesh
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.texts import Prompt
from sycojax.scoring.tree import Completion
from sycojax.weights.admission import admit
from sycojax.weights.huggingface import load_base, load_config, resolve_base
from sycojax.weights.peft import resolve_adapter


class LanguageModel:
    """One configuration: a base with one adapter (of zeros where none was given)."""

    def __init__(self, base: FrozenBase, lora: Tree, tokenizer: Tokenizer, config: ScoreConfig):
        self.base, self.lora, self.tokenizer = base, lora, tokenizer
        self.scorer = Scorer(base, tokenizer, config)
        self._bank = jax.tree.map(lambda leaf: leaf[None], lora)

    @property
    def max_length(self) -> int:
        """Tokens that the model can attend to."""
        return self.base.config.max_position_embeddings

    def loglikelihood(
        self, pairs: Iterable[tuple[str, str]], *, progress: bool = False
    ) -> list[tuple[float, bool]]:
        """Per (context, continuation): log p(continuation | context) in nats, and whether it is the greedy one.

        Results come in the order of ``pairs``. Raises ``SycojaxError`` on a continuation that adds no
        token or is longer than the context.
        """
        return self.loglikelihood_tokens([self.encode(*pair) for pair in pairs], progress=progress)

    def loglikelihood_tokens(
        self, pairs: Iterable[tuple[Sequence[int], Sequence[int]]], *, progress: bool = False
    ) -> list[tuple[float, bool]]:
        """The same for (context ids, continuation ids); BOS is among the context ids."""
        completions = []
        for number, (context, continuation) in enumerate(pairs):
            if not 0 < len(continuation) <= self.max_length or not context:
                raise SycojaxError(
                    f"pair {number}: {len(context)} context and {len(continuation)} continuation "
                    f"tokens; both must be given, the continuation within {self.max_length} tokens"
                )
            # As the harness does, the oldest tokens go, BOS first.
            ids = (*context, *continuation)[-(self.max_length + 1) :]
            completions.append(Completion(ids, len(ids) - len(continuation)))
        scores = self.scorer.score_completions(completions, self._bank, progress=progress)
        return [
            (float(logprob), bool(greedy))
            for logprob, greedy in zip(scores.logprobs[0], scores.greedy[0], strict=True)
        ]

    def generate(
        self,
        prompts: Iterable[str],
        max_new_tokens: int = 256,
        *,
        stop: Sequence[str] = (),
        keep_stop: bool = False,
        progress: bool = False,
    ) -> list[str]:
        """Greedy continuations, each up to end-of-sequence or the first of ``stop``, which is left out.

        With ``keep_stop`` it is left in, and so is what was made before it was seen.
        """
        if max_new_tokens < 1:
            raise SycojaxError(f"max_new_tokens={max_new_tokens} must be at least 1")
        asked = [Prompt(prompt, max_new_tokens, tuple(stop), keep_stop) for prompt in prompts]
        continuations = self.scorer.decoder.generate(asked, self._bank, progress=progress)
        return [continuation.text for continuation in continuations[0]]

    def encode(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Context and continuation ids, by lm-evaluation-harness's rules.

        Trailing whitespace of the context belongs to the continuation. Both are tokenised as one text and
        cut after as many tokens as the context has alone. An empty context is what the tokenizer begins a text with; where that
        is nothing, the first token of the continuation is its context, and not scored.
        """
        if not context:
            ids = self.tokenizer.encode(continuation)
            return ids[:1], ids[1:]
        stripped = context.rstrip()
        ids = self.tokenizer.encode(context + continuation)
        count = len(self.tokenizer.encode(stripped))
        return ids[:count], ids[count:]


def load(
    path_or_hub_id: str | Path,
    adapter: str | Path | None = None,
    *,
    dtype: Dtype = "float32",
    quantization: Quantization = "none",
    tokenizer: str | Path | None = None,
    mesh: Mesh | None = None,
    batch_tokens: int = 0,
    decode_batch: int = 0,
) -> LanguageModel:
    """Load a model (a directory in Hugging Face layout, a GGUF file, a hub id, or ``toy``) and, if named, a PEFT adapter.

    ``dtype`` is that of weights and activations (the adapter stays float32, unmerged); ``quantization`` what the
    base's projections are stored in, the same as in the adapter's training; ``tokenizer`` a directory, the
    base's own by default; ``mesh`` all devices along its data axis by default. ``batch_tokens`` are
    scored at once, ``decode_batch`` prompts continued (0: chosen for the devices). Raises ``SycojaxError`` when a
    file is missing, damaged or not supported.
    """
    if dtype not in get_args(Dtype):
        raise SycojaxError(f"dtype={dtype!r} must be float32 or bfloat16")
    if quantization not in get_args(Quantization):
        raise SycojaxError(f"quantization={quantization!r} must be none, int8 or nf4")
    directory = resolve_base(path_or_hub_id)
    config = load_config(directory)
    if adapter is None:
        lora_config = NO_ADAPTER
        lora = zero_lora(config, lora_config)
    else:
        source = resolve_adapter(adapter)
        lora_config, lora = admit(source, config, directory, path_or_hub_id)
    mesh = make_mesh() if mesh is None else mesh
    attention = choose("auto", config, dtype, mesh)
    base = load_base(
        directory, lora_config, Compute(dtype, quantization, attention=attention, mesh=mesh)
    )
    return LanguageModel(
        base,
        lora,
        Tokenizer.from_directory(directory if tokenizer is None else tokenizer),
        ScoreConfig(batch_tokens=batch_tokens, decode_batch=decode_batch),
    )
