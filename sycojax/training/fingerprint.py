"""What makes a run this run: a hash of settings, examples and base, stored with every checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from sycojax.config import TrainConfig
from sycojax.models.base import FrozenBase, Tree
from sycojax.training.bank import AdapterJob

# Settings that say which adapters a study has or how a run is tracked, not what becomes of an adapter.
_NO_EFFECT = ("adapters", "seeds", "bank_width", "checkpoint_every")


def fingerprint(
    base_sum: str, base: FrozenBase, config: TrainConfig, jobs: Sequence[AdapterJob], width: int
) -> str:
    """Hash of everything that decides the result of training ``jobs`` in a bank of ``width`` lanes.

    ``base_sum`` is ``checksum(base.params)``, taken once for all banks.
    """
    digest = hashlib.sha256()
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in _NO_EFFECT}
    architecture = [dataclasses.asdict(base.config), dataclasses.asdict(base.lora)]
    names = [[job.name, job.seed, *([job.own] if job.own else [])] for job in jobs]
    digest.update(json.dumps([settings, architecture, base_sum, names, width]).encode())
    for job in jobs:
        for example in (*job.train, *job.validation):
            digest.update(f"{example.task}/{example.item}".encode())
            digest.update(example.token_ids.tobytes() + example.target_ids.tobytes())
            digest.update(example.loss_mask.tobytes())
        digest.update(str(len(job.train)).encode())
    return digest.hexdigest()


def checksum(params: Tree) -> str:
    """A hash of the base's bits. Integer sums, so the mesh and the order of summation do not matter."""
    sums = jax.device_get(_bit_sums(params))
    return hashlib.sha256(json.dumps([int(x) for x in jax.tree.leaves(sums)]).encode()).hexdigest()


@jax.jit
def _bit_sums(params: Tree) -> Tree:
    def one(x: jax.Array) -> jax.Array:
        unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
        bits = jax.lax.bitcast_convert_type(x, unsigned)
        return jnp.sum(bits.astype(jnp.uint32), dtype=jnp.uint32)

    return jax.tree.map(one, params)
