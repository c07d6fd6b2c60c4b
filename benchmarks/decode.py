"""Greedy decoding of gsm8k prompts, generated tokens per second, against transformers' ``generate``.

python -m benchmarks.decode --shape=small --out=benchmarks.jsonl
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import peers
from benchmarks.hardware import device, peaks, read_bandwidth
from benchmarks.measure import OURS, PEER, Line, arguments, compared, interleave, report
from benchmarks.shapes import SHAPES, Bench, opened
from sycojax.scoring.decode import Decoder, Prompt

BATCHES = (8, 16, 32, 64)  # of the peer, tried


def prompts(bench: Bench) -> list[str]:
    """The first gsm8k questions as a study asks them."""
    asked = bench.data(evaluations=("gsm8k",)).requests["gsm8k"]
    texts = [request.prompt for request in asked if request.max_new_tokens]
    return texts[: bench.shape.decoded]


def step_bytes(bench: Bench, rows: int, slots: float) -> float:
    """Bytes that one decoding step must read: every weight but the embedding table, and the cache so far."""
    c = bench.base.config
    dtype = bench.base.params["embed_tokens"]["embedding"].dtype
    table = 0 if c.tie_word_embeddings else c.vocab_size * c.hidden_size
    cache = 2 * c.num_hidden_layers * c.num_key_value_heads * c.head_dim * slots * rows
    return (c.base_parameter_count - table + cache) * dtype.itemsize


def measure(bench: Bench, repeats: int, peer: bool) -> Line:
    """The line of one shape."""
    shape, tokenizer = bench.shape, bench.tokenizer
    texts, new_tokens = prompts(bench), shape.new_tokens
    decoder, bank = Decoder(bench.base, tokenizer, shape.score), bench.zero_bank()
    asked = [Prompt(text, new_tokens) for text in texts]
    found = [c.text for c in decoder.generate(asked, bank, progress=False)[0]]  # compiles
    tokens = decoder.counts.generated_tokens
    why = peers.missing("torch") or ("" if peer else "not asked for")
    details: dict[str, Any] = {"texts": bench.source, "peer": why or "transformers generate"}
    sides: dict[str, Any] = {OURS: lambda _: decoder.generate(asked, bank, progress=False)}
    if not why:
        eos = sorted({*bench.base.config.eos_token_ids, tokenizer.eos_id})
        model = peers.load(bench.checkpoint(), shape.dtype)

        def run(batch: int) -> list[list[int]]:
            ids = [tokenizer.encode(text) for text in texts]
            return peers.generate(model, ids, batch, new_tokens, eos)

        batch = peers.fastest([b for b in BATCHES if b <= max(len(texts), BATCHES[0])], run)
        theirs = [
            tokenizer.decode([i for i in ids if i < tokenizer.vocab_size]) for ids in run(batch)
        ]
        same = sum(a == b for a, b in zip(found, theirs, strict=True)) / len(found)
        if shape.dtype == "float32" and same < 0.9:  # a tie may fall either way
            raise AssertionError(f"only {same:.0%} of the texts agree with transformers")
        details |= {"peer_batch": batch, "same_texts": same}
        sides[PEER] = lambda _: [tokenizer.decode(ids) for ids in run(batch)]
    timings = interleave(sides, repeats)
    rows = min(shape.score.decode_batch, len(texts))
    slots = sum(len(tokenizer.encode(text)) for text in texts) / len(texts) + new_tokens / 2
    limits = peaks()
    bandwidth = limits[1] if limits else read_bandwidth()
    steps = tokens / rows
    share = step_bytes(bench, rows, slots) * steps / timings[OURS].seconds / bandwidth
    return compared(
        "decode", shape.name, device(), timings, tokens, "tokens/s",
        **details, prompts=len(texts), generated_tokens=tokens, batch=rows,
        bandwidth_gb_s=bandwidth / 1e9, share_of_bandwidth=share,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one shape."""
    asked = arguments(__doc__ or "", list(SHAPES), argv)
    with opened(asked.shape) as bench:
        report([measure(bench, asked.repeats, not asked.no_peer)], asked.out)


if __name__ == "__main__":
    main()
