"""What a study reads and does not make: base, tokenizer and adapters of others, looked at before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.parallel.distributed import on_first
from sycojax.study.external import FoundAdapter, external_adapters, find_external
from sycojax.weights.fingerprint import base_fingerprint, tokenizer_fingerprint
from sycojax.weights.huggingface import load_config, resolve_base


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What was read, and what its files are known by."""

    base: Path
    weights: str  # ``base_fingerprint`` of the base
    tokenizer: Tokenizer
    texts: str  # ``tokenizer_fingerprint`` of the tokenizer's directory
    external: Mapping[str, FoundAdapter]  # by configuration name


def read_inputs(config: StudyConfig) -> Inputs:
    """Fetch what is a hub id, and check all of it without reading the base's weights.

    Raises ``SycojaxError`` on a base that is missing, half downloaded or of another architecture, a tokenizer that
    cannot be read, and an adapter that does not fit it.
    """
    path = resolve_base(config.base.path)
    architecture = load_config(path)
    reader = Path(config.base.tokenizer) if config.base.tokenizer else path
    tokenizer = Tokenizer.from_directory(reader)
    external = find_external(external_adapters(config), architecture, path, config.base.path)
    weights, texts = on_first(lambda: (base_fingerprint(path), tokenizer_fingerprint(reader)))
    return Inputs(path, weights, tokenizer, texts, external)
