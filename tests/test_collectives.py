"""What the compiled steps send between eight devices: weights layer by layer, and never logits."""

from __future__ import annotations

import functools
from typing import Any, cast

import pytest

from sycojax.config import ScoreConfig, TrainConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.models.base import abstract_base
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.models.quantize import Quantization
from sycojax.parallel.mesh import make_mesh
from sycojax.planning.collectives import Collective, collectives
from sycojax.planning.programs import Ids
from sycojax.scoring.scorer import Scorer
from sycojax.training.batches import empty, stack
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram

pytestmark = pytest.mark.usefixtures("quick_compilation")

# No two of these sizes, their halves or the numbers of tokens below are alike, so that a shape tells what it is.
VOCABULARY, D, Q, F, LAYERS = 104, 64, 128, 192, 3
CONFIG = LlamaConfig(
    VOCABULARY, D, F, LAYERS, 8, 8, 16, 256, 1e-5, 1e4, None, False, 1, (2,)
)  # fmt: skip
LORA = LoRAConfig(rank=2, alpha=4.0)
KERNELS = [(D, Q)] * 3 + [(Q, D)] + [(D, F)] * 2 + [(F, D)]
LENGTH, ROWS, WIDTH = 10, 8, 4
TRAIN = TrainConfig(row_length=LENGTH, micro_batch_rows=ROWS, examples_per_step=2 * ROWS)
SCORE = ScoreConfig(
    bank_width=WIDTH, batch_tokens=ROWS * LENGTH, buckets=(LENGTH,), decode_batch=ROWS
)
STEPS = 6
FLOAT = 4  # bytes


@functools.cache
def sent(
    step: str,
    shape: tuple[int, int, int],
    quantization: Quantization = "none",
    bank_axis: str | None = None,
) -> list[Collective]:
    """The collectives of a compiled step over weights that exist in shape only."""
    compute = Compute(quantization=quantization, mesh=make_mesh(*shape), bank_axis=bank_axis)
    base = abstract_base(CONFIG, LORA, compute)
    width = WIDTH if bank_axis else 1
    if step == "train":
        program = BankProgram(base, make_optimizer(TRAIN), width)
        lowered = program.lower(stack([empty(TRAIN)] * width)[0])
    else:
        scorer = Scorer(base, cast(Tokenizer, Ids(VOCABULARY, 1, 2)), SCORE)
        lowered = (
            scorer.lower(LENGTH, width)
            if step == "score"
            else scorer.decoder.lower(LENGTH, STEPS, width)
        )
    return collectives(lowered.compile().as_text() or "")


def shapes(one: Collective) -> list[tuple[str, tuple[int, ...]]]:
    """Element type and dimensions of each result, without those of size 1."""
    found = []
    for array in one.shape.split("], "):
        name, _, sizes = array.strip("]").partition("[")
        found.append((name, tuple(int(n) for n in sizes.split(",") if n and n != "1")))
    return found


def in_layers(one: Collective) -> bool:
    """In the scan over layers; a step of decoding, in a loop of unknown length, has the layers one by one."""
    step = one.source.startswith("jit(decode)") and one.loops == (None,)
    return step or LAYERS in one.loops


def kernels(tensor: int) -> set[tuple[int, ...]]:
    """Shapes of a layer's kernels on the way, in increasing order of dimensions: whole, and split over ``tensor``."""
    whole = {tuple(sorted(kernel)) for kernel in KERNELS}
    split = {tuple(sorted((D, size // tensor))) for size in (Q, F)}
    return whole | split


CASES: list[Any] = [
    ("train", (2, 2, 2)),
    ("score", (2, 2, 2)),
    ("decode", (2, 2, 2)),
    ("train", (4, 2, 1), "none", "data"),
    ("decode", (4, 2, 1), "none", "data"),
    ("train", (1, 8, 1), "int8"),
    ("train", (1, 8, 1), "nf4"),
    ("decode", (1, 8, 1), "nf4"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
@pytest.mark.slow
def test_no_logits_travel(case: Any) -> None:
    """Nothing has a vocabulary dimension but the kernel of the head, which stays split over ``tensor``."""
    tensor = case[1][2]
    for one in sent(*case):
        for _, sizes in shapes(one):
            if {VOCABULARY, VOCABULARY // tensor} & set(sizes):
                assert sizes == (D, VOCABULARY // tensor), one


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_weights_come_layer_by_layer(case: Any) -> None:
    tensor = case[1][2]
    travelling = kernels(tensor)
    for one in sent(*case):
        for _, sizes in shapes(one):
            stacked = len(sizes) > 2 and LAYERS in sizes
            assert not stacked, f"weights of all layers at once: {one}"
            if not in_layers(one):
                assert tuple(sorted(sizes)) not in travelling, f"outside the layer loop: {one}"


@pytest.mark.parametrize("step", ["train", "score"])
def test_every_kernel_is_gathered_in_the_loop(step: str) -> None:
    """Once per pass over the layers: forward, and backward."""
    tensor, passes = 2, {"train": 2, "score": 1}[step]
    gathered = [
        one
        for one in sent(step, (2, 2, 2))
        if one.kind == "all-gather" and tuple(sorted(shapes(one)[0][1])) in kernels(tensor)
    ]
    assert all(in_layers(one) for one in gathered)
    expected = passes * sum(a * b for a, b in KERNELS) // tensor * FLOAT
    assert sum(one.bytes for one in gathered) == expected


@pytest.mark.parametrize("case", [case for case in CASES if case[0] == "decode"], ids=str)
def test_decoding_moves_tokens_and_no_weights(case: Any) -> None:
    """Each device multiplies what it holds: a step sends less than one layer's kernels weigh, in all its layers."""
    tensor = case[1][2]
    moved = [one for one in sent(*case) if in_layers(one)]
    gathered = [one for one in moved if one.kind == "all-gather"]
    assert gathered, "the attended rows are put together"
    for one in gathered:
        for name, sizes in shapes(one):
            assert name not in ("s8", "u8"), one
            assert tuple(sorted(sizes)) not in kernels(tensor), one
    assert sum(one.bytes for one in moved) < sum(a * b for a, b in KERNELS) // tensor * FLOAT


@pytest.mark.parametrize(("quantization", "bits"), [("int8", 8), ("nf4", 4)])
def test_codes_are_gathered_and_not_what_they_stand_for(
    quantization: Quantization, bits: int
) -> None:
    found = [one for one in sent("train", (1, 8, 1), quantization) if one.kind == "all-gather"]
    codes = [one for one in found if shapes(one)[0][0] in ("s8", "u8") and in_layers(one)]
    halves = {tuple(sorted((a // 2, b))) for a, b in KERNELS} if bits == 4 else kernels(1)
    kernel_bytes = sum(one.bytes for one in codes if tuple(sorted(shapes(one)[0][1])) in halves)
    assert kernel_bytes == 2 * sum(a * b for a, b in KERNELS) * bits // 8  # forward and backward
    floats = [one for one in found if shapes(one)[0][0] == "f32" and in_layers(one)]
    assert max(one.bytes for one in floats) <= F * LORA.rank * FLOAT, "adapters and scales only"


def test_the_adapters_gradients_are_summed_once_per_layer_and_micro_batch() -> None:
    """All fourteen of a layer in one all-reduce, and nothing else of a backward pass is summed over devices."""
    reduced = [one for one in sent("train", (1, 8, 1), "int8") if one.kind == "all-reduce"]
    (gradients,) = [one for one in reduced if in_layers(one)]
    assert gradients.bytes == sum(a + b for a, b in KERNELS) * LORA.rank * FLOAT
    assert all(sizes == () for one in reduced if not in_layers(one) for _, sizes in shapes(one))


def test_adapters_on_different_devices_do_not_talk() -> None:
    """Laid over ``data``, only numbers that the host reads cross it: the groups of all else are ``fsdp``'s two."""
    for step in ("train", "decode"):
        found = sent(step, (4, 2, 1), "none", "data")
        assert any(one.devices == 2 for one in found)
        across = [one for one in found if one.devices != 2]
        limit = {"train": WIDTH * FLOAT, "decode": WIDTH * ROWS * STEPS * 4}[step]
        assert all(one.bytes <= limit for one in across), across
        # Whether to go on decoding is one number for all.
        assert all(one.bytes <= FLOAT for one in across if in_layers(one)), across
