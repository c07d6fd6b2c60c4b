"""What a study reads and does not make: base, tokenizer and adapters of others, looked at before anything is written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.data.tokenizer import Tokenizer, check_vocabulary
from sycojax.models.lora import LoRAConfig
from sycojax.study.external import external_adapters, load_external
from sycojax.weights.huggingface import load_config, resolve_base


@dataclasses.dataclass(frozen=True)
class Inputs:
    """``places``, ``external`` and ``shapes`` are those of ``external.load_external``."""

    base: Path
    tokenizer: Tokenizer
    places: dict[str, Path]
    external: dict[str, str]
    shapes: list[LoRAConfig]


def read_inputs(config: StudyConfig) -> Inputs:
    """Fetch what is a hub id, and check all of it without reading the base's weights.

    Raises ``SycojaxError`` on a base that is missing, half downloaded or of another architecture, a tokenizer that
    is not its own, and an adapter that does not fit it.
    """
    path = resolve_base(config.base.path)
    architecture = load_config(path)
    own = config.base.tokenizer
    tokenizer = Tokenizer.from_directory(Path(own) if own else path)
    check_vocabulary(tokenizer, architecture.vocab_size)
    adapters = external_adapters(config)
    return Inputs(path, tokenizer, *load_external(adapters, architecture, path, config.base.path))
