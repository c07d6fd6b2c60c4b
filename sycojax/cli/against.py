"""``sycojax doctor --against=transformers``: the config's base here and in transformers, on the config's own prompts.

What a user of a new checkpoint runs first: do both read the same ids, give answers the same likelihood, and say the
same? transformers' tokenizer and model are loaded by their own classes, from the same files.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sycojax.cli.data import kinds
from sycojax.config import StudyConfig
from sycojax.data.encode import encode_pair
from sycojax.data.prompts import Prompts
from sycojax.data.templates import Template
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.gguf_file import find
from sycojax.models.base import zero_lora
from sycojax.models.compute import Dtype
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.tree import Completion
from sycojax.study.datasets import source_of
from sycojax.study.inputs import prompts_of, tokenizer_of
from sycojax.study.scores import stack
from sycojax.weights.frozen import load_frozen
from sycojax.weights.huggingface import resolve_base
from sycojax.weights.precision import exact_products, settled

SCORED, CONTINUED, NEW_TOKENS = 20, 3, 24
# Nats per answer that rounding explains; more means that something else is computed.
BOUNDS: dict[Dtype, float] = {"float32": 2e-3, "bfloat16": 0.5}
QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "Is the sky blue?",
)


def against_transformers(config: StudyConfig) -> str:
    """A table for a terminal. Raises ``SycojaxError`` where torch is missing, where the study asks nothing, or where both do not agree."""
    if importlib.util.find_spec("torch") is None:
        raise SycojaxError("--against=transformers needs torch: pip install torch")
    config = settled(config.changed({"base.quantization": "none"}))
    tokenizer = tokenizer_of(config)
    prompts = prompts_of(config, tokenizer)
    directory = resolve_base(config.base.path)
    reader = Path(config.base.tokenizer) if config.base.tokenizer else directory
    pairs = _pairs(config, prompts, tokenizer)
    if not pairs:
        raise SycojaxError("score.evaluations names nothing whose answers could be compared")
    asked = [prompts.chat([question]) for question in QUESTIONS]
    ours = _ours(config, prompts, tokenizer, pairs, asked)
    judge, model = _theirs(directory, reader, config.base.computed_in)
    lines, wrong = [], []
    differing = _differing_ids(prompts.template, tokenizer, judge)
    lines.append(
        f"ids       {'differ' if differing else 'agree'} in {len(QUESTIONS)} conversations of two turns"
    )
    wrong += [f"transformers reads {text!r} otherwise" for text in differing[:1]]
    likelihoods = [_likelihood(model, pair.token_ids, pair.start) for pair in pairs]
    largest = max(abs(a - b) for a, b in zip(ours[0], likelihoods, strict=True))
    bound = BOUNDS[config.base.computed_in]
    lines += [
        f"{'answer (its last tokens)':<34}{'sycojax':>12}{'transformers':>14}{'difference':>12}"
    ]
    for pair, a, b in zip(pairs, ours[0], likelihoods, strict=True):
        text = repr(tokenizer.decode(pair.token_ids[pair.start :])[-30:])
        lines.append(f"{text:<34}{a:>12.4f}{b:>14.4f}{a - b:>12.1e}")
    lines.append(
        f"largest difference {largest:.1e} nats ({config.base.dtype}: up to {bound:g} is rounding)"
    )
    if largest > bound:
        wrong.append(f"log-likelihoods differ by up to {largest:.2g} nats")
    for question, prompt, said in zip(QUESTIONS, asked, ours[1], strict=True):
        other = _continuation(model, judge, tokenizer, prompt, prompts.template.end_ids(tokenizer))
        same = "the same" if said.strip() == other.strip() else f"transformers: {other.strip()!r}"
        lines.append(f"{question} {said.strip()!r}; {same}")
    if wrong:
        print(*lines, sep="\n")
        raise SycojaxError(f"sycojax and transformers disagree: {'; '.join(wrong)}")
    return "\n".join(lines)


def _pairs(config: StudyConfig, prompts: Prompts, tokenizer: Tokenizer) -> list[Any]:
    """Answers behind their prompts, a few of each kind that the study asks, as token ids."""

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    source, chosen = source_of(config), list[tuple[str, str]]()
    for row in itertools.count():
        shown = [one for one in kinds(config, source, prompts, tokenizer, row) if one.answers]
        turns = itertools.zip_longest(*([(one.prompt, a) for a in one.answers] for one in shown))
        chosen += [pair for of_kind in turns for pair in of_kind if pair is not None]
        if len(chosen) >= SCORED or not shown:
            break
    return [encode_pair(encode, prompt, answer) for prompt, answer in chosen[:SCORED]]


def _ours(
    config: StudyConfig, prompts: Prompts, tokenizer: Tokenizer, pairs: Sequence[Any], asked: Sequence[str]
) -> tuple[list[float], list[str]]:  # fmt: skip
    base = load_frozen(config)
    bank = stack([zero_lora(base.config, base.lora)])
    scorer = Scorer(base, tokenizer, config.score, ends=prompts.template.end_ids(tokenizer))
    requests = [
        Request("doctor", str(i), "", "", text, max_new_tokens=NEW_TOKENS, stop=prompts.stop)
        for i, text in enumerate(asked)
    ]
    completions = [Completion(tuple(p.token_ids), p.start) for p in pairs]
    with exact_products(config.base.dtype):
        scores = scorer.score_completions(completions, bank, progress=False)
        records = scorer.score(requests, bank, progress=False)[0]
    return [float(x) for x in scores.logprobs[0]], [str(r.text) for r in records]


def _theirs(directory: Path, reader: Path, dtype: Dtype) -> tuple[Any, Any]:
    """transformers' tokenizer and model, the latter on an accelerator of torch where there is one."""
    import torch  # pyright: ignore[reportMissingImports]
    import transformers

    def files(path: Path) -> tuple[str, dict[str, str]]:
        found = find(path)
        return (str(found.parent), {"gguf_file": found.name}) if found else (str(path), {})

    place, extra = files(reader)
    judge = transformers.AutoTokenizer.from_pretrained(place, **extra)
    place, extra = files(directory)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        place, dtype=getattr(torch, dtype), **extra
    )
    return judge, model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _differing_ids(template: Template, tokenizer: Tokenizer, judge: Any) -> list[str]:
    """The conversations whose ids are others by transformers' own tokenizer class."""
    differing = []
    for question in QUESTIONS:
        turns = [question, "I do not know.", "Are you sure?", "Yes."]
        text = template.conversation(turns)
        if judge.encode(text, add_special_tokens=False) != tokenizer.encode(
            text, add_special_tokens=False
        ):
            differing.append(text)
    return differing


def _likelihood(model: Any, ids: Sequence[int], start: int) -> float:
    """log p of ``ids[start:]`` in nats."""
    import torch  # pyright: ignore[reportMissingImports]

    with torch.no_grad():
        logits = model(torch.tensor([list(ids)], device=model.device)).logits[0].double().cpu()
    table = torch.log_softmax(logits, -1).numpy()
    return float(np.sum([table[i - 1, ids[i]] for i in range(start, len(ids))]))


def _continuation(
    model: Any, judge: Any, tokenizer: Tokenizer, prompt: str, ends: Sequence[int]
) -> str:
    import torch  # pyright: ignore[reportMissingImports]

    ids = tokenizer.encode(prompt, add_special_tokens=False)
    given = torch.tensor([ids], device=model.device)
    stops = {*ends, *np.atleast_1d(np.array(model.generation_config.eos_token_id or []))}
    out = model.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=NEW_TOKENS, do_sample=False,
        eos_token_id=[int(i) for i in stops] or None, pad_token_id=0,
    )  # fmt: skip
    return judge.decode(out[0, len(ids) :], skip_special_tokens=True)
