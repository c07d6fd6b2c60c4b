"""A study's programs compiled for devices that need not be there: what they take, and how fast they can be at best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax

from sycojax.config import StudyConfig
from sycojax.models.base import FrozenBase, abstract_base
from sycojax.models.config import LlamaConfig
from sycojax.planning import programs
from sycojax.planning.collectives import Total, totals
from sycojax.planning.compile import Compiled, compile_program
from sycojax.planning.roofline import Roofline, Work, decode_work, score_work, train_work
from sycojax.planning.topology import Topology, devices
from sycojax.scoring.scorer import Scorer
from sycojax.weights.frozen import compute_of
from sycojax.weights.layout import laid_out

Say = Callable[[str], None]
# Compiles what its second argument lowers; the first names it for the user.
Compile = Callable[[str, Callable[[], jax.stages.Lowered]], Compiled]


@dataclasses.dataclass(frozen=True)
class Program:
    """One compiled program and one call of it."""

    name: str  # train, score or decode
    call: str  # what one call computes, in words
    loop: tuple[int, str]  # how often its loop of data-dependent length runs, and over what
    compiled: Compiled
    fits: bool | None  # None where the device's memory is not known
    work: Work
    collectives: list[Total]
    received: float  # bytes over the interconnect, by one chip
    gathered_per_token: float  # bytes that a chip gathers for each token of its share
    roofline: Roofline | None

    def tokens_per_chip(self, chips: int) -> float:
        """Tokens of a call's share of one chip."""
        return self.work.tokens / chips


@dataclasses.dataclass(frozen=True)
class Plan:
    """The whole plan."""

    name: str
    source: str  # where the architecture is from
    architecture: LlamaConfig
    precision: str
    attention: str
    topology: Topology
    mesh: dict[str, int]
    programs: list[Program]


def make_plan(
    config: StudyConfig,
    architecture: LlamaConfig,
    source: str,
    topology: Topology,
    say: Say = lambda line: None,
) -> Plan:
    """Compile the training step, a scoring pass and decoding of ``config``; ``say`` is told of every compilation.

    Mesh and micro-batch are those that a study would have there. Raises ``SycojaxError`` where the mesh does not fit
    the topology, the weights or the rows.
    """
    limit = topology.chip.limit if topology.chip else None
    compute = compute_of(config, architecture, devices(topology), limit)
    config = dataclasses.replace(config, train=laid_out(config.train, compute))
    base = abstract_base(architecture, config.lora, compute)
    scorer = programs.planned_scorer(config, base)
    widths = programs.bank_widths(config, scorer, limit)

    def compiled(what: str, lower: Callable[[], jax.stages.Lowered]) -> Compiled:
        say(f"compiling {what} for {topology.name} ...")
        result = compile_program(lower)
        peak = f"{result.peak / 2**30:.2f} GiB" if result.peak else "too large"
        say(f"compiled  {what}: {peak}, {result.seconds:.0f} s")
        return result

    found = [
        _train(config, base, topology, compiled, widths.train),
        _score(config, scorer, topology, compiled, widths.score),
        _decode(config, scorer, topology, compiled, widths.decode),
    ]
    return Plan(
        config.name, source, architecture, config.base.precision, compute.attention, topology,
        dict(base.mesh.shape), found,
    )  # fmt: skip


def _train(
    config: StudyConfig, base: FrozenBase, topology: Topology, compiled: Compile, width: int
) -> Program:
    train = config.train
    count = -(-train.examples_per_step // train.micro_batch_rows)
    call = (
        f"one step: {count} x {train.micro_batch_rows} rows of {train.row_length}{_adapters(width)}"
    )
    result = compiled("train", lambda: programs.lower_train(config, base, width))
    work = train_work(config, base, width)
    return _program("train", call, result, work, topology, (count, "micro-batches"))


def _score(
    config: StudyConfig, scorer: Scorer, topology: Topology, compiled: Compile, width: int
) -> Program:
    base, buckets = scorer.base, scorer.buckets
    longest = max(n for n in config.score.buckets if n <= base.config.max_position_embeddings)
    # Twice a training example, as scored rows hold twice to four times a text's length.
    length = buckets.fitting(min(2 * config.data.max_length, longest))
    count = buckets.rows(length)
    result = compiled(f"score, rows of {length}", lambda: scorer.lower(length, width))
    work = score_work(base, count, length, width)
    chunks = buckets.capacity(length) // buckets.chunk(length)
    call = f"one batch: {count} rows of {length}{_adapters(width)}"
    return _program("score", call, result, work, topology, (chunks, "chunks"))


def _decode(
    config: StudyConfig, scorer: Scorer, topology: Topology, compiled: Compile, width: int
) -> Program:
    """All new tokens of a batch; another program reads the prompts in."""
    length, steps = programs.decode_length(config, scorer), config.score.max_new_tokens
    count = scorer.decoder.rows
    result = compiled(
        f"decode, prompts of {length} and {steps} new tokens",
        lambda: scorer.decoder.lower(length, steps, width),
    )
    work = decode_work(scorer.base, count, length, steps, width)
    call = f"one batch: {count} rows, {steps} new tokens each after {length}{_adapters(width)}"
    return _program("decode", call, result, work, topology, (steps - 1, "tokens"))


def _program(
    name: str, call: str, compiled: Compiled, work: Work, topology: Topology, loop: tuple[int, str]
) -> Program:
    chip, chips = topology.chip, topology.count
    sums = totals(compiled.collectives, loop[0])
    received = sum(row.received for row in sums)
    gathered = sum(row.bytes for row in sums if row.kind == "all-gather")
    return Program(
        name, call, loop, compiled, compiled.fits(chip.limit if chip else None), work, sums, received,
        gathered / (work.tokens / chips),
        work.roofline(chip, chips, received) if chip and not compiled.refused else None,
    )  # fmt: skip


def _adapters(width: int) -> str:
    return f", {width} adapters" if width > 1 else ""
