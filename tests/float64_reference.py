"""A Llama in NumPy and float64, written from the papers and in no way from sycojax: what log-likelihoods should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Reference:
    """``weights`` by Hugging Face names, ``config`` as config.json has it; biases of q, k and v are used where there are some."""

    def __init__(self, weights: Mapping[str, np.ndarray], config: Mapping[str, Any]):
        self.weights, self.config = weights, config

    def logprobs(
        self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
    ) -> list[float]:
        """log p of each continuation behind the prompt, in nats; all in one pass, in which they see only themselves."""
        ids, positions, owner = list(prompt), list(range(len(prompt))), [-1] * len(prompt)
        places = []
        for number, continuation in enumerate(continuations):
            fed = list(continuation[:-1])
            places.append([len(prompt) - 1, *range(len(ids), len(ids) + len(fed))])
            ids += fed
            positions += range(len(prompt), len(prompt) + len(fed))
            owner += [number] * len(fed)
        who, when = np.array(owner), np.array(positions)
        seen = ((who == -1)[None] | (who[:, None] == who)) & (when[None] <= when[:, None])
        logits = self._states(ids, when, seen) @ self._get("lm_head", "model.embed_tokens").T
        logits -= logits.max(-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        return [
            float(logits[rows, list(c)].sum())
            for rows, c in zip(places, continuations, strict=True)
        ]

    def _get(self, *names: str, part: str = "weight") -> np.ndarray:
        name = next(f"{n}.{part}" for n in names if f"{n}.{part}" in self.weights)
        return np.asarray(self.weights[name], np.float64)

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        y = x @ self._get(name).T
        return y + self._get(name, part="bias") if f"{name}.bias" in self.weights else y

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        size = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / size * self._get(name)

    def _states(self, ids: list[int], positions: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """States before the head, [T, D]."""
        x = self._get("model.embed_tokens")[ids]
        for layer in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{layer}"
            h = self._norm(f"{at}.input_layernorm", x)
            q, k, v = (
                self._heads(self._linear(f"{at}.self_attn.{name}_proj", h)) for name in "qkv"
            )
            q, k = self._turned(q, positions), self._turned(k, positions)
            x = x + self._linear(f"{at}.self_attn.o_proj", self._attention(q, k, v, seen))
            h = self._norm(f"{at}.post_attention_layernorm", x)
            gate = self._linear(f"{at}.mlp.gate_proj", h)
            up = self._linear(f"{at}.mlp.up_proj", h)
            x = x + self._linear(f"{at}.mlp.down_proj", gate / (1 + np.exp(-gate)) * up)
        return self._norm("model.norm", x)

    def _heads(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1, self.config["head_dim"]).swapaxes(0, 1)

    def _turned(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Rotary positions: halves of a head, as Hugging Face pairs them."""
        half = x.shape[-1] // 2
        angles = positions[:, None] * self.config["rope_theta"] ** (-np.arange(half) / half)
        a, b = x[..., :half], x[..., half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def _attention(
        self, q: np.ndarray, k: np.ndarray, v: np.ndarray, seen: np.ndarray
    ) -> np.ndarray:
        group = len(q) // len(k)
        k, v = k.repeat(group, 0), v.repeat(group, 0)
        scores = np.where(seen, q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]), -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        return mixed.swapaxes(0, 1).reshape(q.shape[1], -1)
