"""What a config leaves open, chosen for the devices: how weights are spread, the rows of a pass, and what a backward pass stores."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from jax.sharding import AbstractMesh

from sycojax.config import StudyConfig, TrainConfig
from sycojax.errors import SycojaxError
from sycojax.models.backends import Backend
from sycojax.models.base import abstract_base, device_bytes
from sycojax.models.compute import Compute, Remat
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import MESH_AXES, batch_axes, mesh_sizes, on_cpu

# The share of a device's memory that weights may take where the config leaves open how they are spread: the rest is for
# activations, caches and adapters.
SHARE = 0.5
# The share that weights and what the backward pass needs of a pass may take: the rest is for its temporaries, logits and adapters.
STORED_SHARE = 0.8

# Tokens of one device's share of a pass where the config leaves that open: on a CPU what its caches hold, elsewhere
# several times the tokens from which on a matrix product is bound by arithmetic and not by reading weights.
CPU_TOKENS, TOKENS = 256, 1024
# Places whose logits exist at a time where the config leaves that open: the last of a pass fill half on average, and a CPU computes
# the rest for nothing, while an accelerator would read the head more often than it pays.
CPU_CHUNK, CHUNK = 64, 256


def computed_on(
    config: StudyConfig,
    architecture: LlamaConfig,
    mesh: Any,
    memory: int | None = None,
    attention: Backend = "xla",
) -> Compute:
    """How ``config`` says that a base is computed on a mesh of devices of ``memory`` bytes each: the one place that its settings are taken from.

    ``mesh`` may be an ``AbstractMesh``, of which there are shapes alone.
    """
    base, axis = config.base, config.mesh.bank_axis
    remat = "dots" if base.remat == "auto" else base.remat
    compute = Compute(base.computed_in, base.quantization, remat, attention, mesh, axis)
    if base.remat != "auto":
        return compute
    remat = chosen_remat(config, architecture, compute, memory)
    return dataclasses.replace(compute, remat=remat)


def chosen_sizes(
    config: StudyConfig, architecture: LlamaConfig, count: int, memory: int | None
) -> tuple[int, int, int]:
    """The mesh of ``config`` over ``count`` devices of ``memory`` bytes each; see ``chosen_fsdp``.

    Raises ``SycojaxError`` where it does not use all of them.
    """
    asked = config.mesh
    fsdp = asked.fsdp or chosen_fsdp(config, architecture, count, memory)
    return mesh_sizes(asked.data, fsdp, asked.tensor, count)


def chosen_fsdp(
    config: StudyConfig, architecture: LlamaConfig, count: int, memory: int | None
) -> int:
    """In how many parts the weights lie on ``count`` devices of ``memory`` bytes each, where ``mesh.fsdp`` is 0.

    As few as let a device hold its part, and its part of the layers once more (decoding copies them), in ``SHARE`` of its
    memory, if that is known; all that there are where none does. Sizes that ``mesh.data`` names leave it the rest.
    """
    asked = config.mesh
    if asked.data != -1 and asked.tensor != -1:
        return -1
    ways = count // asked.tensor
    if asked.data != -1 or ways < 1 or memory is None:
        return 1
    dividing = 1
    for fsdp in (n for n in range(1, ways + 1) if ways % n == 0):
        mesh: Any = AbstractMesh((ways // fsdp, fsdp, asked.tensor), MESH_AXES)
        compute = computed_on(config, architecture, mesh)
        try:
            params = abstract_base(architecture, config.lora, compute).params
        except SycojaxError:  # these sizes do not divide a weight
            continue
        dividing = fsdp
        if device_bytes(params) + device_bytes(params["layers"]) <= SHARE * memory:
            break
    return dividing


def chosen_remat(
    config: StudyConfig, architecture: LlamaConfig, compute: Compute, memory: int | None
) -> Remat:
    """What a backward pass computes again on devices of ``memory`` bytes each, where ``base.remat`` is "auto".

    "dots" where the weights and what it stores of a pass fit ``STORED_SHARE`` of that memory, and where no device says how much
    it has (a CPU, on which it is the fastest); else "full".
    """
    if memory is None:
        return "dots"
    params = abstract_base(architecture, config.lora, compute).params
    train = config.train
    rows = math.ceil(_rows(train, compute) / compute.row_ways)
    lanes = math.ceil(train.bank_width / compute.bank_ways)
    tokens = lanes * rows * train.row_length
    stored = tokens * stored_bytes(architecture, config.lora, compute)
    return "dots" if device_bytes(params) + stored <= STORED_SHARE * memory else "full"


def stored_bytes(c: LlamaConfig, lora: LoRAConfig, compute: Compute) -> float:
    """What remat "dots" stores of one token in all layers on one device, with adapters of this rank on all projections.

    The residual stream, the results of the seven projections and of attention, the normalisers of its heads and the
    adapters' narrow products, both float32, and a bit for each entry of dropout's masks. ``tensor`` splits all but the first, the two
    results that are as wide, the narrow products, and the masks of what is as wide as the stream.
    """
    tensor = 1 if compute.mesh is None else compute.mesh.shape["tensor"]
    queries, keys = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    split = 2 * queries + 2 * keys + 2 * c.intermediate_size
    size = jnp.dtype(compute.dtype).itemsize
    wide = size * (3 * c.hidden_size + split / tensor)
    narrow = 4 * (c.num_attention_heads / tensor + 7 * lora.rank)
    stream, heads, inner = (
        -(-width // 8) for width in (c.hidden_size, queries, c.intermediate_size)
    )
    masks = 5 * stream + (heads + inner) / tensor
    return c.num_hidden_layers * (wide + narrow + (masks if lora.dropout else 0))


def laid_out(config: TrainConfig, compute: Compute) -> TrainConfig:
    """The config with ``micro_batch_rows`` and ``logits_chunk``, where they are 0, chosen for the devices: a function of the two alone.

    Of rows at most a quarter of a step, if the devices allow: packed examples fill as few as a third of a step's rows, and what
    does not fill the last pass is computed for nothing. Raises ``SycojaxError`` where rows or adapters cannot be split
    evenly over the devices.
    """
    ways = compute.row_ways
    chunk = config.logits_chunk or (CPU_CHUNK if on_cpu(compute.mesh) else CHUNK)
    config = dataclasses.replace(
        config, micro_batch_rows=_rows(config, compute), logits_chunk=chunk
    )
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


def _rows(config: TrainConfig, compute: Compute) -> int:
    """``micro_batch_rows``, chosen where it is 0."""
    if config.micro_batch_rows:
        return config.micro_batch_rows
    ways = compute.row_ways
    tokens = CPU_TOKENS if on_cpu(compute.mesh) else TOKENS
    each = min(tokens // config.row_length, config.examples_per_step // (4 * ways))
    return ways * max(each, 1)
