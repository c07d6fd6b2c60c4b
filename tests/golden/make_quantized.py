"""Make ``quantized.npz``: what bitsandbytes computes on a CPU for the kernel of ``quantized_cases``.

Run ``python tests/golden/make_quantized.py`` where torch and bitsandbytes are installed; nothing else needs them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bitsandbytes
import bitsandbytes.functional
import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from quantized_cases import stored_weight  # noqa: E402


def main() -> None:
    functional = bitsandbytes.functional
    weight = torch.tensor(stored_weight())
    codes, state = functional.quantize_4bit(
        weight, blocksize=64, quant_type="nf4", compress_statistics=True
    )
    # For float32 its CPU code looks codes up in a table, which decides near-ties either way; for float64 it
    # compares with all 256 values and takes the nearest.
    _, single = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    nearest, _ = torch.ops.bitsandbytes.quantize_blockwise(
        (single.absmax - state.offset).double(), state.state2.code, 256
    )
    int8, row_absmax, _ = torch.ops.bitsandbytes.int8_vectorwise_quant(weight, 0.0)
    np.savez_compressed(
        TESTS / "golden" / "quantized.npz",
        version=bitsandbytes.__version__,
        nf4_values=state.code.numpy(),
        dynamic_values=state.state2.code.numpy(),
        codes=codes.numpy().reshape(weight.shape[0], -1),
        absmax=state.absmax.numpy(),
        absmax_nearest=nearest.numpy(),
        absmax_scale=state.state2.absmax.numpy(),
        absmax_mean=state.offset.numpy(),
        dequantized=functional.dequantize_4bit(codes, state).numpy(),
        int8=int8.numpy(),
        int8_absmax=row_absmax.numpy(),
    )


if __name__ == "__main__":
    main()
