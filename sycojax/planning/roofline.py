"""How much work a call takes by arithmetic, and the time below which no chip of a kind can do it.

FLOPs count a multiply-add as two. N is the number of weights in matrix products: the layers' projections and the
head, not the embedding table, which is only looked up. A forward pass takes 2N per token. Training adapters takes
4N: the backward pass needs the gradient of every activation (2N) and of no frozen weight (another 2N in full
fine-tuning; Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Adapters take 2 and 4 per parameter on top.
"""

from __future__ import annotations

import dataclasses

from sycojax.config import StudyConfig
from sycojax.models.base import FrozenBase, abstract, parameter_count
from sycojax.models.compute import Remat
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import row_ways
from sycojax.planning.hardware import Chip
from sycojax.scoring import bandwidth
from sycojax.scoring.memory import slot_bytes, total_bytes


@dataclasses.dataclass(frozen=True)
class Work:
    """One call of a program, all chips together; bytes are of one chip."""

    tokens: int  # that go through the model, or are generated
    flops: float  # that the result needs
    recomputed: float  # FLOPs on top, spent to store less for the backward pass
    hbm_bytes: float  # weights, and KV cache, that a chip must read: a lower bound

    def roofline(self, chip: Chip, chips: int, received: float) -> Roofline:
        """Seconds that each resource is busy at its peak; ``received`` bytes come in over the interconnect."""
        return Roofline(
            (self.flops + self.recomputed) / chips / chip.flops,
            self.hbm_bytes / chip.bandwidth,
            received / chip.interconnect,
        )


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds per call that each resource needs on its own."""

    compute: float
    memory: float
    interconnect: float

    @property
    def seconds(self) -> float:
        """All three at once: the slowest decides (Williams et al. 2009, doi:10.1145/1498765.1498785)."""
        return max(self.compute, self.memory, self.interconnect)

    @property
    def bound(self) -> str:
        """Which one that is."""
        return max(("compute", "memory", "interconnect"), key=lambda name: getattr(self, name))


def matmul_weights(c: LlamaConfig) -> int:
    """N: parameters of the base that are multiplied with every token."""
    # A tied table is the head as well.
    looked_up = 0 if c.tie_word_embeddings else c.vocab_size * c.hidden_size
    return c.base_parameter_count - c.vector_parameter_count - looked_up


def adapter_weights(c: LlamaConfig, lora: LoRAConfig) -> int:
    """Parameters of one adapter."""
    return parameter_count(abstract(c, lora).lora)


def attention_flops(c: LlamaConfig, seen: float) -> float:
    """Scores and weighted values of one token that looks at ``seen`` tokens, in all layers."""
    return 4 * c.num_hidden_layers * c.num_attention_heads * c.head_dim * seen


def train_work(config: StudyConfig, base: FrozenBase, width: int) -> Work:
    """One optimiser step: rows as full as can be, each of one segment."""
    c, train = base.config, config.train
    micro_batches = -(-train.examples_per_step // train.micro_batch_rows)
    tokens = width * micro_batches * train.micro_batch_rows * train.row_length
    n, adapter = matmul_weights(c), adapter_weights(c, base.lora)
    attention = attention_flops(c, train.row_length / 2)  # a token sees half the row on average
    needed = 4 * n + 6 * adapter + 3 * attention
    again = _recomputed(base.compute.remat, c, adapter, attention)
    passes = 3 if base.compute.remat == "full" else 2
    return Work(
        tokens, tokens * needed, tokens * again, micro_batches * passes * weight_bytes(base)
    )


def score_work(base: FrozenBase, rows: int, length: int, width: int) -> Work:
    """One pass over a batch in which every position's logits are read."""
    tokens = width * rows * length
    return Work(tokens, tokens * _forward(base, length / 2), 0.0, weight_bytes(base))


def decode_work(base: FrozenBase, rows: int, length: int, steps: int, width: int) -> Work:
    """``steps`` new tokens after each of ``rows`` prompts of ``length``, no row ending early.

    The pass over the prompt makes the first new token, so ``steps`` - 1 are computed here.
    """
    fed = (steps - 1) * width * rows
    seen = length + steps / 2
    cache = slot_bytes(base) * seen * fed / row_ways(base.mesh)
    # The layers are multiplied where they lie, a part of them on each chip of ``fsdp``; the head is brought together.
    layers = total_bytes(base.params["layers"]) / base.mesh.shape["tensor"]
    weights = weight_bytes(base) - layers + layers / base.mesh.shape["fsdp"]
    return Work(fed, fed * _forward(base, seen), 0.0, (steps - 1) * weights + cache)


def weight_bytes(base: FrozenBase) -> float:
    """Bytes of stored weights that one chip multiplies with: parts that lie on several chips of ``fsdp`` are gathered first."""
    return bandwidth.weight_bytes(base) / base.mesh.shape["tensor"]


def _forward(base: FrozenBase, seen: float) -> float:
    adapter = adapter_weights(base.config, base.lora)
    return 2 * matmul_weights(base.config) + 2 * adapter + attention_flops(base.config, seen)


def _recomputed(remat: Remat, c: LlamaConfig, adapter: int, attention: float) -> float:
    """FLOPs per token of the second forward pass. The head stands outside of what is recomputed."""
    if remat == "none":
        return 0.0
    if remat == "dots":  # stores the products with weights, not those among activations
        return attention
    return 2 * (matmul_weights(c) - c.vocab_size * c.hidden_size) + 2 * adapter + attention
