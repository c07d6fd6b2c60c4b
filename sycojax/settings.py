"""What a setting affects, said once, in its field. Whatever must know it (what is redone, what may train together,
what a sweep compares) asks here, so that a new field needs no list anywhere else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

Affects = Literal["adapter", "continuation", "records", "analysis", "nothing"]
Through = Literal["value", "content", "files"]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a field of a config says of itself.

    ``affects``: a trained adapter (and so its records); whether a half-trained one can be continued, but not what
    comes out of it; records, the base's too; the analysis alone; or nothing but speed, memory and the log.
    ``through``: how a change is noticed. ``value``: by the value itself. ``content``: by the examples and questions
    that are made with it, so that a change which leaves them as they were redoes nothing. ``files``: it names a place,
    and what lies there is compared.
    """

    affects: frozenset[Affects]
    through: Through
    own: bool  # each adapter of a bank may have its own value
    steps: bool  # it changes how many optimiser steps there are


def setting(
    default: Any, *affects: Affects, through: Through = "value", own: bool = False, steps: bool = False
) -> Any:  # fmt: skip
    """A field with its default (``dict`` for an empty one) and what it affects."""
    said = {"setting": Setting(frozenset(affects), through, own, steps)}
    if default is dict:
        return dataclasses.field(default_factory=dict, metadata=said)
    return dataclasses.field(default=default, metadata=said)


def settings(config: Any) -> dict[str, Setting]:
    """Dotted key of every field of a config and of the groups in it -> what it affects.

    Raises ``KeyError`` for a field that says nothing.
    """
    found = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= {f"{field.name}.{key}": said for key, said in settings(value).items()}
        else:
            found[field.name] = field.metadata["setting"]
    return found


def chosen(config: Any, wanted: Callable[[Setting], bool]) -> dict[str, Any]:
    """Dotted key -> value of the settings that ``wanted`` picks."""
    return {key: value_of(config, key) for key, said in settings(config).items() if wanted(said)}


def deciding(config: Any, *affected: Affects) -> dict[str, Any]:
    """Dotted key -> value of the settings whose value itself affects one of ``affected``."""
    return chosen(
        config, lambda said: said.through == "value" and not said.affects.isdisjoint(affected)
    )


def value_of(config: Any, key: str) -> Any:
    """The value of a dotted key; None for a name that a mapping does not have."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else getattr(config, part)
    return config
