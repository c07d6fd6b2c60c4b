"""What happens to adapters on the device: one pure function per event, then the compiled bank of them.

``train_step`` and ``validation_step`` are written for one adapter. ``BankProgram`` runs them for a bank of
adapters (a leading axis A on everything but the base; ``models.bank``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from sycojax.models.bank import over_bank, side_by_side
from sycojax.models.base import FrozenBase, Tree, initial_lora, logical_axes
from sycojax.parallel.mesh import batch_axes, distribute, replicated, shardings
from sycojax.training.batches import pass_lengths
from sycojax.training.loss import Rows, all_place_losses, summed_gradients, summed_loss
from sycojax.training.optimizer import apply_update


class AdapterState(NamedTuple):
    """All that training changes. ``best_loss`` float32 and ``best_step`` int32 belong to ``best_lora``."""

    lora: Tree
    opt_state: Any
    best_lora: Tree
    best_loss: Any
    best_step: Any


class StepMetrics(NamedTuple):
    """Float32 scalars of one optimiser step; ``grad_norm`` is measured before clipping."""

    loss: Any
    grad_norm: Any


def initial_state(
    base: FrozenBase, optimizer: optax.GradientTransformation, seed: jax.Array
) -> AdapterState:
    """A fresh adapter. It depends on the seed (uint32) only, so adapters of one seed start equal."""
    lora = initial_lora(base.config, base.lora, jax.random.fold_in(jax.random.key(seed), 0))
    best_loss, best_step = jnp.full((), jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
    return AdapterState(lora, optimizer.init(lora), lora, best_loss, best_step)


def dropout_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """The dropout key of a step: a function of the adapter's seed and the step number, nothing else."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), step)


def train_step(
    graph: Any,
    optimizer: optax.GradientTransformation,
    base: Tree,
    state: AdapterState,
    rows: Rows,
    filled: jax.Array,
    key: jax.Array,
    learning_rate: jax.Array,
    active: jax.Array | bool = True,
    logits_chunk: int = 0,
    lengths: Sequence[int] = (),
) -> tuple[AdapterState, StepMetrics]:
    """One optimiser step of one adapter.

    ``rows`` [M, B, T], ``filled`` int32 [M] and the static ``lengths`` as in ``loss.summed_gradients``; ``key`` seeds
    dropout; ``learning_rate`` float32. An adapter that is not ``active`` (bool) is returned as it came. ``logits_chunk``
    is static (``loss.loss``).
    """
    value, gradients = summed_gradients(
        graph, state.lora, base, rows, filled, key, logits_chunk, lengths
    )
    new = apply_update(optimizer, state.lora, state.opt_state, gradients, learning_rate)
    lora, opt_state = _select(active, new, (state.lora, state.opt_state))
    metrics = StepMetrics(value, optax.tree.norm(gradients))
    return state._replace(lora=lora, opt_state=opt_state), metrics


def validation_step(
    graph: Any,
    base: Tree,
    state: AdapterState,
    rows: Rows,
    filled: jax.Array,
    step: jax.Array,
    due: jax.Array | bool = True,
    logits_chunk: int = 0,
    lengths: Sequence[int] = (),
) -> tuple[AdapterState, jax.Array]:
    """Validation loss (float32) over ``rows`` [M, B, T], and the state with the best adapter so far in it.

    Of equal losses the earlier adapter stays the best. Nothing changes for an adapter that is not ``due`` (bool).
    """
    value = summed_loss(graph, state.lora, base, rows, filled, logits_chunk, lengths)
    better = due & (value < state.best_loss)
    before = (state.best_lora, state.best_loss, state.best_step)
    best_lora, best_loss, best_step = _select(better, (state.lora, value, step), before)
    return state._replace(best_lora=best_lora, best_loss=best_loss, best_step=best_step), value


class BankProgram:
    """The compiled functions for banks of ``width`` adapters over one base, shared by all of a study.

    Everything that differs between adapters and steps is an argument of fixed shape, so each function
    compiles once. States are donated: use the returned one.
    """

    def __init__(
        self,
        base: FrozenBase,
        optimizer: optax.GradientTransformation,
        width: int,
        logits_chunk: int = 0,
    ):
        self.base, self.width, self.bank_axis = base, width, base.compute.axis_of(width)
        axis, graph = self.bank_axis, base.graph_of(width)
        self._state = _state_shardings(base, optimizer, axis)
        self._lanes = NamedSharding(base.mesh, PartitionSpec(axis))
        everywhere = replicated(base.mesh)

        def start(seeds: jax.Array) -> AdapterState:
            fresh = functools.partial(initial_state, base, optimizer)
            return over_bank(fresh, width, base.compute)(seeds)

        def train(
            params: Tree, state: AdapterState, rows: Rows, filled: jax.Array, step: jax.Array,
            seeds: jax.Array, learning_rates: jax.Array, active: jax.Array,
        ) -> tuple[AdapterState, StepMetrics]:  # fmt: skip
            def one(filled, state, rows, seed, learning_rate, active):
                key = dropout_key(seed, step)
                return train_step(
                    graph, optimizer, params, state, rows, filled, key, learning_rate, active,
                    logits_chunk, self._lengths(rows),
                )  # fmt: skip

            return self._each(one, filled, state, rows, seeds, learning_rates, active)

        def validate(
            params: Tree, state: AdapterState, rows: Rows, filled: jax.Array, step: jax.Array,
            due: jax.Array,
        ) -> tuple[AdapterState, jax.Array]:  # fmt: skip
            def one(filled, state, rows, due):
                return validation_step(
                    graph, params, state, rows, filled, step, due, logits_chunk, self._lengths(rows)
                )

            return self._each(one, filled, state, rows, due)

        def held_out(
            params: Tree, lora: Tree, rows: Rows, filled: jax.Array, factor: jax.Array
        ) -> jax.Array:
            def one(filled, lora, rows):
                scaled = jax.tree.map(lambda x: x * factor, lora)
                return all_place_losses(graph, scaled, params, rows, filled, logits_chunk)

            return self._each(one, filled, lora, rows)

        def pick(tree: Tree, lane: jax.Array) -> Tree:
            return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, lane, 0, False), tree)

        self._start = jax.jit(start, out_shardings=self._state)
        # Whole on every device: any process may read it.
        self._pick = jax.jit(pick, out_shardings=everywhere)
        self._held_out = jax.jit(held_out, out_shardings=everywhere)
        outputs = (self._state, everywhere)
        self._train = jax.jit(train, donate_argnums=1, out_shardings=outputs)
        self._validate = jax.jit(validate, donate_argnums=1, out_shardings=outputs)

    def _each(self, one: Callable[..., Any], filled: jax.Array, *arguments: Any) -> Any:
        """``one(filled, ...)`` for every adapter. Those that are side by side make the same passes."""
        compute = self.base.compute
        if side_by_side(self.width, compute):
            return over_bank(functools.partial(one, filled.max(0)), self.width, compute)(*arguments)
        return over_bank(one, self.width, compute)(filled, *arguments)

    def computed(self, filled: np.ndarray) -> np.ndarray:
        """``filled`` [A, M] by which each adapter's passes are cut: its own, or the most of all that are side by side."""
        together = side_by_side(self.width, self.base.compute)
        return np.broadcast_to(filled.max(0), filled.shape) if together else filled

    def start(self, seeds: Sequence[int]) -> AdapterState:
        """Fresh states, leading axis A."""
        return self._start(self._place(np.asarray(seeds, np.uint32)))

    def abstract_state(self) -> AdapterState:
        """Shapes, dtypes and shardings of ``start``'s result: what a checkpoint is restored into."""
        shapes = jax.eval_shape(self._start, jax.ShapeDtypeStruct((self.width,), jnp.uint32))
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, self._state
        )

    def train(
        self, state: AdapterState, rows: Rows, filled: np.ndarray, step: int, seeds: Sequence[int],
        learning_rates: Sequence[float], active: Sequence[bool],
    ) -> tuple[AdapterState, StepMetrics]:  # fmt: skip
        """One optimiser step of every active adapter; ``rows`` from ``place_rows``. Returns at once."""
        return self._train(
            self.base.params, state, rows,
            self._everywhere(filled), self._place(np.int32(step)),
            self._place(np.asarray(seeds, np.uint32)),
            self._place(np.asarray(learning_rates, np.float32)),
            self._place(np.asarray(active, bool)),
        )  # fmt: skip

    def lower(self, rows: Rows) -> jax.stages.Lowered:
        """The training step for rows of these shapes, ready to be compiled ahead of time.

        Nothing is allocated: the base's parameters may be ``ShapeDtypeStruct``s with shardings.
        """
        everywhere, lanes = replicated(self.base.mesh), (self.width,)

        def like(shape: tuple[int, ...], dtype: Any, sharding: Any = everywhere) -> Any:
            return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

        return self._train.lower(
            self.base.params, self.abstract_state(),
            Rows(*(like(x.shape, x.dtype, self._rows_sharding()) for x in rows)),
            like(rows.token_ids.shape[:2], np.int32), like((), np.int32),
            *(like(lanes, dtype, self._lanes) for dtype in (np.uint32, np.float32, bool)),
        )  # fmt: skip

    def validate(
        self, state: AdapterState, rows: Rows, filled: np.ndarray, step: int, due: Sequence[bool]
    ) -> tuple[AdapterState, jax.Array]:
        """Validation losses [A], and the state with the best adapter so far of each lane that is ``due``. Returns at once."""
        return self._validate(
            self.base.params, state, rows,
            self._everywhere(filled), self._place(np.int32(step)),
            self._place(np.asarray(due, bool)),
        )  # fmt: skip

    def held_out(
        self, state: AdapterState, rows: Rows, filled: np.ndarray, *, base: bool = False
    ) -> jax.Array:
        """Loss at every place of validation rows, float32 [A, M, B, T], of each lane's best adapter, or of the ``base``."""
        factor = np.float32(0.0 if base else 1.0)  # an adapter of zeros is the base
        return self._held_out(
            self.base.params, state.best_lora, rows, self._everywhere(filled), self._place(factor)
        )  # fmt: skip

    def best(self, state: AdapterState, lane: int) -> Tree:
        """The best adapter of one lane: a plain ``lora`` tree without the bank axis."""
        return self._pick(state.best_lora, self._place(np.int32(lane)))

    def place_rows(self, rows: Rows) -> Rows:
        """Host rows [A, M, B, T] -> device arrays: A over the bank's mesh axis, B over the batch axes."""
        sharding = self._rows_sharding()
        return Rows(*(distribute(x, sharding) for x in rows))

    def _rows_sharding(self) -> NamedSharding:
        axes = self.bank_axis, None, batch_axes(self.bank_axis)
        return NamedSharding(self.base.mesh, PartitionSpec(*axes))

    def _lengths(self, rows: Rows) -> tuple[int, ...]:
        return pass_lengths(rows.token_ids.shape[-1], self.base.mesh)

    def _everywhere(self, filled: np.ndarray) -> jax.Array:
        return distribute(filled, replicated(self.base.mesh))

    def _place(self, value: Any) -> jax.Array:
        """A number for all lanes, or one per lane."""
        array = np.asarray(value)
        return distribute(array, self._lanes if array.ndim else replicated(self.base.mesh))


def _select(condition: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)


def _state_shardings(
    base: FrozenBase, optimizer: optax.GradientTransformation, bank_axis: str | None
) -> AdapterState:
    axes = logical_axes(base.config, base.lora).lora
    lora = shardings(base.mesh, axes, bank=True, bank_axis=bank_axis)
    lanes = NamedSharding(base.mesh, PartitionSpec(bank_axis))
    shapes = jax.eval_shape(lambda: initial_state(base, optimizer, jnp.uint32(0)))
    opt_state = optax.tree.map_params(
        optimizer,
        lambda _, sharding: sharding,
        shapes.opt_state,
        lora,
        transform_non_params=lambda _: lanes,
    )
    return AdapterState(lora, opt_state, lora, lanes, lanes)
