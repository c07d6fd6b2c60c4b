"""Log-likelihoods of candidates and greedy continuations, for every adapter of a bank.

Requests are encoded, de-duplicated, packed and laid out once; the same arrays then go through every
configuration. All programs are compiled per batch shape, never per configuration.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sycojax.config import ScoreConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models.bank import over_bank
from sycojax.models.base import FrozenBase, merge
from sycojax.parallel.distributed import is_first
from sycojax.parallel.mesh import batch_sharding, distribute, on_cpu, replicated, row_ways
from sycojax.progress import Progress
from sycojax.records import Record
from sycojax.requests import Request
from sycojax.scoring.bank import abstract_pass, bank_size, member, pass_width, passes
from sycojax.scoring.batches import (
    CPU_TOKENS,
    TOKENS,
    Batch,
    BatchArrays,
    Buckets,
    batch_size,
    chunk_slots,
)
from sycojax.scoring.decode import Decoder
from sycojax.scoring.journal import NOTHING, Section
from sycojax.scoring.prepare import Encoder, Prepared, Programs, arrange_completions, prepare
from sycojax.scoring.texts import Prompt
from sycojax.scoring.tree import SLOT_TOKENS, Completion

# How many batches may be on the device before the oldest is fetched, and how many seconds of work they may be: a stop waits for
# them.
QUEUE, QUEUED_SECONDS = 8, 2.0
# How many calls' arrangements are kept: every configuration is asked the same, and calls with follow-ups come in between.
REMEMBERED = 4


@dataclasses.dataclass
class Counts:
    """What scoring took so far. Tokens are summed over configurations; generation is counted apart."""

    requests: int = 0
    completions: int = 0  # distinct (context, completion) pairs
    naive_tokens: int = 0  # one row per candidate of each request, unpadded
    unique_tokens: int = 0  # lower bound: nodes of the prefix trie of each call
    real_tokens: int = 0  # fed to the model
    padded_tokens: int = 0  # computed, padding included
    dropped_tokens: int = 0  # prompt tokens cut on the left (once, not per configuration)
    merged_pairs: int = 0  # a token spans prompt and candidate; it is scored with the candidate


class Scores(NamedTuple):
    """For A adapters and n completions."""

    logprobs: np.ndarray  # float64 [A, n], summed over the completion's tokens, in nats
    greedy: np.ndarray  # bool [A, n], every token is the argmax


class Scorer:
    """Scores requests under the adapters of a bank; remembers its compiled programs between calls."""

    def __init__(
        self,
        base: FrozenBase,
        tokenizer: Tokenizer,
        config: ScoreConfig,
        ends: Collection[int] = (),
    ):
        """``ends`` as in ``Decoder``."""
        self.base, self.tokenizer, self.config = base, tokenizer, config
        self.counts = Counts()
        self.decoder = Decoder(base, tokenizer, config, ends)
        self.buckets = Buckets(
            config.buckets,
            config.batch_tokens or (CPU_TOKENS if on_cpu(base.mesh) else TOKENS),
            devices=row_ways(base.mesh),
            attention_cost=_attention_cost(base),
        )
        self._works: collections.OrderedDict[Any, Prepared] = collections.OrderedDict()
        # (row length, adapters at once, tokens of a batch) seen so far
        self._shapes: set[tuple[int, int, int]] = set()
        self._compilations = 0
        self._programs = {banked: self._program(banked) for banked in (False, True)}
        self._first, self._ends = self, ends  # whose programs these are

    def again(self) -> Scorer:
        """A new scorer that shares the compiled programs of this one.

        Which batches a scorer makes depends on those it made before. So each stage takes a new one: a run that continues may have
        finished the stage before, and must make the same batches all the same.
        """
        other = Scorer(self.base, self.tokenizer, self.config, self._ends)
        other._programs, other._first = self._programs, self._first
        other.decoder.compiled_by(self.decoder)
        return other

    @property
    def compilations(self) -> int:
        """Programs compiled so far, for scoring and decoding."""
        return self._first._compilations + self.decoder.compilations

    def together(self, count: int) -> int:
        """How many of ``count`` configurations to give to one call of ``score``: the widest pass there is."""
        return max(self.config.bank_width, self.decoder.together(count))

    def report(self) -> dict[str, Any]:
        """Counts, compilations and shapes, as JSON values."""
        return {
            **dataclasses.asdict(self.counts),
            **dataclasses.asdict(self.decoder.counts),
            "compilations": self.compilations,
            "row_lengths": sorted({length for length, _, _ in self._shapes}),
        }

    def score(
        self,
        requests: Sequence[Request],
        bank: Any,
        *,
        progress: bool = True,
        kept: Section = NOTHING,
    ) -> list[list[Record]]:
        """One record per adapter of ``bank`` (lora tree, leaves [A, ...]) and request, in request order.

        What ``kept`` knows of this bank is not computed again, and it learns the rest. Raises ``Stopped`` as it does,
        and ``SycojaxError`` naming the request whose candidate exceeds the context, or whose score
        is not finite.
        """
        asked = [r for r in requests if r.candidates]
        work = self._prepared(asked, bank)
        scores = self._run(work, bank, progress, kept)
        generating = [r for r in requests if not r.candidates]
        continuations = self.decoder.generate(
            [Prompt(r.prompt, r.max_new_tokens, r.stop, rendered=True) for r in generating],
            bank,
            progress=progress,
            kept=kept,
        )
        count = bank_size(bank)
        self.counts.requests += count * len(requests)
        out = []
        for a in range(count):
            texts, likelihoods = iter(continuations[a]), iter(work.answers)
            records = []
            for request in requests:
                if not request.candidates:
                    new = next(texts)
                    records.append(
                        Record.generated(request, new.text, new.finished, new.dropped_tokens)
                    )
                    continue
                at, n_tokens, dropped = next(likelihoods)
                logprobs, greedy = scores.logprobs[a, at], scores.greedy[a, at]
                records.append(Record.scored(request, logprobs, n_tokens, greedy, dropped))
            if [r.key for r in records] != [r.key for r in requests]:
                raise RuntimeError("the scored requests are not those that were asked")
            out.append(records)
        return out

    def score_each(
        self,
        requests: Sequence[Sequence[Request]],
        bank: Any,
        *,
        progress: bool = True,
        kept: Section = NOTHING,
    ) -> list[list[Record]]:
        """Different requests for every adapter: ``requests[a]`` go to adapter a of ``bank``.

        Adapters go one at a time. With ``bank_width`` 1 that uses the programs of ``score``; wider banks
        compile one more program per row length, once.
        """
        if len(requests) != bank_size(bank):
            raise SycojaxError(f"{len(requests)} lists of requests for {bank_size(bank)} adapters")
        return [
            self.score(asked, member(bank, a, self.base), progress=progress, kept=kept.of(str(a)))[
                0
            ]
            if asked
            else []
            for a, asked in enumerate(requests)
        ]

    def score_completions(
        self, completions: Sequence[Completion], bank: Any, *, progress: bool = True
    ) -> Scores:
        """Score token ids; equal completions are computed once. Inputs must fit the context.

        Raises ``SycojaxError`` on an id without an embedding, and on inputs longer than the attention window.
        """
        for number, completion in enumerate(completions):
            self.base.config.check_ids(completion.token_ids, f"text {number}")
            self.base.config.check_length(len(completion.inputs), f"text {number}")
        work = arrange_completions(completions, self._shapes_for(bank))
        scores = self._run(work, bank, progress, NOTHING)
        return Scores(scores.logprobs[:, work.at], scores.greedy[:, work.at])

    def lower(self, length: int, width: int) -> jax.stages.Lowered:
        """The pass over a batch of rows of ``length`` under ``width`` adapters, ready to be compiled ahead of time.

        Nothing is allocated: the base's parameters may be ``ShapeDtypeStruct``s with shardings.
        """

        def like(shape: tuple[int, ...], place: Any) -> Any:
            return jax.ShapeDtypeStruct(shape, np.int32, sharding=place)

        rows, slots = (self.buckets.rows(length), length), self.buckets.capacity(length)
        shapes = [rows] * 4 + [(slots,), (slots, SLOT_TOKENS), ()]
        arrays = BatchArrays(*map(like, shapes, self._placement(width)))
        lora = abstract_pass(width, self.base)
        return self._programs[width > 1].lower(lora, self.base.params, arrays)

    def _prepared(self, requests: Sequence[Request], bank: Any) -> Prepared:
        """Encode and arrange, unless the same was asked lately: of another adapter, most likely."""
        key = (self._width(bank), tuple((r.prompt, r.candidates) for r in requests))
        if key in self._works:
            self._works.move_to_end(key)
            return self._works[key]
        encoder = Encoder(self.tokenizer, self.base.config)
        work = prepare(requests, encoder, self._shapes_for(bank))
        self.counts.dropped_tokens += sum(answer.dropped for answer in work.answers)
        self.counts.merged_pairs += work.merged
        self._works[key] = work
        if len(self._works) > REMEMBERED:
            self._works.popitem(last=False)
        return work

    def _shapes_for(self, bank: Any) -> Programs:
        """The shapes for a call of some size with a bank like this, compiled ones first."""
        width = self._width(bank)

        def choose(tokens: int) -> tuple[Buckets, set[int]]:
            sizes = {size for _, w, size in self._shapes if w == width}
            size = batch_size(tokens, self.buckets.batch_tokens, sizes)
            compiled = {length for length, w, s in self._shapes if (w, s) == (width, size)}
            return dataclasses.replace(self.buckets, batch_tokens=size), compiled

        return choose

    def _width(self, bank: Any) -> int:
        widths = {width for _, width, _ in self._shapes}
        return pass_width(bank_size(bank), self.config.bank_width, widths)

    def _run(self, work: Prepared, bank: Any, progress: bool, kept: Section) -> Scores:
        count, n, width = bank_size(bank), work.n_completions, self._width(bank)
        sums = np.full((count, n), np.nan)
        matches, done = np.zeros((2, count, n), bool)
        pending: collections.deque[tuple[Batch, int, int, Any]] = collections.deque()
        program, ahead, fetched = self._programs[width > 1], 0, time.monotonic()
        loras = list(passes(bank, width, self.base)) if n else []

        def take(batch: Batch, first: int, found: Sequence[tuple[Any, Any]]) -> None:
            for a, (total, match) in enumerate(found, first):
                sums[a, batch.numbers], matches[a, batch.numbers] = total, match
                done[a, batch.numbers] = True
            bar.update(len(found) * len(batch.numbers))

        def fetch() -> None:
            nonlocal ahead, fetched
            batch, first, adapters, results = pending.popleft()
            logprobs, argmax = jax.device_get(results)
            owns = [(a,) if width > 1 else () for a in range(adapters)]
            found = [batch.collect(logprobs[own], argmax[own]) for own in owns]
            take(batch, first, found)
            if kept.keeps:
                kept.put(_key(batch, width, first), [[s.tolist(), m.tolist()] for s, m in found])
            before, fetched = fetched, time.monotonic()
            ahead = min(QUEUE, int(QUEUED_SECONDS / max(fetched - before, 1e-6)))

        with Progress("scoring", done.size, "item", shown=progress and n > 0 and is_first()) as bar:
            for batch in work.plan.batches:
                length = batch.arrays.token_ids.shape[1]
                self._shapes.add((length, width, work.plan.batch_tokens))
                arrays = None
                for first, adapters, lora in loras:
                    known = kept.get(_key(batch, width, first)) if kept.keeps else None
                    if known is not None:
                        take(batch, first, known)
                        continue
                    kept.check()
                    if arrays is None:
                        arrays = jax.tree.map(distribute, batch.arrays, self._placement(width))
                    results = program(lora(), self.base.params, arrays)
                    pending.append((batch, first, adapters, results))
                    while len(pending) > ahead:
                        fetch()
            while pending:
                fetch()
        if not done.all():
            raise RuntimeError("the scored completions are not those that were asked")

        self.counts.completions += count * n
        self.counts.naive_tokens += count * work.naive_tokens
        self.counts.unique_tokens += count * work.plan.unique_tokens
        self.counts.real_tokens += count * work.plan.real_tokens
        self.counts.padded_tokens += width * len(loras) * work.plan.padded_tokens
        return Scores(sums, matches)

    def _placement(self, width: int) -> BatchArrays:
        rows = batch_sharding(self.base.mesh, bank_axis=self.base.compute.axis_of(width))
        everywhere = replicated(self.base.mesh)
        return BatchArrays(*[rows] * 4, *[everywhere] * 3)  # pyright: ignore[reportArgumentType]

    def _program(self, banked: bool) -> Any:
        """The jitted pass: (lora, base, arrays) -> token log-probs float32 [P, K] and argmax int32 [P]."""

        def run(lora: Any, params: Any, arrays: Any) -> tuple[jax.Array, jax.Array]:
            self._compilations += 1  # this line runs when JAX traces, once per shape
            if not banked:
                return self._read(1, lora, params, arrays)
            width = bank_size(lora)

            def one(lora: Any) -> tuple[jax.Array, jax.Array]:
                return self._read(width, lora, params, arrays)

            return over_bank(one, width, self.base.compute)(lora)

        return jax.jit(run, out_shardings=replicated(self.base.mesh))

    def _read(self, width: int, lora: Any, params: Any, arrays: Any) -> tuple[jax.Array, jax.Array]:
        """What one adapter of a pass of ``width`` makes of a batch."""
        model = merge(self.base.graph_of(width), lora, params)
        by_rows = batch_sharding(self.base.mesh, bank_axis=self.base.compute.axis_of(width))
        hidden = model.hidden(arrays.token_ids, arrays.positions, arrays.segment_ids, arrays.ends)
        hidden = hidden.reshape(-1, hidden.shape[2])
        chunk, kernel = chunk_slots(len(hidden), self.buckets.devices), model.whole_kernel()

        # The number of chunks is data: only the logits that are read are computed, and no two chunks'
        # logits exist at the same time.
        def read(index: jax.Array, out: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            at = jax.lax.dynamic_slice_in_dim(arrays.read_at, index * chunk, chunk)
            tokens = jax.lax.dynamic_slice_in_dim(arrays.read_tokens, index * chunk, chunk)
            rows = jax.lax.with_sharding_constraint(hidden[at], by_rows)
            logits = model.logits(rows, kernel)
            chosen = jnp.take_along_axis(logits, tokens, axis=1)
            logprobs = chosen - jax.nn.logsumexp(logits, axis=1, keepdims=True)
            argmax = jnp.argmax(logits, axis=1).astype(jnp.int32)
            return (
                jax.lax.dynamic_update_slice_in_dim(out[0], logprobs, index * chunk, 0),
                jax.lax.dynamic_update_slice_in_dim(out[1], argmax, index * chunk, 0),
            )

        nothing = jnp.zeros(arrays.read_tokens.shape), jnp.zeros(arrays.read_at.shape, jnp.int32)
        return jax.lax.fori_loop(0, arrays.chunks, read, nothing)


def _key(batch: Batch, width: int, first: int) -> str:
    """What a batch's results are known by, for the adapters from ``first`` on in a pass of ``width``."""
    return f"{batch.digest}/{width}/{first}"


def _attention_cost(base: FrozenBase) -> float:
    """Work of attending to one more token, as a share of a token's other work (multiply-adds)."""
    c = base.config
    tables = c.vocab_size * c.hidden_size * (1 if c.tie_word_embeddings else 2)
    layer = (c.base_parameter_count - tables) / c.num_hidden_layers
    return 2 * c.num_attention_heads * c.head_dim / layer
