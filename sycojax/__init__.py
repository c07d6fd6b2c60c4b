"""sycojax: does fine-tuning a chat model for benchmarks make it more sycophantic?"""

from __future__ import annotations

import importlib.metadata
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sycojax.interface import load

__version__ = "0.1.0"
__all__ = ["load"]

# On CPUs jaxlib 0.10.2 compiles some sums to wrong numbers unless it is told not to fuse them so. The flag counts from the
# first computation on, and other versions end at one that they do not know. ``parallel.known_answer`` looks at what came of it.
WRONG_JAXLIB, CURE = "0.10.2", "--xla_cpu_experimental_ynn_fusion_type="


def _cure() -> None:
    given = os.environ.get("XLA_FLAGS", "")
    try:
        wrong = importlib.metadata.version("jaxlib") == WRONG_JAXLIB
    except importlib.metadata.PackageNotFoundError:  # a machine that only launches studies
        return
    if wrong and CURE.rstrip("=") not in given:
        os.environ["XLA_FLAGS"] = f"{given} {CURE}".strip()


_cure()


def __getattr__(name: str) -> Any:
    # `sycojax.load` needs jax; the records, the evals and the analysis do not, so it is fetched late.
    if name == "load":
        from sycojax.interface import load

        return load
    raise AttributeError(f"module 'sycojax' has no attribute {name!r}")
