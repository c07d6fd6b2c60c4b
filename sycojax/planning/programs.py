"""The programs a study runs, lowered as they are: the real step, scorer and decoder over weights that exist in shape only."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import jax

from sycojax.config import StudyConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.models.base import FrozenBase
from sycojax.scoring.bank import pass_width
from sycojax.scoring.decode_sizes import padded_slots
from sycojax.scoring.scorer import Scorer
from sycojax.training.batches import empty, stack
from sycojax.training.optimizer import make_optimizer
from sycojax.training.step import BankProgram


class Ids(NamedTuple):
    """What scoring needs of a tokenizer before there is text: how many ids, and the two special ones."""

    vocab_size: int
    bos_id: int
    eos_id: int
    source: str = "config.json"


class Widths(NamedTuple):
    """How many adapters train together, and how many configurations are scored and decoded together."""

    train: int
    score: int
    decode: int


def planned_scorer(config: StudyConfig, base: FrozenBase) -> Scorer:
    """What scores and decodes. Its programs depend on no text, so a plan needs no tokenizer's files."""
    c = base.config
    ids = Ids(c.vocab_size, c.bos_token_id or 0, next(iter(c.eos_token_ids), 0))
    return Scorer(base, cast(Tokenizer, ids), config.score)


def bank_widths(config: StudyConfig, scorer: Scorer, memory: int | None) -> Widths:
    """Bank widths of a study on devices of ``memory`` bytes each (None: a CPU), base included where it is scored."""
    ways = scorer.base.compute.bank_ways
    adapters = max(len(config.train.adapters) * len(config.train.seeds), 1)
    together = math.ceil(adapters / math.ceil(adapters / config.train.bank_width))
    asked, decoder = adapters + 1, scorer.decoder
    slots = padded_slots(decode_length(config, scorer) + config.score.max_new_tokens)
    return Widths(
        math.ceil(together / ways) * ways,
        pass_width(asked, config.score.bank_width, ()),
        pass_width(asked, decoder.fitting_width(asked, decoder.rows, slots, memory), ()),
    )


def lower_train(config: StudyConfig, base: FrozenBase, width: int) -> jax.stages.Lowered:
    """The training step: all micro-batches of one optimiser step of a bank of ``width`` adapters."""
    rows, _ = stack([empty(config.train)] * width)
    return BankProgram(base, make_optimizer(config.train), width, config.train.logits_chunk).lower(
        rows
    )


def decode_length(config: StudyConfig, scorer: Scorer) -> int:
    """The prompt length to plan decoding with."""
    return scorer.buckets.fitting(config.data.max_length)
