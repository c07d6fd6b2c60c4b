"""What the base and an adapter lose on each held-out example: whether training taught the adapter its own task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sycojax.data.encode import EncodedExample
from sycojax.errors import SycojaxError
from sycojax.files import read_json, write_json

FILE = "held_out.json"  # beside an adapter


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """One entry per validation example; losses are in nats per target token, the mean over the example's own."""

    items: tuple[str, ...]  # "task/item"
    questions: tuple[int, ...]  # the place of the first example that asks the same
    base: tuple[float, ...]  # the base, which is the adapter before its first step
    adapter: tuple[float, ...]  # the adapter that is written


def held_out(
    examples: Sequence[EncodedExample], base: Iterable[float], adapter: Iterable[float]
) -> HeldOut:
    """The losses of ``examples``, with what they ask."""
    names = [f"{e.task}/{e.item}" for e in examples]
    first: dict[str, int] = {}
    keys = [e.question or name for e, name in zip(examples, names, strict=True)]
    questions = tuple(first.setdefault(key, place) for place, key in enumerate(keys))
    return HeldOut(tuple(names), questions, tuple(map(float, base)), tuple(map(float, adapter)))


def write_held_out(directory: Path, found: HeldOut) -> None:
    """Write ``held_out.json`` beside the adapter in ``directory``."""
    write_json(directory / FILE, dataclasses.asdict(found))


def read_held_out(directory: Path) -> HeldOut | None:
    """What ``write_held_out`` wrote; None where there is none. Raises ``SycojaxError`` on anything else."""
    path = directory / FILE
    if not path.is_file():
        return None
    document: Any = read_json(path)
    lists: list[list[Any]] = [
        found
        for field in dataclasses.fields(HeldOut)
        if isinstance(document, dict) and isinstance(found := document.get(field.name), list)
    ]
    if len(lists) == 4 and len({*map(len, lists)}) == 1:
        items, questions, base, adapter = map(tuple, lists)
        if all(isinstance(x, str) for x in items) and all(map(_number, questions + base + adapter)):
            return HeldOut(items, questions, base, adapter)
    raise SycojaxError(f"{path} is damaged: it must hold four lists, equally long (train again)")


def _number(value: Any) -> bool:
    """A finite one: of NaN no comparison holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
