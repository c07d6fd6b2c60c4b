"""AdamW and the learning-rate schedule. The rate is data, so adapters of any length share a compilation."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import optax

from sycojax.config import TrainConfig
from sycojax.models.base import Tree


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) up to the learning rate.

    Gradients are clipped to the global norm ``clip_norm``; decay applies to every adapter matrix.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.scale_by_adam(config.beta1, config.beta2, config.epsilon),
        optax.add_decayed_weights(config.weight_decay),
    )


def apply_update(
    optimizer: optax.GradientTransformation,
    lora: Tree,
    opt_state: optax.OptState,
    gradients: Tree,
    learning_rate: jax.Array,
) -> tuple[Tree, optax.OptState]:
    """One update of an adapter: returns the new adapter and optimiser state."""
    updates, opt_state = optimizer.update(gradients, opt_state, lora)
    return jax.tree.map(lambda p, u: p - learning_rate * u, lora, updates), opt_state


def learning_rates(config: TrainConfig, steps: int) -> np.ndarray:
    """The rate of every step, float32 [steps]: linear warm-up from 0, then cosine to 0 or constant.

    Step s (from 0) gets ``s / warmup_steps`` of the peak, so the first step of a run with warm-up has
    rate 0, as in transformers' Trainer. Warns when the run ends before the warm-up does; the rate
    then never reaches its peak (the published behaviour).
    """
    warmup = config.warmup_steps
    if warmup >= steps:
        warnings.warn(
            f"train.warmup_steps={warmup} is not shorter than the run of {steps} steps: the learning "
            f"rate ends at {(steps - 1) / warmup:.0%} of train.learning_rate",
            stacklevel=2,
        )
    if config.schedule == "cosine":
        end = max(steps, warmup + 1)
        schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, end)
    elif warmup:
        schedule = optax.warmup_constant_schedule(0.0, config.learning_rate, warmup)
    else:  # optax would make a rate of 0 throughout
        return np.full(steps, config.learning_rate, np.float32)
    return np.asarray(schedule(np.arange(steps)), np.float32)
