"""Greedy decoding with a KV cache: prompts left-padded to a bucket, one adapter or a bank of them at a time."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from sycojax.config import ScoreConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.models.llama import FrozenBase, KVCache, merge
from sycojax.parallel.distributed import is_first
from sycojax.parallel.mesh import batch_sharding, distribute, replicated
from sycojax.scoring.bank import abstract_pass, bank_size, pass_width, passes

# Batches whose results may wait on the device before the oldest is fetched.
QUEUE = 2


class Prompt(NamedTuple):
    """A text to continue by at most ``max_new_tokens``, up to end-of-sequence or the first of ``stop``."""

    text: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()


class Continuation(NamedTuple):
    """``finished`` says whether it stopped by itself; ``dropped_tokens`` how much of the prompt was cut."""

    text: str
    finished: bool
    dropped_tokens: int = 0


class DecodeArrays(NamedTuple):
    """One batch of B prompts of at most T tokens, left-padded."""

    token_ids: np.ndarray  # int32 [B, T]
    padding: np.ndarray  # int32 [B], places in front of the prompt
    limits: np.ndarray  # int32 [B], new tokens wanted; 0 for rows that only fill the batch


@dataclasses.dataclass
class DecodeCounts:
    """Summed over configurations."""

    generated_requests: int = 0
    prompt_tokens: int = 0
    padded_prompt_tokens: int = 0
    generated_tokens: int = 0
    decode_dropped_tokens: int = 0  # prompt tokens cut on the left (once, not per configuration)


class Decoder:
    """Greedy continuations; keeps its compiled programs between calls."""

    def __init__(self, base: FrozenBase, tokenizer: Tokenizer, config: ScoreConfig):
        self.base, self.tokenizer, self.config = base, tokenizer, config
        self.counts = DecodeCounts()
        self.compilations = 0
        self._shapes: set[tuple[int, int, int]] = set()  # (T, new tokens, adapters at once) seen
        self._eos = tuple(sorted({*base.config.eos_token_ids, tokenizer.eos_id}))
        devices = base.mesh.shape["data"] * base.mesh.shape["fsdp"]
        self.rows = -(-config.decode_batch // devices) * devices
        self._program = jax.jit(
            self._run, static_argnames=("steps", "banked"), out_shardings=replicated(base.mesh)
        )

    def generate(
        self, prompts: Sequence[Prompt], bank: Any, *, progress: bool = True
    ) -> list[list[Continuation]]:
        """One continuation per adapter of ``bank`` (leaves [A, ...]) and prompt, in the given order.

        A prompt that leaves no room for its new tokens loses its oldest tokens behind the BOS, but never
        so many that less than half the context is left of it.
        """
        count = bank_size(bank)
        width = pass_width(count, self.config.bank_width, {w for _, _, w in self._shapes})
        results: list[list[Continuation | None]] = [[None] * len(prompts) for _ in range(count)]
        loras = list(passes(bank, width, self.base)) if prompts else []
        encoded = [self._encode(prompt) for prompt in prompts]
        self.counts.decode_dropped_tokens += sum(dropped for _, dropped in encoded)
        # Rows of a batch share one number of steps and one padded length.
        order = sorted(
            range(len(prompts)), key=lambda n: (-prompts[n].max_new_tokens, -len(encoded[n][0]))
        )
        pending: collections.deque[tuple[list[int], int, int, jax.Array]] = collections.deque()
        bar = tqdm(
            total=count * len(prompts),
            unit="item",
            desc="decoding",
            leave=False,
            disable=None if progress and prompts and is_first() else True,
        )

        def fetch() -> None:
            numbers, first, adapters, out = pending.popleft()
            new = jax.device_get(out)
            new = new[None] if width == 1 else new
            for a in range(adapters):
                for row, number in enumerate(numbers):
                    ids, dropped = encoded[number]
                    limit = self._limit(prompts[number], len(ids))
                    text = self._text(new[a, row, :limit], prompts[number], dropped)
                    results[first + a][number] = text
            bar.update(adapters * len(numbers))

        with bar:
            at = 0
            while at < len(order):
                steps = prompts[order[at]].max_new_tokens
                numbers = [
                    n for n in order[at : at + self.rows] if prompts[n].max_new_tokens == steps
                ]
                at += len(numbers)
                arrays = self._arrays([(encoded[n][0], prompts[n]) for n in numbers], steps, width)
                self.counts.padded_prompt_tokens += width * len(loras) * arrays.token_ids.size
                rows = batch_sharding(self.base.mesh, bank_axis=self.base.axis_of(width))
                placed = jax.tree.map(functools.partial(distribute, sharding=rows), arrays)
                for first, adapters, lora in loras:
                    out = self._program(
                        lora, self.base.params, placed, steps=steps, banked=width > 1
                    )
                    pending.append((numbers, first, adapters, out))
                    if len(pending) > QUEUE:
                        fetch()
            while pending:
                fetch()
        self.counts.generated_requests += count * len(prompts)
        self.counts.prompt_tokens += count * sum(len(ids) for ids, _ in encoded)
        out = [[c for c in row if c is not None] for row in results]
        if any(len(row) != len(prompts) for row in out):
            raise RuntimeError("not every prompt was continued")
        return out

    def lower(self, length: int, steps: int, width: int) -> jax.stages.Lowered:
        """The program for prompts of ``length`` tokens, ready to be compiled ahead of time (see ``Scorer.lower``)."""
        rows = batch_sharding(self.base.mesh, bank_axis=self.base.axis_of(width))
        shapes = ((self.rows, length), (self.rows,), (self.rows,))
        arrays = DecodeArrays(
            *(jax.ShapeDtypeStruct(shape, np.int32, sharding=rows) for shape in shapes)  # pyright: ignore[reportArgumentType]
        )
        lora = abstract_pass(width, self.base)
        return self._program.lower(lora, self.base.params, arrays, steps=steps, banked=width > 1)

    def _encode(self, prompt: Prompt) -> tuple[list[int], int]:
        """Ids that leave room for the new tokens, and how many were cut behind the BOS."""
        ids = self.tokenizer.encode(prompt.text)
        context = self.base.config.max_position_embeddings
        keep = max(context - prompt.max_new_tokens, context // 2, 1)
        dropped = max(0, len(ids) - keep)
        return (ids[:1] + ids[1 + dropped :] if dropped else ids), dropped

    def _limit(self, prompt: Prompt, length: int) -> int:
        return min(prompt.max_new_tokens, self.base.config.max_position_embeddings - length)

    def _arrays(
        self, rows: Sequence[tuple[list[int], Prompt]], steps: int, width: int
    ) -> DecodeArrays:
        length = self._length(max(len(ids) for ids, _ in rows), steps, width)
        token_ids = np.full((self.rows, length), self.tokenizer.bos_id, np.int32)
        padding, limits = np.zeros((2, self.rows), np.int32)
        for row, (ids, prompt) in enumerate(rows):
            padding[row] = length - len(ids)
            token_ids[row, padding[row] :] = ids
            limits[row] = self._limit(prompt, len(ids))
        return DecodeArrays(token_ids, padding, limits)

    def _length(self, longest: int, steps: int, width: int) -> int:
        """The bucket of a batch; a compiled one of up to twice that length is taken before a new one."""
        buckets = self.config.buckets
        at = bisect.bisect_left(buckets, longest)
        fitting = buckets[at] if at < len(buckets) else -(-longest // 128) * 128
        compiled = [
            length
            for length, s, w in self._shapes
            if (s, w) == (steps, width) and fitting <= length <= 2 * fitting
        ]
        length = min(compiled, default=fitting)
        self._shapes.add((length, steps, width))
        return length

    def _text(self, new: np.ndarray, prompt: Prompt, dropped: int) -> Continuation:
        ids = new.tolist()
        ends = [i for i, token in enumerate(ids) if token in self._eos]
        finished = bool(ends)
        ids = ids[: ends[0]] if ends else ids
        self.counts.generated_tokens += len(ids) + finished
        # A table may be padded beyond the vocabulary; such ids stand for no text.
        text = self.tokenizer.decode([i for i in ids if i < self.tokenizer.vocab_size])
        stops = [text.find(stop) for stop in prompt.stop if stop in text]
        if stops:
            text, finished = text[: min(stops)], True
        return Continuation(text, finished, dropped)

    def _run(self, lora: Any, params: Any, arrays: Any, *, steps: int, banked: bool) -> jax.Array:
        """New tokens int32 [B, steps] ([W, B, steps] for a bank); what follows a row's end is 0."""
        self.compilations += 1  # this line runs when JAX traces, once per shape
        batch, length = arrays.token_ids.shape
        # Slot s of the cache holds the token at place s of the padded row; the last new token is not fed.
        slots = jnp.arange(length + steps - 1)
        axis = self.base.axis_of(bank_size(lora)) if banked else None
        graph = self.base.graph_of(axis)
        real = slots[None, :] >= arrays.padding[:, None]

        def prefill(lora: Any) -> tuple[jax.Array, KVCache]:
            model = merge(graph, lora, params)
            dtype = params["embed_tokens"]["embedding"].dtype
            cache = KVCache.zeros(self.base.config, batch, len(slots), dtype)
            cache = jax.lax.with_sharding_constraint(
                cache, batch_sharding(self.base.mesh, leading=1, bank_axis=axis)
            )
            places = jnp.arange(length)
            positions = jnp.maximum(places[None, :] - arrays.padding[:, None], 0)
            causal = slots[None, :] <= places[:, None]
            mask = causal[None, None] & real[:, None, None]
            hidden, cache = model.extend(arrays.token_ids, positions, mask, cache, 0)
            return _greedy(model, hidden), cache

        def step(
            lora: Any, token: jax.Array, cache: KVCache, index: jax.Array
        ) -> tuple[jax.Array, KVCache]:
            model = merge(graph, lora, params)
            slot = length + index - 1  # of the token before this one
            positions = (slot - arrays.padding)[:, None]
            mask = (real & (slots <= slot))[:, None, None]
            hidden, cache = model.extend(token[:, None], positions, mask, cache, slot)
            return _greedy(model, hidden), cache

        # The bank is mapped inside the loop: a mapped loop would copy the cache at every step.
        if banked:
            prefill = jax.vmap(prefill, spmd_axis_name=axis)
            step = jax.vmap(step, in_axes=(0, 0, 0, None), spmd_axis_name=axis)
        token, cache = prefill(lora)
        tokens = jnp.zeros((*token.shape, steps), jnp.int32).at[..., 0].set(token)
        done = self._ends(token) | (arrays.limits <= 1)

        def unfinished(carry: Any) -> jax.Array:
            index, _, done, _, _ = carry
            return (index < steps) & ~done.all()

        def advance(carry: Any) -> Any:
            index, token, done, tokens, cache = carry
            token, cache = step(lora, token, cache, index)
            token = jnp.where(done, 0, token)
            tokens = jax.lax.dynamic_update_index_in_dim(tokens, token, index, axis=-1)
            done = done | self._ends(token) | (index + 1 >= arrays.limits)
            return index + 1, token, done, tokens, cache

        return jax.lax.while_loop(unfinished, advance, (1, token, done, tokens, cache))[3]

    def _ends(self, token: jax.Array) -> jax.Array:
        return jnp.isin(token, jnp.array(self._eos))


def _greedy(model: Any, hidden: jax.Array) -> jax.Array:
    return jnp.argmax(model.logits(hidden[:, -1]), axis=-1).astype(jnp.int32)
