"""What the compiled training step does not do: gradients of the frozen base, and a second copy of the state."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from tiny_jax import equations
from training_cases import CONFIG, make_base, make_examples

from sycojax.models.base import abstract, initial_lora
from sycojax.models.compute import Compute
from sycojax.training.batches import pack_step, stack
from sycojax.training.loss import Rows, loss
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram


@pytest.mark.parametrize("chunk", [0, 8])
@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_no_gradient_of_a_frozen_weight_is_computed(remat: Any, chunk: int):
    """4 N operations per token, not 6 N: of a matrix, the gradient with respect to its input alone."""
    base = make_base()
    graph = abstract(base.config, base.lora, Compute(remat=remat)).graph
    lora = initial_lora(base.config, base.lora, jax.random.key(0))
    rows = Rows(*(x[0] for x in pack_step(make_examples(4, seed=0), CONFIG).rows))

    def gradients(wrt: int) -> set[tuple[int, ...]]:
        step = jax.grad(lambda lora, params: loss(graph, lora, params, rows, None, chunk), wrt)
        made = equations(jax.make_jaxpr(step)(lora, base.params).jaxpr)
        return {e.outvars[0].aval.shape for e in made if e.primitive.name == "dot_general"}

    kernels = {leaf.shape[-2:] for leaf in jax.tree.leaves(base.params["layers"]) if leaf.ndim == 3}
    transposed = {shape[::-1] for shape in kernels}
    assert not (kernels | transposed) & gradients(0)
    assert (kernels | transposed) & gradients(1), "which this test would see"


def test_the_state_is_updated_in_place():
    program = BankProgram(make_base(), make_optimizer(CONFIG), 1)
    state = program.start([0])
    batch = pack_step(make_examples(4, seed=0), CONFIG)
    host_rows, filled = stack([batch])
    rows = program.place_rows(host_rows)
    before = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state.opt_state)}
    large = max(leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state.lora))
    new, _ = program.train(state, rows, filled, 0, [0], [0.01], [True])
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert all(not leaf.is_deleted() for leaf in jax.tree.leaves(rows)), "rows may be used again"
    after = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(new)}
    assert large in after
    assert before <= after, "the memory of the optimiser's state holds the new one"
    assert np.isfinite(
        jax.device_get(new.opt_state)[1].mu["layers"]["mlp"]["down_proj"]["lora_a"]
    ).all()
