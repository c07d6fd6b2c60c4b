"""How many rows go through one pass of training, and whether rows and adapters can be split over the devices."""

from __future__ import annotations

import dataclasses

from jax.sharding import AbstractMesh

from sycojax.config import TrainConfig
from sycojax.errors import SycojaxError
from sycojax.models.compute import Compute
from sycojax.parallel.mesh import batch_axes

# Tokens of one device's share of a pass where the config leaves that open: on a CPU what its caches hold, elsewhere
# several times the tokens from which on a matrix product is bound by arithmetic and not by reading weights.
CPU_TOKENS, TOKENS = 256, 1024


def laid_out(config: TrainConfig, compute: Compute) -> TrainConfig:
    """The config with ``micro_batch_rows``, where it is 0, chosen for the devices: a function of the two alone.

    At most a quarter of a step, if the devices allow: packed examples fill as few as a third of a step's rows, and what
    does not fill the last pass is computed for nothing. Raises ``SycojaxError`` where rows or adapters cannot be split
    evenly over the devices.
    """
    ways = compute.row_ways
    if not config.micro_batch_rows:
        mesh = compute.mesh
        # A mesh without devices stands for accelerators that are planned for.
        planned = isinstance(mesh, AbstractMesh)
        on_cpu = mesh is None or (not planned and mesh.devices.flat[0].platform == "cpu")
        tokens = CPU_TOKENS if on_cpu else TOKENS
        each = min(tokens // config.row_length, config.examples_per_step // (4 * ways))
        config = dataclasses.replace(config, micro_batch_rows=ways * max(each, 1))
    if config.micro_batch_rows % ways:
        raise SycojaxError(
            f"train.micro_batch_rows={config.micro_batch_rows} must be a multiple of mesh "
            f"{' x '.join(batch_axes(compute.bank_axis))} = {ways}; 0 lets it be chosen"
        )
    if config.bank_width % compute.bank_ways:
        axis = compute.bank_axis
        raise SycojaxError(
            f"train.bank_width={config.bank_width} must be a multiple of mesh {axis} = {compute.bank_ways}, "
            f"over which mesh.bank_over_{axis} lays the adapters"
        )
    return config
