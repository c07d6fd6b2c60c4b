"""A tiny random Llama, a tokenizer whose pieces span boundaries, and the slow way to score."""

from __future__ import annotations

import dataclasses
import functools
import math
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tiny_models as tiny
import tokenizers
import tokenizers.decoders
import tokenizers.models
from jax.sharding import Mesh

from sycojax.config import ScoreConfig
from sycojax.data.encode import encode_pair
from sycojax.data.tokenizer import Tokenizer
from sycojax.models.base import FrozenBase, abstract, abstract_base, merge
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.requests import Request
from sycojax.scoring.decode import Decoder
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.texts import Continuation, Prompt

SPECIALS = ("<unk>", "<s>", "</s>")
PIECES = (*SPECIALS, *string.printable, " the", " cat", " dog", "(A", " A", "ing", " ye")
CONFIG = dataclasses.replace(
    tiny.GQA,
    vocab_size=len(PIECES) + 6,  # a table padded beyond the vocabulary
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    head_dim=8,
    max_position_embeddings=96,
)
LORA = LoRAConfig(rank=2, alpha=4.0, dropout=0.1)
LONGEST = CONFIG.max_position_embeddings
SCORE = ScoreConfig(batch_tokens=256, buckets=(64,), decode_batch=8)


def tokenizer() -> Tokenizer:
    """Longest match from the left, so that "(" + "A" is one token together and two apart."""
    ids = {piece: number for number, piece in enumerate(PIECES)}

    def encode(text: str) -> list[int]:
        out = []
        while text:
            piece = max((p for p in PIECES if text.startswith(p)), key=len, default="<unk>")
            out.append(ids[piece])
            text = text[len(piece) if text.startswith(piece) else 1 :]
        return out

    return Tokenizer(
        "test", len(PIECES), {"<unk>": 0, "<s>": 1, "</s>": 2}, "<s>", "</s>",
        lambda texts: [encode(t) for t in texts], lambda token_ids: "".join(PIECES[i] for i in token_ids),
    )  # fmt: skip


def write_tokenizer(directory: Path) -> None:
    """A tokenizer.json in which " the", " A" and "(A" are one token each, wherever they occur."""
    merges = [(" ", "t"), (" t", "h"), (" th", "e"), (" ", "A"), ("(", "A")]
    pieces = [*SPECIALS, *string.printable, *(a + b for a, b in merges)]
    raw = tokenizers.Tokenizer(
        tokenizers.models.BPE({piece: i for i, piece in enumerate(pieces)}, merges)
    )
    raw.add_special_tokens(list(SPECIALS))
    raw.post_processor = tokenizers.processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    raw.decoder = tokenizers.decoders.Fuse()  # pyright: ignore[reportAttributeAccessIssue]
    raw.save(str(directory / "tokenizer.json"))


def mesh_of(devices: int) -> Mesh:
    spread = (devices // 4, 2, 2) if devices > 1 else (1, 1, 1)
    return make_mesh(*spread, devices=jax.devices()[:devices])


def make_base(
    config: LlamaConfig = CONFIG, devices: int = 1, seed: int = 0, mesh: Mesh | None = None
) -> FrozenBase:
    """Random weights with opinionated logits, on all three mesh axes if there are eight devices.

    Drawn by NumPy: nothing is compiled.
    """
    mesh = mesh_of(devices) if mesh is None else mesh
    base = abstract_base(config, LORA, Compute(mesh=mesh))
    random = np.random.default_rng(seed)

    def drawn(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        noise = random.standard_normal(leaf.shape).astype(np.float32)
        if path[-1].key == "scale":
            return 1 + 0.1 * noise
        return noise if path[-1].key == "embedding" else noise / math.sqrt(leaf.shape[-2])

    params = jax.tree_util.tree_map_with_path(drawn, base.params)
    placement = jax.tree.map(lambda leaf: leaf.sharding, base.params)
    return dataclasses.replace(base, params=jax.device_put(params, placement))


def make_bank(count: int, config: LlamaConfig = CONFIG) -> Any:
    """Adapters that differ and matter; leaves float32 [count, ...]."""
    random = np.random.default_rng(7)
    return jax.tree.map(
        lambda leaf: random.normal(0, 0.2, (count, *leaf.shape)).astype(np.float32),
        abstract(config, LORA).lora,
    )


def adapter(bank: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], bank)


@functools.partial(jax.jit, static_argnums=0)
def _logits(graph: Any, lora: Any, params: Any, token_ids: jax.Array) -> jax.Array:
    model = merge(graph, lora, params)
    positions = jnp.arange(token_ids.shape[1])[None]
    return model.logits(model.hidden(token_ids, positions, jnp.ones_like(token_ids)))


def full_logits(base: FrozenBase, lora: Any, token_ids: Sequence[int]) -> np.ndarray:
    """[T, V] of one sequence, alone; what is padded behind it cannot be seen by it."""
    row = np.zeros((1, -(-len(token_ids) // LONGEST) * LONGEST), np.int32)
    row[0, : len(token_ids)] = token_ids
    params = jax.device_put(base.params, jax.devices()[0])
    return np.asarray(_logits(base.graph, lora, params, row))[0, : len(token_ids)]


def slow_score(
    base: FrozenBase, lora: Any, token_ids: Sequence[int], start: int
) -> tuple[float, bool]:
    """One sequence at a time, all logits, float64."""
    logits = full_logits(base, lora, token_ids[:-1]).astype(np.float64)
    table = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    table -= logits.max(1, keepdims=True)
    targets = np.asarray(token_ids[start:])
    read = np.arange(start - 1, len(token_ids) - 1)
    return float(table[read, targets].sum()), bool((table[read].argmax(1) == targets).all())


def slow_request(base: FrozenBase, lora: Any, request: Request) -> list[tuple[float, bool]]:
    pairs = [encode_pair(tokenizer().encode, request.prompt, c) for c in request.candidates]
    return [slow_score(base, lora, pair.token_ids, pair.start) for pair in pairs]


def request(item: str, prompt: str, *candidates: str, condition: str = "") -> Request:
    """A prompt has its special tokens written out: the scorer puts none in front."""
    whole = prompt if prompt.startswith("<s>") else f"<s>{prompt}"
    return Request("test", item, condition, item, whole, candidates)


def sample_requests(count: int = 14, seed: int = 0) -> list[Request]:
    """Of every kind: letters, phrases, shared prompts, repeated ones, boundaries inside a token."""
    random = np.random.default_rng(seed)
    words = [" the", " cat", " dog", " ran", " fishing", " yes", " no", " maybe so", " A B"]

    def text(n: int) -> str:
        return "".join(random.choice(words, n))

    out = []
    for i in range(count):
        question = "Q:" + text(int(random.integers(1, 9)))
        kind = i % 4
        if kind == 0:  # one token each, and "(A" is a token of its own
            out.append(request(f"{i}", question + " (", "A", "B", "C", "D"))
        elif kind == 1:  # phrases of different lengths that begin alike
            out.append(request(f"{i}", question, *[f" the{text(k)}" for k in range(4)]))
        elif kind == 2:  # two conditions of one question; the second repeats a candidate
            out.append(request(f"{i}", question, " yes", " no", condition="plain"))
            out.append(request(f"{i}", question + text(3), " yes", " no", condition="more"))
        else:  # same prompt and candidate again under another name
            out.append(request(f"{i}", out[0].prompt, "A", "D", "zebra"))
    return out


def answers(
    base: FrozenBase, adapters: int, config: ScoreConfig = SCORE
) -> tuple[np.ndarray, list[list[Continuation]]]:
    """What so many adapters say to a few requests and prompts: log-probabilities [adapters, n] and greedy texts."""
    bank = make_bank(adapters)
    records = Scorer(base, tokenizer(), config).score(sample_requests(6), bank, progress=False)
    logprobs = [np.concatenate([record.logprobs for record in of_one]) for of_one in records]
    prompts = [Prompt(text, 6) for text in ("Q: the cat", "A", "xyz (A) or (B)?")]
    texts = Decoder(base, tokenizer(), config).generate(prompts, bank, progress=False)
    return np.array(logprobs), texts
