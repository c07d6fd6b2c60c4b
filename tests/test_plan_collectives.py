"""Collectives are read off compiled programs with their sizes, groups and the loops around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from sycojax.parallel.mesh import make_mesh
from sycojax.planning.collectives import Collective, collectives, totals

ROWS = PartitionSpec(("data", "fsdp"))


def compiled(function: Callable[..., Any], *extra: Any) -> list[Collective]:
    """What ``function`` of each device's [4, 16] float32 sends, over a mesh of data 2 x fsdp 4."""
    mesh = make_mesh(2, 4, 1)
    one = jax.shard_map(
        function, mesh=mesh, in_specs=(ROWS, *[PartitionSpec()] * len(extra)), out_specs=ROWS, check_vma=False,
    )  # fmt: skip
    x = jax.ShapeDtypeStruct((32, 16), jnp.float32, sharding=NamedSharding(mesh, ROWS))
    return collectives(jax.jit(one).lower(x, *extra).compile().as_text() or "")


def gathered(x: jax.Array) -> jax.Array:
    return jnp.sin(jax.lax.all_gather(x, "fsdp", axis=0, tiled=True))[:4]


@pytest.mark.parametrize(
    ("function", "kind", "devices", "size", "received"),
    [
        (gathered, "all-gather", 4, 1024, 768),
        (lambda x: jax.lax.psum(x, "data"), "all-reduce", 2, 256, 256),
        (lambda x: jax.lax.psum(x, ("data", "fsdp")), "all-reduce", 8, 256, 448),
        (lambda x: jax.lax.all_to_all(x, "fsdp", 0, 0), "all-to-all", 4, 256, 192),
        (
            lambda x: jax.lax.ppermute(x, "fsdp", [(i, (i + 1) % 4) for i in range(4)]),
            "collective-permute", 2, 256, 256,
        ),
        (
            lambda x: jnp.tile(jax.lax.psum_scatter(x, "fsdp", scatter_dimension=0), (4, 1)),
            "reduce-scatter", 4, 64, 192,
        ),
    ],
)  # fmt: skip
def test_one_of_each(
    function: Callable[[jax.Array], jax.Array], kind: str, devices: int, size: int, received: int
) -> None:
    (found,) = compiled(function)
    assert (found.kind, found.devices, found.bytes, found.received) == (
        kind, devices, size, received,
    )  # fmt: skip
    assert found.loops == ()
    assert "jit" in found.source


def test_loops_around() -> None:
    """Five layers in micro-batches whose number is data, and one gather after them."""

    def micro_batch(_: Any, x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda h, w: (gathered(h) + w, None), x, jnp.arange(5.0))[0]

    found = compiled(
        lambda x, count: gathered(jax.lax.fori_loop(0, count, micro_batch, x)),
        jax.ShapeDtypeStruct((), jnp.int32),
    )
    assert sorted(c.loops for c in found) == [(), (None, 5)]
    assert [c.executions(3) for c in found] == [15 if c.loops else 1 for c in found]
    inside, outside = totals(found, unknown=3)
    assert (inside.loops, inside.executions, inside.bytes) == ((None, 5), 15, 15 * 1024)
    assert (outside.loops, outside.executions, outside.received) == ((), 1, 768)


def test_a_program_of_one_device_sends_nothing() -> None:
    assert collectives(jax.jit(jnp.sin).lower(jnp.ones(3)).compile().as_text() or "") == []


# As accelerators' compilers write it: asynchronous pairs, tuples, layouts with tiles, groups in both notations.
MODULE = """\
HloModule jit_step, is_scheduled=true, replica_count=1, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%wrapped (p: bf16[8,128]) -> bf16[64,128] {
  %p = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %ag = bf16[64,128]{1,0:T(8,128)(2,1)} all-gather(%p), channel_id=1, replica_groups={}, dimensions={0}
}

%branch (q: f32[4]) -> f32[4] {
  ROOT %ar = f32[4]{0} all-reduce(%q), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
}

ENTRY %main (x: bf16[8,128], y: f32[4]) -> f32[4] {
  %start = ((bf16[8,128]{1,0:T(8,128)(2,1)}), bf16[64,128]{1,0:T(8,128)(2,1)S(1)}, u32[]) async-start(%x), calls=%wrapped
  %done = bf16[64,128]{1,0:T(8,128)(2,1)} async-done(%start), calls=%wrapped
  %ags = ((s8[2,8]{1,0}, f32[4]{0}), (s8[4,8]{1,0}, /*index=1*/f32[8]{0})) all-gather-start(%x, %y), replica_groups=[4,2]<=[2,4]T(1,0), dimensions={0}
  %agd = (s8[4,8]{1,0}, f32[8]{0}) all-gather-done(%ags)
  %cps = (bf16[8,128]{1,0}, bf16[8,128]{1,0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x), source_target_pairs={{0,1},{1,0}}
  %cpd = bf16[8,128]{1,0} collective-permute-done(%cps)
  %ars = f32[4]{0} all-reduce-start(%y), replica_groups=[1,8]<=[8], to_apply=%add
  %ard = f32[4]{0} all-reduce-done(%ars)
  ROOT %which = f32[4]{0} conditional(%ard, %y, %y), branch_computations={%branch, %branch}
}
"""


def test_what_accelerators_write() -> None:
    found = [(c.kind, c.shape, c.bytes, c.devices) for c in collectives(MODULE)]
    assert found == [
        ("all-gather", "bf16[64,128]", 16384, 8),
        ("all-gather", "s8[4,8], f32[8]", 64, 2),
        ("collective-permute", "bf16[8,128]", 2048, 2),
        ("all-reduce", "f32[4]", 16, 8),
        ("all-reduce", "f32[4]", 16, 4),
        ("all-reduce", "f32[4]", 16, 4),
    ]


# A layer loop as the TPU compiler leaves it: no trip count but in the condition, one gather cut into two steps.
LOOP = """\
HloModule jit_step, num_partitions=8

%step (a: bf16[8,128]) -> bf16[8,512] {
  ROOT %ag.1 = bf16[8,512]{1,0} all-gather(%a), channel_id=7, replica_groups=mesh['x'=2,'y'=4] {'y'}, dimensions={1}, frontend_attributes={chain_id="1"}
}

%next (a: bf16[8,128]) -> bf16[8,512] {
  ROOT %ag.2 = bf16[8,512]{1,0} all-gather(%a), channel_id=7, replica_groups=mesh['x'=2,'y'=4] {'y'}, dimensions={1}, frontend_attributes={chain_id="1"}
}

%body (p: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %one = bf16[8,512]{1,0} fusion(%x), kind=kCustom, calls=%step
  %two = bf16[8,512]{1,0} fusion(%x), kind=kCustom, calls=%next
  %three = bf16[8,512]{1,0} all-gather(%x), channel_id=8, replica_groups=mesh['x'=2,'y'=4] {'x','y':(1)2}, dimensions={1}
}

%condition (p: (s32[], bf16[8,128])) -> pred[] {
  %layers = s32[]{:T(128)} constant(32)
  %at = s32[]{:T(128)} get-tuple-element(%p), index=0
  ROOT %lt = pred[]{:T(512)} compare(%at, %layers), direction=LT
}

%unfinished (p: (s32[], bf16[8,128])) -> pred[] {
  %most = s32[]{:T(128)} constant(48)
  ROOT %both = pred[]{:T(512)} and(%a, %b)
}

%outer (p: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  ROOT %layers = (s32[], bf16[8,128]{1,0}) while(%p), condition=%condition, body=%body
}

ENTRY %main (p: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  ROOT %tokens = (s32[], bf16[8,128]{1,0}) while(%p), condition=%unfinished, body=%outer
}
"""


def test_the_named_loop_is_the_outermost() -> None:
    """A loop that the compiler made of one gather, inside the layers: at least once, not once per micro-batch."""
    one = Collective("collective-permute", "bf16[8,8]", 128, 2, (None, 32, None), "")
    assert one.executions(4) == 4 * 32
    assert dataclasses.replace(one, loops=(32, None)).executions(4) == 32
    assert dataclasses.replace(one, loops=()).executions(4) == 1


def test_loops_and_steps_of_a_tpu() -> None:
    first, second = collectives(LOOP)
    assert first.loops == second.loops == (None, 32)
    assert (first.devices, second.devices) == (4, 4)
    assert first.executions(48) == 48 * 32
