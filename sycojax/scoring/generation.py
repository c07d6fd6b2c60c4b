"""The device's side of greedy decoding: rows that come and go in one batch, each at its own place in its text.

Five jitted programs share a ``DecodeState``: ``begin`` makes it, and copies the weights once for all steps to come, ``insert``
computes the prompts of a few arriving rows and puts them over rows that are done, ``advance`` feeds tokens until enough rows are
done to be worth replacing, ``grow`` makes room for longer texts, ``end`` calls done what the host wants no more of. The host looks only between calls of ``advance``. With a bank of W adapters every array has a leading axis W and rows of
different adapters come and go independently, while one step reads the base's weights once for all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from sycojax.models.base import FrozenBase, logical_axes, merge, unstack
from sycojax.models.cache import KVCache
from sycojax.parallel.mesh import batch_axes, replicated, shardings
from sycojax.scoring.bank import bank_size


class DecodeShape(NamedTuple):
    """What a compiled state holds: adapters at once, rows, cache slots per row, and new tokens per row."""

    width: int
    rows: int
    slots: int  # at the end: the cache begins with fewer and grows
    steps: int


class Arrivals(NamedTuple):
    """I prompts of at most T tokens, right-padded; a leading axis W with a bank."""

    token_ids: Any  # int32 [I, T]
    lengths: Any  # int32 [I], at least 1
    limits: Any  # int32 [I], new tokens wanted, at least 1
    rows: Any  # int32 [I], where they go; a row that is not there: nothing arrives


class DecodeState(NamedTuple):
    """B rows of S slots; a leading axis W with a bank. Rows without a prompt are done."""

    caches: tuple[KVCache, ...]  # one per layer
    token: jax.Array  # int32 [B], the newest token, which the cache lacks
    slot: jax.Array  # int32 [B], where it goes
    new: jax.Array  # int32 [B, steps], the tokens made, then 0
    made: jax.Array  # int32 [B]
    limits: jax.Array  # int32 [B]
    done: jax.Array  # bool [B]


class Weights(NamedTuple):
    """What a step multiplies by, in arrays of its own: out of a stack it would be copied again with every call."""

    layers: list[Any]  # of the base, a tree per layer
    adapters: list[Any]  # likewise; a leading axis W with a bank
    head: jax.Array  # as ``Llama.kernel``


class View(NamedTuple):
    """What the host sees of a state, everywhere the same."""

    done: jax.Array  # bool [B]
    new: jax.Array  # int32 [B, steps]
    made: jax.Array  # int32 [B]
    steps: jax.Array  # int32 [], fed in this call of ``advance``


class Generation:
    """The programs for one base; they are compiled per ``DecodeShape`` and length of the arriving prompts."""

    def __init__(self, base: FrozenBase, ends: tuple[int, ...]):
        self.base, self._ends = base, np.array(ends, np.int32)
        self.compilations = 0
        self.begin = jax.jit(self._begin, static_argnums=2)
        self.insert = jax.jit(self._insert, static_argnames="banked", donate_argnums=2)
        self.advance = jax.jit(self._advance, static_argnames="banked", donate_argnums=3)
        self.grow = jax.jit(self._grow, static_argnums=(1, 2))
        self.end = jax.jit(self._end, static_argnums=2, donate_argnums=0)

    def lower(self, lora: Any, shape: DecodeShape) -> jax.stages.Lowered:
        """``advance`` for a state of this shape, with the copy of the weights; weights may be ``ShapeDtypeStruct``s with shardings."""
        everywhere = replicated(self.base.mesh)
        state = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            jax.eval_shape(lambda: self._zeros(shape)),
            self._placement(shape.width),
        )
        banked = shape.width > 1
        waiting = jax.ShapeDtypeStruct((shape.width,) * banked, np.int32, sharding=everywhere)
        number = jax.ShapeDtypeStruct((), np.int32, sharding=everywhere)

        def decode(
            lora: Any, params: Any, state: DecodeState, *rest: jax.Array
        ) -> tuple[DecodeState, View]:
            weights = self._laid_out(lora, params, banked=banked)
            return self._advance(weights, lora, params, state, *rest, banked=banked)

        program = jax.jit(decode, donate_argnums=2)
        return program.lower(lora, self.base.params, state, waiting, number, number)

    def _begin(self, lora: Any, params: Any, shape: DecodeShape) -> tuple[Weights, DecodeState]:
        """The weights of a pass, and rows that are all done."""
        self.compilations += 1  # this line runs when JAX traces, once per shape
        weights = self._laid_out(lora, params, banked=shape.width > 1)
        return weights, self._placed(self._zeros(shape), shape.width)

    def _zeros(self, shape: DecodeShape) -> DecodeState:
        config = self.base.config
        rows = (*(shape.width,) * (shape.width > 1), shape.rows)
        heads = (*rows, config.num_key_value_heads, shape.slots, config.head_dim)
        dtype = jnp.dtype(self.base.compute.dtype)
        caches = tuple(
            KVCache(jnp.zeros(heads, dtype), jnp.zeros(heads, dtype))
            for _ in range(config.num_hidden_layers)
        )
        zeros = jnp.zeros(rows, jnp.int32)
        new = jnp.zeros((*rows, shape.steps), jnp.int32)
        return DecodeState(caches, zeros, zeros, new, zeros, zeros, jnp.ones(rows, bool))

    def _insert(
        self,
        lora: Any,
        params: Any,
        state: DecodeState,
        arrivals: Arrivals,
        *,
        banked: bool = False,
    ) -> DecodeState:
        """The state with the arrivals in it, each with its first new token."""
        self.compilations += 1

        def one(lora: Any, state: DecodeState, arrivals: Arrivals) -> DecodeState:
            model = merge(self.base.graph_of(width), lora, params)
            hidden, cache = model.prefill(arrivals.token_ids)
            last = arrivals.lengths[:, None, None] - 1
            token = argmax(model.logits(jnp.take_along_axis(hidden, last, axis=1)[:, 0]))
            caches = tuple(
                held.replace(cache.keys[n], cache.values[n], arrivals.rows)
                for n, held in enumerate(state.caches)
            )
            new = jnp.zeros((len(token), state.new.shape[1]), jnp.int32).at[:, 0].set(token)
            done = self._ended(token) | (arrivals.limits <= 1)
            ones = jnp.ones_like(token)
            found = (token, arrivals.lengths, new, ones, arrivals.limits, done)
            return DecodeState(
                caches,
                *(
                    held.at[arrivals.rows].set(value, mode="drop")
                    for held, value in zip(state[1:], found, strict=True)
                ),
            )

        width = bank_size(lora) if banked else 1
        return self._placed(self._each(one, width)(lora, state, arrivals), width)

    def _laid_out(self, lora: Any, params: Any, *, banked: bool) -> Weights:
        """The weights of a pass for ``advance``; each part stays on the devices that hold it in the stack."""
        base, width = self.base, bank_size(lora) if banked else 1
        axes, axis = logical_axes(base.config, base.lora, base.compute), base.compute.axis_of(width)

        def apart(layers: Any, names: Any, at: int = 0, **bank: Any) -> list[Any]:
            of_one = jax.tree.map(
                lambda own: own[1:], names, is_leaf=lambda x: isinstance(x, tuple)
            )
            places = shardings(base.mesh, of_one, **bank)
            return [
                jax.lax.with_sharding_constraint(layer, places)
                for layer in unstack(layers, base.config.num_hidden_layers, axis=at)
            ]

        return Weights(
            apart(params["layers"], axes.base["layers"]),
            # The layers are the second axis of a bank.
            apart(lora["layers"], axes.lora["layers"], int(banked), bank=banked, bank_axis=axis),
            merge(base.graph_of(width), lora, params).whole_kernel(),
        )

    def _advance(
        self,
        weights: Weights,
        lora: Any,
        params: Any,
        state: DecodeState,
        waiting: jax.Array,
        wanted: jax.Array,
        most: jax.Array,
        *,
        banked: bool = False,
    ) -> tuple[DecodeState, View]:
        """Feed tokens until all rows are done, or as many as ``wanted`` int32 [] can be replaced.

        No row gets more than ``most`` int32 [] tokens.
        ``waiting`` int32 [] ([W] with a bank) is the number of prompts that wait for a row of that adapter.
        """
        self.compilations += 1
        width = bank_size(lora) if banked else 1

        def one(lora: Any, adapters: list[Any], state: DecodeState) -> DecodeState:
            model = merge(self.base.graph_of(width), lora, params)
            layers = list(zip(adapters, weights.layers, strict=True))
            hidden, caches = model.step(state.token, state.slot, state.caches, layers)
            token = jnp.where(state.done, 0, argmax(model.logits(hidden, weights.head)))
            here = jnp.arange(state.new.shape[1]) == state.made[:, None]
            new = jnp.where(here & ~state.done[:, None], token[:, None], state.new)
            on = (~state.done).astype(jnp.int32)
            made = state.made + on
            done = state.done | self._ended(token) | (made >= state.limits)
            return DecodeState(caches, token, state.slot + on, new, made, state.limits, done)

        # The bank is mapped inside the loop: a mapped loop would copy the cache at every step.
        each = self._each(one, width)

        def going(carry: tuple[jax.Array, DecodeState]) -> jax.Array:
            done = carry[1].done
            replaceable = jnp.minimum(done.sum(-1, dtype=jnp.int32), waiting).sum()
            return ~done.all() & (replaceable < wanted) & (carry[0] < most)

        def feed(carry: tuple[jax.Array, DecodeState]) -> tuple[jax.Array, DecodeState]:
            return carry[0] + 1, each(lora, weights.adapters, carry[1])

        steps, state = jax.lax.while_loop(going, feed, (jnp.int32(0), state))
        view = View(state.done, state.new, state.made, steps)
        everywhere = replicated(self.base.mesh)
        return self._placed(state, width), jax.lax.with_sharding_constraint(view, everywhere)

    def _grow(self, state: DecodeState, slots: int, width: int) -> DecodeState:
        """The state with room for ``slots`` tokens in every row."""
        self.compilations += 1

        def longer(held: jax.Array) -> jax.Array:
            more = slots - held.shape[-2]
            return jnp.pad(held, [(0, 0)] * (held.ndim - 2) + [(0, more), (0, 0)])

        return self._placed(state._replace(caches=jax.tree.map(longer, state.caches)), width)

    def _end(self, state: DecodeState, rows: jax.Array, width: int) -> DecodeState:
        """The state in which ``rows``, bool [B] ([W, B] with a bank), are done."""
        self.compilations += 1
        return self._placed(state._replace(done=state.done | rows), width)

    def _each(self, function: Any, width: int) -> Any:
        if width == 1:
            return function
        return jax.vmap(function, spmd_axis_name=self.base.compute.axis_of(width))

    def _placed(self, state: DecodeState, width: int) -> DecodeState:
        return jax.lax.with_sharding_constraint(state, self._placement(width))

    def _placement(self, width: int) -> DecodeState:
        """Rows over the batch axes, and heads over ``tensor`` where they divide evenly."""
        rows, config = self.by_rows(width), self.base.config
        ways = rows.mesh.shape["tensor"]
        tensor = "tensor" if config.num_key_value_heads % ways == 0 else None
        heads = NamedSharding(self.base.mesh, PartitionSpec(*rows.spec, tensor))
        caches = (KVCache(heads, heads),) * config.num_hidden_layers  # pyright: ignore[reportArgumentType]
        return DecodeState(caches, *[rows] * 6)  # pyright: ignore[reportArgumentType]

    def by_rows(self, width: int) -> NamedSharding:
        """Where arrays of rows, [B, ...] or [W, B, ...], lie."""
        axis = self.base.compute.axis_of(width)
        bank = (axis,) if width > 1 else ()
        return NamedSharding(self.base.mesh, PartitionSpec(*bank, batch_axes(axis)))

    def _ended(self, token: jax.Array) -> jax.Array:
        return (token[..., None] == self._ends).any(-1)


def argmax(logits: jax.Array) -> jax.Array:
    """The likeliest token int32 [B] of logits [B, V]; the first of equals, as by ``argmax``.

    Two plain reductions: that of values and indices together costs a CPU two to six times as much.
    """
    ids = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    highest = jnp.max(logits, axis=-1, keepdims=True)
    return jnp.min(jnp.where(logits == highest, ids, len(ids)), axis=-1)
