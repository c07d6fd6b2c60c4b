"""Greedy decoding: prompts take the rows of a batch as they become free, one adapter or a bank of them at a time."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from sycojax.config import ScoreConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.models.base import FrozenBase
from sycojax.parallel.distributed import is_first
from sycojax.parallel.mesh import device_memory, distribute, on_cpu, replicated, row_ways
from sycojax.progress import Progress
from sycojax.scoring.bank import abstract_pass, bank_size, pass_width, passes
from sycojax.scoring.decode_sizes import (
    CPU_WORTH_COMPILING,
    STRIDE,
    cache_sizes,
    decode_rows,
    padded_length,
    padded_slots,
)
from sycojax.scoring.generation import Arrivals, DecodeShape, DecodeState, Generation, View, Weights
from sycojax.scoring.journal import NOTHING, Section
from sycojax.scoring.memory import decoding_width, together
from sycojax.scoring.texts import Continuation, Encoded, Prompt, Texts


@dataclasses.dataclass
class DecodeCounts:
    """Summed over configurations."""

    generated_requests: int = 0
    prompt_tokens: int = 0
    padded_prompt_tokens: int = 0
    generated_tokens: int = 0
    decode_dropped_tokens: int = 0  # prompt tokens cut on the left (once, not per configuration)
    # A step feeds one token of every row of every adapter of the pass; prefill is no step.
    decode_steps: int = 0
    decode_step_adapters: int = 0  # summed over steps
    decode_step_rows: int = 0  # summed over steps, rows that are done included
    decode_step_slots: int = (
        0  # keys that the tokens fed to unfinished rows look at, themselves included
    )


class _Ended(NamedTuple):
    """What a stretch of steps brought: the rows that have ended, (adapter, row, all of its new tokens)."""

    steps: int
    rows: list[tuple[int, int, list[int]]]


class _Run(NamedTuple):
    """One pass: up to W adapters over all prompts."""

    lora: Callable[[], Any]  # the weights on the mesh, when they are first needed
    adapters: int
    prompts: Sequence[Prompt]
    encoded: Sequence[Encoded]
    shape: DecodeShape
    sizes: Sequence[int]  # of the cache, through which it grows

    def slots(self, tokens: int) -> int:
        """The cache's size that holds ``tokens`` in every row."""
        return next((size for size in self.sizes if size >= tokens), self.sizes[-1])


class Decoder:
    """Greedy continuations; remembers its compiled programs between calls."""

    def __init__(
        self,
        base: FrozenBase,
        tokenizer: Tokenizer,
        config: ScoreConfig,
        ends: Collection[int] = (),
    ):
        """``ends`` as in ``Texts``."""
        self.base, self.config = base, config
        self.counts = DecodeCounts()
        self._texts = Texts(tokenizer, base.config, ends)
        self._generation = Generation(base, self._texts.ends)
        self._shapes: set[DecodeShape] = set()
        self._lengths: set[tuple[DecodeShape, int]] = set()  # with padded lengths of prompts
        self._devices = row_ways(base.mesh)
        self.rows = decode_rows(config, base.mesh)

    @functools.cached_property
    def _memory(self) -> int | None:
        return device_memory(self.base.mesh.devices.flat)

    @property
    def compilations(self) -> int:
        """Programs compiled so far."""
        return self._generation.compilations

    def compiled_by(self, other: Decoder) -> None:
        """Use the programs of another decoder of the same base."""
        self._generation = other._generation

    def width(self, count: int) -> int:
        """How many of ``count`` adapters go through one pass where memory allows it.

        An accelerator spends a step on reading memory, which all of them can share.
        """
        if self.config.decode_bank_width:
            return self.config.decode_bank_width
        return self.config.bank_width if on_cpu(self.base.mesh) else count

    def together(self, count: int) -> int:
        """``width``, or as many as their adapters leave room for: all of them lie on every device while they are asked."""
        width, memory = self.width(count), self._memory
        return width if memory is None else min(width, together(self.base, width, memory))

    def fitting_width(self, count: int, rows: int, slots: int, memory: int | None) -> int:
        """``width``, or fewer where ``rows`` rows of ``slots`` tokens each are more than ``memory`` bytes hold."""
        width = self.width(count)
        if self.config.decode_bank_width or memory is None:
            return width
        return min(width, decoding_width(self.base, count, rows, slots, memory))

    def generate(
        self,
        prompts: Sequence[Prompt],
        bank: Any,
        *,
        progress: bool = True,
        kept: Section = NOTHING,
    ) -> list[list[Continuation]]:
        """One continuation per adapter of ``bank`` (leaves [A, ...]) and prompt, in the given order.

        A prompt that leaves no room for its new tokens loses its oldest tokens behind the first (``Texts.encode``, with what
        it raises). ``kept`` as in ``Scorer.score``.
        """
        count = bank_size(bank)
        results: list[list[Continuation | None]] = [[None] * len(prompts) for _ in range(count)]
        encoded = [self._texts.encode(prompt) for prompt in prompts]
        self.counts.decode_dropped_tokens += sum(prompt.dropped for prompt in encoded)
        self.counts.generated_requests += count * len(prompts)
        self.counts.prompt_tokens += count * sum(len(prompt.token_ids) for prompt in encoded)
        total = count * len(prompts)
        with Progress(
            "decoding", total, "item", shown=progress and total > 0 and is_first()
        ) as bar:
            shape = self._shape(encoded, count)
            longest = max((len(prompt.token_ids) for prompt in encoded), default=0)
            sizes = cache_sizes(shape.slots, longest)
            for first, adapters, lora in passes(bank, shape.width, self.base) if prompts else ():
                run = _Run(lora, adapters, prompts, encoded, shape, sizes)
                for a, at, new in self._continue(run, kept.of(f"{first}+{adapters}")):
                    results[first + a][at] = self._continued(new, prompts[at], encoded[at])
                    bar.update()
        out = [[c for c in row if c is not None] for row in results]
        if any(len(row) != len(prompts) for row in out):
            raise RuntimeError("not every prompt was continued")
        return out

    def _continue(self, run: _Run, kept: Section) -> Iterator[tuple[int, int, list[int]]]:
        """Yield (adapter, number of the prompt, its new tokens) in the order in which they end.

        What ``kept`` knows happens without the device; where that ends, ``_again`` brings the device to that point.
        """
        shape, encoded = run.shape, run.encoded
        # Long ones first: what is left at the end, when no prompt waits, are the short ones.
        order = sorted(
            range(len(encoded)), key=lambda n: (-encoded[n].limit, -len(encoded[n].token_ids))
        )
        queues = [collections.deque(order if a < run.adapters else ()) for a in range(shape.width)]
        held = np.full((shape.width, shape.rows), -1)  # the prompt in each row
        since = np.zeros(held.shape, int)  # the event with which it came
        filled = np.zeros(held.shape, int)  # slots that it may have filled
        slots = 0
        events: list[Arrivals | _Ended] = []
        group, key = self._group(shape.rows), self._key(run) if kept.keeps else ""
        weights: Any = None
        state: DecodeState | None = None
        while True:
            waiting = np.array([len(queue) for queue in queues], np.int32)
            free = (held < 0).sum(1)
            wanted = np.minimum(waiting, group).sum()
            if wanted and np.minimum(waiting, free).sum() >= wanted:
                before = held.copy()
                arrivals = self._arrivals(queues, held, encoded, shape)
                new = held != before
                since[new] = len(events)
                filled[new] = [len(encoded[number].token_ids) for number in held[new]]
                events.append(arrivals)
                slots = max(slots, run.slots(arrivals.token_ids.shape[-1]))
                if state is not None:
                    state = self._insert(run, self._grown(state, slots, shape), arrivals)
                continue
            if (held < 0).all():
                return
            slots = max(slots, run.slots(int(filled[held >= 0].max()) + STRIDE))
            at = f"{key}/{len(events)}"
            if state is None and (known := kept.get(at)) is not None:
                ended = _Ended(*known)
            else:
                kept.check()
                if state is None:
                    weights, state = self._again(run, events[since[held >= 0].min() :], slots)
                state, ended = self._advance(
                    run,
                    weights,
                    self._grown(state, slots, shape),
                    held,
                    waiting,
                    int(wanted or held.size + 1),
                )
                kept.put(at, ended)
            events.append(ended)
            filled += ended.steps
            self.counts.decode_steps += ended.steps
            self.counts.decode_step_adapters += ended.steps * shape.width
            self.counts.decode_step_rows += ended.steps * held.size
            for a, row, new in ended.rows:
                number, held[a, row] = int(held[a, row]), -1
                yield a, number, new

    def _again(
        self, run: _Run, events: Sequence[Arrivals | _Ended], slots: int
    ) -> tuple[Weights, DecodeState]:
        """The weights of the pass, and the device's state after ``events``, which begin with the arrival of the oldest prompt that is not done.

        A row does not depend on what stands in the others, so those of older prompts may be missing.
        """
        shape = run.shape._replace(slots=slots)
        weights, state = self._generation.begin(run.lora(), self.base.params, shape)
        for event in events:
            if isinstance(event, Arrivals):
                state = self._insert(run, state, event)
                continue
            nothing = np.zeros(run.shape.width, np.int32)
            state, _ = self._step(run, weights, state, nothing, 1, event.steps)
            state = self._end(run, state, event.rows)
        return weights, state

    def _advance(
        self,
        run: _Run,
        weights: Weights,
        state: DecodeState,
        held: np.ndarray,
        waiting: np.ndarray,
        wanted: int,
    ) -> tuple[DecodeState, _Ended]:
        """Feed tokens until rows have ended that ``wanted`` prompts can take, or for ``STRIDE`` steps."""
        state, view = self._step(run, weights, state, waiting, wanted, STRIDE)
        done, new, made, steps = jax.device_get(view)
        new, made = new.reshape(*held.shape, -1), made.reshape(held.shape)
        done, said = done.reshape(held.shape), []
        ended = []
        for a, row in np.argwhere(held >= 0).tolist():
            tokens = new[a, row, : made[a, row]].tolist()
            if done[a, row]:
                ended.append((a, row, tokens))
            elif self._texts.stopped(tokens, run.prompts[held[a, row]], STRIDE):
                said.append((a, row, tokens))
        state = self._end(run, state, said)
        return state, _Ended(int(steps), sorted(ended + said))

    def _step(
        self,
        run: _Run,
        weights: Weights,
        state: DecodeState,
        waiting: np.ndarray,
        wanted: int,
        most: int,
    ) -> tuple[DecodeState, View]:
        banked = run.shape.width > 1
        return self._generation.advance(
            weights,
            run.lora(),
            self.base.params,
            state,
            self._everywhere(waiting if banked else waiting[0]),
            self._everywhere(np.int32(wanted)),
            self._everywhere(np.int32(most)),
            banked=banked,
        )

    def _insert(self, run: _Run, state: DecodeState, arrivals: Arrivals) -> DecodeState:
        width = run.shape.width
        placed = self._place(arrivals, width)
        return self._generation.insert(
            run.lora(), self.base.params, state, placed, banked=width > 1
        )

    def _grown(self, state: DecodeState, slots: int, shape: DecodeShape) -> DecodeState:
        """The state with at least ``slots`` slots per row."""
        if state.caches[0].keys.shape[-2] >= slots:
            return state
        return self._generation.grow(state, slots, shape.width)

    def _end(
        self, run: _Run, state: DecodeState, rows: Sequence[tuple[int, int, Any]]
    ) -> DecodeState:
        """The state in which ``rows``, (adapter, row, ...), are done."""
        if not rows:
            return state
        width = run.shape.width
        mask = np.zeros((width, run.shape.rows), bool)
        for a, row, _ in rows:
            mask[a, row] = True
        mask = distribute(mask if width > 1 else mask[0], self._generation.by_rows(width))
        return self._generation.end(state, mask, width)

    def _key(self, run: _Run) -> str:
        """What the results of a run are known by, under the same weights."""
        texts = [[p.token_ids, p.limit] for p in run.encoded]
        stops = [p.stop for p in run.prompts]
        what = json.dumps([run.shape, run.adapters, self._texts.ends, texts, stops])
        return hashlib.sha256(what.encode()).hexdigest()

    def _arrivals(
        self,
        queues: Sequence[collections.deque[int]],
        held: np.ndarray,
        encoded: Sequence[Encoded],
        shape: DecodeShape,
    ) -> Arrivals:
        """Give waiting prompts to free rows, a group per adapter at most; leaves [W, I, ...]."""
        width, rows = held.shape
        group = self._group(rows)
        taken = []
        for a, queue in enumerate(queues):
            for i, row in enumerate(np.flatnonzero(held[a] < 0)[: min(group, len(queue))]):
                held[a, row] = number = queue.popleft()
                taken.append((a, i, row, encoded[number]))
        longest = max(len(prompt.token_ids) for *_, prompt in taken)
        waiting = len(taken) + sum(map(len, queues))
        length = self._length(longest, shape, waiting)
        token_ids = np.zeros((width, group, length), np.int32)
        lengths, limits = np.ones((2, width, group), np.int32)
        at = np.full((width, group), rows, np.int32)
        for a, i, row, prompt in taken:
            token_ids[a, i, : len(prompt.token_ids)] = prompt.token_ids
            lengths[a, i], limits[a, i], at[a, i] = len(prompt.token_ids), prompt.limit, row
        self.counts.padded_prompt_tokens += token_ids.size
        return Arrivals(token_ids, lengths, limits, at)

    def _place(self, arrivals: Arrivals, width: int) -> Arrivals:
        if width == 1:
            arrivals = Arrivals(*(leaf[0] for leaf in arrivals))
        sharding = self._generation.by_rows(width)
        return Arrivals(*(distribute(leaf, sharding) for leaf in arrivals))

    def _everywhere(self, value: Any) -> jax.Array:
        return distribute(value, replicated(self.base.mesh))

    def lower(self, length: int, steps: int, width: int) -> jax.stages.Lowered:
        """The program that decodes ``steps`` tokens after prompts of ``length``, to be compiled ahead of time."""
        shape = DecodeShape(width, self.rows, padded_slots(length + steps), steps)
        return self._generation.lower(abstract_pass(width, self.base), shape)

    def _shape(self, encoded: Sequence[Encoded], count: int) -> DecodeShape:
        """The state for these prompts; a compiled one of up to twice the slots is taken before a new one."""
        rows = self.rows
        while rows % (2 * self._devices) == 0 and rows // 2 >= len(encoded):
            rows //= 2
        slots = padded_slots(max((len(p.token_ids) + p.limit for p in encoded), default=1))
        width = pass_width(
            count,
            self.fitting_width(count, rows, slots, self._memory),
            {shape.width for shape in self._shapes},
        )
        steps = max((p.limit for p in encoded), default=1)
        compiled = [
            shape
            for shape in self._shapes
            if shape.width == width
            and shape.rows >= rows
            and slots <= shape.slots <= 2 * slots
            and shape.steps >= steps
        ]
        shape = min(compiled, default=DecodeShape(width, rows, slots, steps))
        if encoded:
            self._shapes.add(shape)
        return shape

    def _group(self, rows: int) -> int:
        """Rows that are replaced together: few enough that little waits, many enough to be worth a prefill."""
        return max(rows // 4 // self._devices, 1) * self._devices

    def _length(self, longest: int, shape: DecodeShape, waiting: int) -> int:
        """What arrivals are padded to."""
        compiled = {length for s, length in self._lengths if s == shape}
        worth = CPU_WORTH_COMPILING if on_cpu(self.base.mesh) else math.inf
        length = min(padded_length(longest, waiting, compiled, worth), shape.slots)
        self._lengths.add((shape, length))
        return length

    def _continued(self, ids: list[int], prompt: Prompt, encoded: Encoded) -> Continuation:
        found, made = self._texts.continuation(ids, prompt, encoded.dropped)
        self.counts.generated_tokens += made
        # The first new token is prefill's, the last is not fed; token i of the text sees i + 1 keys.
        self.counts.decode_step_slots += (made - 1) * (2 * len(encoded.token_ids) + made) // 2
        return found
