"""Adapters that were trained elsewhere and are scored beside the study's own: any PEFT LoRA of the same base."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.records import BASE
from sycojax.study.stages import fingerprint
from sycojax.weights.admission import admit, does_nothing
from sycojax.weights.peft import WEIGHTS, resolve_adapter
from sycojax.weights.peft_settings import CONFIG

_NAME = re.compile(r"(?P<adapter>[A-Za-z0-9][A-Za-z0-9._-]*?)(?:-s(?P<seed>\d+))?")


@dataclasses.dataclass(frozen=True)
class ExternalAdapter:
    """One entry of ``score.adapters``. Configurations NAME-s0, NAME-s1, ... are seeds of the adapter NAME."""

    name: str
    adapter: str
    seed: int | None
    source: str  # a directory in PEFT's format, or a hub id

    @property
    def configuration(self) -> dict[str, Any]:
        """The entry of ``study.json``."""
        seed = {} if self.seed is None else {"seed": self.seed}
        return {"name": self.name, "adapter": self.adapter, **seed, "source": self.source}


def external_adapters(config: StudyConfig) -> list[ExternalAdapter]:
    """``score.adapters`` read. Raises ``SycojaxError`` on a malformed entry and on a name that is taken."""
    found: list[ExternalAdapter] = []
    for entry in config.score.adapters:
        name, _, source = entry.partition("=")
        match = _NAME.fullmatch(name)
        if not match or not source:
            raise SycojaxError(
                f"adapter {entry!r}: write NAME=PATH, the name of letters, digits, dots, dashes and underscores"
            )
        seed = int(match["seed"]) if match["seed"] else None
        found.append(ExternalAdapter(name, match["adapter"], seed, source))
    names = [e.name for e in found]
    for e in found:
        if e.adapter == BASE or e.adapter in config.train.adapters or names.count(e.name) > 1:
            raise SycojaxError(f"adapter {e.name!r}: the name is taken, choose another")
    return found


@dataclasses.dataclass(frozen=True)
class FoundAdapter:
    """An adapter that was trained elsewhere, as it is on this machine."""

    directory: Path
    fingerprint: str  # ``files_fingerprint``
    shape: LoRAConfig
    idle: bool = False  # it changes no output of the base


def find_external(
    adapters: Sequence[ExternalAdapter], config: LlamaConfig, base: Path, base_name: str
) -> dict[str, FoundAdapter]:
    """Every adapter by its configuration name; a hub id is fetched.

    Raises ``SycojaxError`` naming what is not an adapter of the base in ``base`` (``base_name`` to the user), before
    anything is computed; warns where only the base's name differs, and of an adapter that does nothing.
    """
    found = {}
    for adapter in adapters:
        directory = resolve_adapter(adapter.source)
        shape, tree = admit(directory, config, base, base_name)
        found[adapter.name] = FoundAdapter(
            directory, files_fingerprint(directory), shape, does_nothing(tree)
        )
    return found


def files_fingerprint(directory: Path) -> str:
    """What an adapter's files are known by, wherever they lie."""
    return fingerprint("external", *((directory / file).read_bytes() for file in (CONFIG, WEIGHTS)))
