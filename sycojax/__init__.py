"""sycojax: does fine-tuning a chat model for benchmarks make it more sycophantic?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sycojax.interface import load

__version__ = "0.1.0"
__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # `sycojax.load` needs jax; the records, the evals and the analysis do not, so it is fetched late.
    if name == "load":
        from sycojax.interface import load

        return load
    raise AttributeError(f"module 'sycojax' has no attribute {name!r}")
