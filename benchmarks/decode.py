"""Greedy decoding of gsm8k prompts, generated tokens per second, against transformers' ``generate``."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from benchmarks import peers
from benchmarks.hardware import bound, chip, device
from benchmarks.measure import OURS, PEER, Line, compared, interleave, seconds
from benchmarks.shapes import Bench
from sycojax.planning.roofline import matmul_weights
from sycojax.scoring.bandwidth import decode_bytes
from sycojax.scoring.decode import Decoder
from sycojax.scoring.texts import Prompt

BATCHES = (8, 16, 32, 64)  # of the peer, tried


def prompts(bench: Bench, count: int | None = None) -> list[str]:
    """gsm8k questions as a study asks them, of the middle half by length, over again where there are too few.

    ``count`` of them, or as many as the shape's last line has.
    """
    asked = bench.data(evaluations=("gsm8k",)).requests["gsm8k"]
    texts = sorted((request.prompt for request in asked if request.max_new_tokens), key=len)
    middle = texts[len(texts) // 4 : -(len(texts) // 4) or None]
    return list(itertools.islice(itertools.cycle(middle), count or bench.shape.decoded[-1]))


@dataclasses.dataclass(frozen=True)
class Peer:
    """transformers' ``generate`` of the same prompts."""

    bench: Bench
    texts: list[str]
    model: Any

    def __call__(self, batch: int) -> list[list[int]]:
        tokenizer = self.bench.tokenizer
        assert tokenizer.eos_id is not None
        eos = sorted({*self.bench.base.config.eos_token_ids, tokenizer.eos_id})
        ids = [tokenizer.encode(text) for text in self.texts]
        return peers.generate(self.model, ids, batch, self.bench.shape.new_tokens, eos)

    def decoded(self, ids: list[int]) -> str:
        """The text of new tokens; a table may have more ids than the vocabulary."""
        return self.bench.tokenizer.decode([i for i in ids if i < self.bench.tokenizer.vocab_size])


def measure(bench: Bench, repeats: int, peer: bool) -> Iterator[Line]:
    """A line for each number of prompts of the shape."""
    for count in bench.shape.decoded:
        yield line(bench, repeats, peer, count)


def line(bench: Bench, repeats: int, peer: bool, count: int | None = None, width: int = 1) -> Line:
    """The line of so many prompts; ``width`` configurations are decoded in one bank, the peer has one."""
    shape, tokenizer = bench.shape, bench.tokenizer
    texts, bank = prompts(bench, count), bench.zero_bank(width)
    settings = dataclasses.replace(shape.score, bank_width=width)
    decoder = Decoder(bench.base, tokenizer, settings)
    whole, half = (
        [Prompt(text, new) for text in texts] for new in (shape.new_tokens, shape.new_tokens // 2)
    )
    found = [c.text for c in decoder.generate(whole, bank, progress=False)[0]]  # compiles
    tokens, needed = decoder.counts.generated_tokens, decode_bytes(bench.base, decoder.counts)
    # Every token goes through the layers, those of prompts too; every new one comes from the head.
    c = bench.base.config
    projected = c.projection_parameter_count * decoder.counts.prompt_tokens
    least = 2 * (projected + matmul_weights(c) * tokens)
    why = peers.missing("torch") or ("" if peer else "not asked for")
    details: dict[str, Any] = {"texts": bench.source, "peer": why or "transformers generate"}
    sides: dict[str, Any] = {OURS: lambda _: decoder.generate(whole, bank, progress=False)}
    if not why:
        theirs = Peer(bench, texts, bench.torch_model())
        batch = peers.fastest([b for b in BATCHES if b <= max(len(texts), BATCHES[0])], theirs)
        answers = map(theirs.decoded, theirs(batch))
        same = sum(a == b for a, b in zip(found, answers, strict=True)) / len(found)
        if shape.dtype == "float32" and same < 0.9:  # a tie may fall either way
            raise AssertionError(f"only {same:.0%} of the texts agree with transformers")
        details |= {"peer_batch": batch, "same_texts": same}
        sides[PEER] = lambda _: [theirs.decoded(ids) for ids in theirs(batch)]
    known = chip()
    if known:  # what the second half of the tokens takes has no reading of prompts in it
        decoder.generate(half, bank, progress=False)
        more = 2 * needed - decode_bytes(bench.base, decoder.counts)
        sides["half"] = lambda _: decoder.generate(half, bank, progress=False)
    timings = interleave(sides, repeats)
    ours_took, peer_took = seconds(timings)
    details["gb_per_second"] = needed / ours_took / 1e9
    details |= bound(bench.base, least, ours_took, peer_took)
    if known:
        steps = more / (ours_took - timings["half"].seconds)
        details |= {
            "share_of_bandwidth": needed / ours_took / known.bandwidth,
            "gb_per_second_of_steps": steps / 1e9,
            "share_of_bandwidth_of_steps": steps / known.bandwidth,
        }
    return compared(
        "decode", shape.name, device(), timings, tokens, "tokens/s",
        **details, prompts=len(texts), generated_tokens=tokens, batch=decoder.rows, width=width,
    )  # fmt: skip
