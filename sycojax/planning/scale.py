"""What N adapters of one base cost: tokens, hours, memory, by arithmetic alone. Nothing is compiled, and nothing here was measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jax.sharding import AbstractMesh

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase, abstract_base, device_bytes
from sycojax.models.config import LlamaConfig
from sycojax.parallel.mesh import MESH_AXES, in_words
from sycojax.planning.hardware import GIB, TERA, Chip
from sycojax.planning.roofline import (
    adapter_weights,
    decode_work,
    matmul_weights,
    score_work,
    train_work,
)
from sycojax.planning.topology import Topology
from sycojax.scoring.decode_sizes import decode_rows
from sycojax.scoring.memory import cache_bytes, decoding_width, together
from sycojax.scoring.prepare import Encoder
from sycojax.study.adapters import study_jobs
from sycojax.study.datasets import prepare
from sycojax.study.inputs import Inputs, prompts_of, tokenizer_of
from sycojax.study.work import Asking, Training, asked, expected, trained
from sycojax.weights.layout import chosen_sizes, computed_on, laid_out

# Assumed shares of a chip's published peak: FLOPs in training and scoring, bandwidth in decoding. Published figures of
# LoRA on an 8B are at 40 % (NeMo AutoModel, one H100); ours were not measured.
TRAIN_SHARE, SCORE_SHARE, DECODE_SHARE = 0.4, 0.4, 0.5
# configs/llama2_7b.py on the published study's files, counted with Llama 2's tokenizer: the mean of its six adapters.
PUBLISHED = (
    [Training(steps=283, passes=0, forward=0, tokens=647_000)],
    Asking(tokens=3_207_000, prompts=1_700, prompt_tokens=193_000, written=142_000),
)


class StageCost(NamedTuple):
    """One stage for all adapters."""

    name: str
    each: float  # tokens of one adapter, or of one configuration
    tokens: float
    flops: float
    hours: float


@dataclasses.dataclass(frozen=True)
class Scale:
    """The cost of ``adapters`` adapters, the base scored beside them."""

    adapters: int
    config: StudyConfig
    source: str
    base: FrozenBase
    topology: Topology
    chip: Chip
    counted: str  # on which texts
    stages: list[StageCost]
    width: int  # configurations that are decoded together
    rows: int  # prompts of each
    memory: dict[str, float]  # bytes per chip, by what takes them

    @property
    def hours(self) -> float:
        """Of all stages."""
        return sum(stage.hours for stage in self.stages)


def scale(
    config: StudyConfig, architecture: LlamaConfig, source: str, topology: Topology, adapters: int
) -> Scale:
    """The cost of ``adapters`` adapters like those of ``config``. Raises ``SycojaxError`` for a machine without figures."""
    chip = topology.chip
    if chip is None:
        raise SycojaxError(
            f"--adapters={adapters} needs a machine of which figures are known: --topology=v5e:2x4, gpu:H200x8, ..."
        )
    base = _base(config, architecture, topology, chip)
    config = dataclasses.replace(config, train=laid_out(config.train, base.compute))
    training, asking, counted = _work(config, architecture)
    score, peak = config.score, topology.count * chip.flops
    stages = []
    if training:
        each, per_token = _trained_tokens(config, training), _per_token(config, base)
        flops = adapters * each * per_token
        stages.append(StageCost("train", each, adapters * each, flops, flops / peak / TRAIN_SHARE / 3600))  # fmt: skip

    configurations, length = adapters + 1, 2 * config.data.max_length
    scored = score_work(base, 1, length, 1)
    flops = configurations * asking.tokens * scored.flops / scored.tokens
    stages.append(StageCost("score", asking.tokens, configurations * asking.tokens, flops, flops / peak / SCORE_SHARE / 3600))  # fmt: skip

    prompts = decode_rows(score, base.mesh)
    slots = config.data.max_length + score.max_new_tokens
    held = together(base, configurations, chip.limit)
    width = score.decode_bank_width or decoding_width(base, held, prompts, slots, chip.limit)
    one = decode_work(base, prompts, config.data.max_length, 2, width)  # of a single step
    steps = configurations / width * asking.written / prompts
    written = configurations * asking.written
    seconds = steps * one.hbm_bytes / chip.bandwidth / DECODE_SHARE
    stages.append(StageCost("decode", asking.written, written, written * one.flops / one.tokens, seconds / 3600))  # fmt: skip

    adapter = 4 * adapter_weights(architecture, config.lora)
    memory = {
        "base": device_bytes(base.params),
        "training an adapter: it, its best, two moments, a gradient": 5 * adapter,
        f"{held} configurations that are scored together": held * adapter,
        "decoding: the layers once more": device_bytes(base.params["layers"]),
        f"decoding: keys and values of {width} x {prompts} rows of {slots}": width * cache_bytes(base, prompts, slots),
    }  # fmt: skip
    return Scale(
        adapters, config, source, base, topology, chip, counted, stages, width, prompts, memory
    )


def _trained_tokens(config: StudyConfig, training: Sequence[Training]) -> float:
    """Tokens that are computed to train an adapter, padding of rows and passes included."""
    train = config.train
    steps, tokens = (sum(of[i] for of in training) / len(training) for i in (0, 3))
    rows = math.ceil(tokens / steps / train.row_length)
    passes = math.ceil(rows / train.micro_batch_rows)
    return steps * passes * train.micro_batch_rows * train.row_length


def _per_token(config: StudyConfig, base: FrozenBase) -> float:
    """FLOPs of training, recomputed ones included."""
    work = train_work(config, base, 1)
    return (work.flops + work.recomputed) / work.tokens


def _base(config: StudyConfig, c: LlamaConfig, topology: Topology, chip: Chip) -> FrozenBase:
    """The base in shapes, spread over chips that need not be described by their compiler."""
    mesh = AbstractMesh(chosen_sizes(config, c, topology.count, chip.limit), MESH_AXES)
    return abstract_base(c, config.lora, computed_on(config, c, mesh, chip.limit))


def _work(config: StudyConfig, c: LlamaConfig) -> tuple[list[Training], Asking, str]:
    """Counted on the config's own rows with its own tokenizer, where they can be read."""
    try:
        tokenizer = tokenizer_of(config)
        prompts = prompts_of(config, tokenizer)
        given = Inputs(Path(), "", c.max_position_embeddings, tokenizer, "", prompts, {})
        data = prepare(config, tokenizer, given.context)
        training = [trained(job, config.train) for job in study_jobs(config, data.training)]
        asking = asked(expected(config, given, data), config, given, Encoder(tokenizer, c))
        return training, asking, "counted on its own texts"
    except SycojaxError as error:
        why = str(error).partition(" (")[0]
        taken = "Taken from configs/llama2_7b.py on the published study's files"
        training, asking = PUBLISHED
        return training if config.train.adapters else [], asking, f"not counted: {why}. {taken}"


def table(found: Scale) -> str:
    """All of it in text, with the formulas."""
    c, chip, chips = found.base.config, found.chip, found.topology.count
    train = found.config.train
    sizes = in_words(found.base.mesh.shape)
    n, a = matmul_weights(c), adapter_weights(c, found.base.lora)
    again = {"none": "", "dots": " + attention again", "full": " + 2N again"}[
        found.base.compute.remat
    ]
    size = sum(found.memory.values())
    lines = [
        f"plan      {found.adapters:,} adapters and their base on {found.topology.name}: {chips} x {chip.name} of {chip.limit / GIB:.2f} GiB; mesh {sizes}",
        f"base      {found.source}: {c.base_parameter_count:,} parameters, {found.config.base.precision}",
        f"work      {found.counted}",
        "",
        f"{'':8}{'tokens of each':>16}{'of all':>20}{'PFLOPs':>14}{'hours':>10}{'chip-hours':>12}",
        *(
            f"{s.name:8}{s.each:>16,.0f}{s.tokens:>20,.0f}{s.flops / 1e15:>14,.0f}{s.hours:>10,.1f}{chips * s.hours:>12,.0f}"
            for s in found.stages
        ),
        f"{'all':58}{found.hours:>10,.1f}{chips * found.hours:>12,.0f}",
        "",
        f"train     tokens x (4N + 6A + 3 attention{again}) / ({chips} x {chip.flops / TERA:,.0f} TFLOP/s x {TRAIN_SHARE:.0%})",
        f"          in rows of {train.row_length}, {train.micro_batch_rows} a pass, what does not fill them included",
        f"score     tokens x (2N + 2A + attention) / ({chips} x {chip.flops / TERA:,.0f} TFLOP/s x {SCORE_SHARE:.0%}); the base is asked, too",
        f"decode    tokens / (W x {found.rows} prompts) x (a chip's weights + its keys and values) / ({chip.bandwidth / 1e9:,.0f} GB/s x {DECODE_SHARE:.0%})",
        f"          N = {n:,} weights in products, A = {a:,} of an adapter, W = {found.width} configurations in a pass",
        "assumed   the three shares of the published peaks, and texts half as long as score.max_new_tokens: not measured.",
        "          Loading, compiling and what the host does are not in it",
        "",
        "GiB per chip, by sizes; activations are not in it",
        *(f"  {name:66}{size / GIB:>8.2f}" for name, size in found.memory.items()),
        f"  {'all':66}{size / GIB:>8.2f} of {chip.limit / GIB:.2f}{'' if size <= chip.limit else ': does not fit'}",
        f"disk      {4 * a * found.adapters / GIB:,.1f} GiB of adapters",
    ]  # fmt: skip
    return "\n".join(lines)
