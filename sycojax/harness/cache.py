"""``--use_cache``: a file of answers belongs to one model.

The harness finds a cached answer by the request alone, so that a second adapter on the same file would silently get
the first one's answers. What the answers are of is kept among them, under a key that is no request's.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError

OWNER = "sycojax"  # the harness's own keys are SHA-256 digests


def claim(answers: MutableMapping[str, Any], model: str) -> None:
    """Make ``answers`` those of ``model`` (a fingerprint). Raises ``SycojaxError`` where they are another's."""
    owner = answers.get(OWNER)
    if owner is None and len(answers) == 0:
        answers[OWNER] = model
    elif owner != model:
        raise SycojaxError(
            "--use_cache: this file holds answers of another model, adapter or precision: give each its own, or "
            "delete it"
        )


def model_of(base: Path, tokenizer: Path, adapter: str | None, *settings: Any) -> str:
    """A fingerprint of all that an answer depends on: two directories, an adapter's directory or hub id, settings."""
    from sycojax.study.external import files_fingerprint
    from sycojax.study.stages import fingerprint
    from sycojax.weights.fingerprint import base_fingerprint
    from sycojax.weights.huggingface import TOKENIZER_FILES
    from sycojax.weights.peft import resolve_adapter

    weights = "" if adapter is None else files_fingerprint(resolve_adapter(adapter))
    texts = [p.read_bytes() for f in TOKENIZER_FILES if (p := tokenizer / f).is_file()]
    return fingerprint(base_fingerprint(base), weights, *texts, *settings)
