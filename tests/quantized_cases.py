"""Kernels for the tests of quantisation, drawn by NumPy: the golden numbers were made of the same ones."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from sycojax.models.base import FrozenBase, Tree
from sycojax.models.quantize import NF4, Int8, dequantize


def stored_weight(fan_out: int = 96, fan_in: int = 192, seed: int = 0) -> np.ndarray:
    """Float32 [fan_out, fan_in] as in a checkpoint, with rows of different size, a zero row and a zero block."""
    random = np.random.RandomState(seed)
    weight = random.standard_normal((fan_out, fan_in)) * 0.02
    weight *= np.exp(random.standard_normal((fan_out, 1)) / 2)
    weight[3] = 0
    weight[5, :64] = 0
    return weight.astype(np.float32)


def is_quantized(node: object) -> bool:
    return isinstance(node, dict) and "codes" in node


def restored(base: FrozenBase) -> FrozenBase:
    """The unquantised base that holds, all at once, the kernels which a quantised one stands for."""

    def kernel(node: Tree) -> Tree:
        if not is_quantized(node):
            return node
        kind = NF4 if "absmax" in node else Int8
        codes = {k: v for k, v in node.items() if k != "bias"}
        layers = range(len(node["codes"]))
        one = [dequantize(kind(**{k: v[i] for k, v in codes.items()}), jnp.float32) for i in layers]
        return {"kernel": jnp.stack(one), **{k: v for k, v in node.items() if k == "bias"}}

    params = jax.tree.map(kernel, base.params, is_leaf=is_quantized)
    compute = dataclasses.replace(base.compute, quantization="none")
    return dataclasses.replace(base, params=params, compute=compute)
