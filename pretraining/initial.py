"""Where pretraining starts: random weights with a few attention heads wired by hand.

Matching an option to its letter needs two heads that only pay off together, which a model this small
finds late or never from a random start. So layer 0 begins with heads that look back one, two and three
tokens, and every later layer with heads that (0) continue a repeated sequence, (1) and (2) find the
option that is named and fetch the letter beside it. All weights stay trainable. The query and key maps
of the other heads begin equal, so that equal words match (after Trockman and Kolter 2023,
arXiv:2305.09828), and the head begins as the transposed embedding, so that a word that is recalled
looks like the same word in the list of options.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sycojax.models.config import LlamaConfig

_EMBEDDING_RMS = 0.3
_LAG_STRENGTH = 4.0
_MATCH_STRENGTH = 2.2
_FREQUENCIES = 5  # the fastest rotary frequencies, which tell neighbours apart


def wired_start(config: LlamaConfig, seed: int) -> dict[str, Any]:
    """The initial base tree in the layout of ``models.base.split``; float32 NumPy arrays."""
    rng = np.random.default_rng([seed, 11])
    d, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    heads, width = config.num_attention_heads, config.head_dim

    def normal(*shape: int, scale: float) -> np.ndarray:
        return rng.normal(size=shape, scale=scale)

    scale = 1 / math.sqrt(d)
    out = 0.2 * scale / math.sqrt(2 * layers)
    embedding = normal(config.vocab_size, d, scale=1.0)
    embedding[:, 0] = 0
    embedding *= _EMBEDDING_RMS * math.sqrt(d) / np.linalg.norm(embedding, axis=1, keepdims=True)
    lm_head = embedding.T * (0.5 * scale / _EMBEDDING_RMS)
    embedding[:, 0] = 2 * _EMBEDDING_RMS  # a constant that the look-back heads read
    q = normal(layers, d, d, scale=1.5 * scale)
    k = q.copy()
    v = normal(layers, d, d, scale=scale)
    o = normal(layers, d, d, scale=0.5 * out) + 0.06 * v.transpose(0, 2, 1)

    def orthogonal() -> list[np.ndarray]:
        matrix = np.linalg.qr(rng.normal(size=(d, d)))[0]
        return [matrix[:, h * width : (h + 1) * width] for h in range(heads)]

    reads, writes = orthogonal(), orthogonal()
    if heads >= 4:
        fast = config.rope_theta ** (-np.arange(0, width, 2) / width)[:_FREQUENCIES]
        half = width // 2
        for h, lag in enumerate((1, 2, 3)):
            place = slice(h * width, (h + 1) * width)
            query, key = np.zeros(width), np.zeros(width)
            query[: len(fast)] = _LAG_STRENGTH
            key[: len(fast)] = _LAG_STRENGTH * np.cos(lag * fast)
            key[half : half + len(fast)] = _LAG_STRENGTH * np.sin(lag * fast)
            q[0][:, place] *= 0.1
            k[0][:, place] *= 0.1
            q[0][0, place], k[0][0, place] = query, key
            v[0][:, place], o[0][place] = reads[h], _EMBEDDING_RMS * writes[h].T
        matching = (
            (reads[0], writes[0], reads[3], reads[3]),
            (writes[0], reads[0], writes[1], reads[1]),
            (reads[2], reads[2], writes[1], reads[1]),
        )
        for layer in range(1, layers):
            for h, (by, on, what, where) in enumerate(matching):
                place = slice(h * width, (h + 1) * width)
                q[layer][:, place], k[layer][:, place] = _MATCH_STRENGTH * by, _MATCH_STRENGTH * on
                v[layer][:, place], o[layer][place] = what, _EMBEDDING_RMS * where.T

    def kernel(value: np.ndarray) -> dict[str, np.ndarray]:
        return {"kernel": value.astype(np.float32)}

    def norm(*shape: int) -> dict[str, np.ndarray]:
        return {"scale": np.ones(shape, np.float32)}

    return {
        "embed_tokens": {"embedding": embedding.astype(np.float32)},
        "layers": {
            "input_layernorm": norm(layers, d),
            "self_attn": {
                "q_proj": kernel(q), "k_proj": kernel(k), "v_proj": kernel(v), "o_proj": kernel(o),
            },
            "post_attention_layernorm": norm(layers, d),
            "mlp": {
                "gate_proj": kernel(normal(layers, d, f, scale=scale)),
                "up_proj": kernel(normal(layers, d, f, scale=scale)),
                "down_proj": kernel(normal(layers, f, d, scale=out * math.sqrt(d / f))),
            },
        },
        "norm": norm(d),
        "lm_head": kernel(lm_head),
    }  # fmt: skip
