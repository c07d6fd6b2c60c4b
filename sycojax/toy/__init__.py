"""The embedded base: a tiny Llama that was pretrained on the world of ``data/toy``. ``base/README.md`` describes it."""

from __future__ import annotations

from pathlib import Path


def base_directory() -> Path:
    """The shipped base model in Hugging Face layout."""
    return Path(__file__).parent / "base"
