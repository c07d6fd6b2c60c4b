"""Greedy decoding of gsm8k prompts, generated tokens per second, against transformers' ``generate``."""

from __future__ import annotations

from typing import Any

from benchmarks import peers
from benchmarks.hardware import chip, device
from benchmarks.measure import OURS, PEER, Line, compared, interleave
from benchmarks.shapes import Bench
from sycojax.scoring.bandwidth import decode_bytes
from sycojax.scoring.decode import Decoder, Prompt

BATCHES = (8, 16, 32, 64)  # of the peer, tried


def prompts(bench: Bench) -> list[str]:
    """The first gsm8k questions as a study asks them."""
    asked = bench.data(evaluations=("gsm8k",)).requests["gsm8k"]
    texts = [request.prompt for request in asked if request.max_new_tokens]
    return texts[: bench.shape.decoded]


def measure(bench: Bench, repeats: int, peer: bool) -> list[Line]:
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
        assert tokenizer.eos_id is not None
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
    begun = decode_bytes(bench.base, decoder.counts)
    timings = interleave(sides, repeats)
    needed = (decode_bytes(bench.base, decoder.counts) - begun) / repeats
    if known := chip():
        details["share_of_bandwidth"] = needed / timings[OURS].seconds / known.bandwidth
    return [compared(
        "decode", shape.name, device(), timings, tokens, "tokens/s",
        **details, prompts=len(texts), generated_tokens=tokens, batch=decoder.rows,
    )]  # fmt: skip
