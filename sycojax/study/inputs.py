"""What a study reads and does not make: base, tokenizer and adapters of others, looked at before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.data.prompts import Prompts
from sycojax.data.templates import template_of
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.parallel.distributed import on_first
from sycojax.study.external import FoundAdapter, external_adapters, find_external
from sycojax.weights.fingerprint import base_fingerprint, tokenizer_fingerprint
from sycojax.weights.hub import resolve
from sycojax.weights.huggingface import TOKENIZER_FILES, load_config, resolve_base


def tokenizer_of(config: StudyConfig) -> Tokenizer:
    """The config's tokenizer; of a hub base only its files are fetched. Raises ``SycojaxError`` where there is none."""
    named = config.base.tokenizer or config.base.path
    return Tokenizer.from_directory(resolve(named, TOKENIZER_FILES))


def prompts_of(config: StudyConfig, tokenizer: Tokenizer) -> Prompts:
    """How a study with ``config`` words and writes what it asks.

    Raises ``SycojaxError`` where there is no chat template, or where the published study's marks are no tokens.
    """
    template = template_of(tokenizer, config.base.chat_template, config.base.template_args)
    published = config.data.recipe == "published" or config.score.protocol != "sycojax"
    if published and (tokenizer.bos_token, tokenizer.eos_token) != ("<s>", "</s>"):
        raise SycojaxError(
            f"the published study's recipe and protocol are written in Llama 2's marks, and <s> and </s> are not BOS and EOS of "
            f"{tokenizer.source}: leave data.recipe and score.protocol at sycojax for this base"
        )
    return Prompts(config.data.recipe, template)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What was read, and what its files are known by."""

    base: Path
    weights: str  # ``base_fingerprint`` of the base
    context: int  # tokens that the base attends to
    tokenizer: Tokenizer
    texts: str  # ``tokenizer_fingerprint`` of the tokenizer's directory
    prompts: Prompts
    external: Mapping[str, FoundAdapter]  # by configuration name


def read_inputs(config: StudyConfig) -> Inputs:
    """Fetch what is a hub id, and check all of it without reading the base's weights.

    Raises ``SycojaxError`` on a base that is missing, half downloaded or of another architecture, a tokenizer that
    cannot be read or has no chat template, and an adapter that does not fit it.
    """
    path = resolve_base(config.base.path)
    architecture = load_config(path)
    reader = Path(config.base.tokenizer) if config.base.tokenizer else path
    tokenizer = Tokenizer.from_directory(reader)
    external = find_external(external_adapters(config), architecture, path, config.base.path)
    prompts = prompts_of(config, tokenizer)
    weights, texts = on_first(lambda: (base_fingerprint(path), tokenizer_fingerprint(reader)))
    return Inputs(
        path, weights, architecture.max_position_embeddings, tokenizer, texts, prompts, external
    )
