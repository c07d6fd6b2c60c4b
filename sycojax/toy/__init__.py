"""The embedded default: a small made-up world and the tiny Llama that was pretrained on it.

It exists so that the whole study runs in minutes on a laptop and so that every instrument can be
checked against a planted truth. Benchmark levels, adapter gains and sycophancy rates are dials of
``World`` and ``corpus``, not findings: nothing here is evidence about real language models.
"""

from __future__ import annotations

from pathlib import Path


def base_directory() -> Path:
    """The shipped base model in Hugging Face layout."""
    return Path(__file__).parent / "base"
