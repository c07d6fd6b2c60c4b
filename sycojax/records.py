"""What comes out of the scorer: one record per item and condition, kept as JSON lines.

Every metric is recomputed from these files; nothing is aggregated before they are written.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError
from sycojax.files import atomic_write
from sycojax.requests import Request

BASE = "base"  # the name of the configuration without an adapter
# The adapter that is trained on every task of the package, and the one whose rows have the answers of others.
COMBINED, PLACEBO = "combined", "placebo"
_LISTS = ("logprobs", "n_tokens", "n_bytes", "greedy")  # JSON arrays that a record holds as tuples


@dataclasses.dataclass(frozen=True)
class Record:
    """The answer of one configuration to one request.

    ``logprobs[c]`` is the summed natural-log probability of candidate c's tokens given the prompt (nats),
    ``n_tokens`` and ``n_bytes`` its length, ``greedy[c]`` whether every token of it was the argmax.
    ``text`` is the greedy continuation of a generation request, ``finished`` whether it stopped by itself.
    ``dropped_tokens`` counts prompt tokens cut on the left because the prompt exceeded the context.
    """

    evaluation: str
    item: str
    condition: str
    cluster: str
    meta: Mapping[str, Any]
    logprobs: tuple[float, ...] = ()
    n_tokens: tuple[int, ...] = ()
    n_bytes: tuple[int, ...] = ()
    greedy: tuple[bool, ...] = ()
    text: str | None = None
    finished: bool = True
    dropped_tokens: int = 0

    @property
    def key(self) -> str:
        return f"{self.evaluation}/{self.item}/{self.condition}"

    @classmethod
    def scored(
        cls,
        request: Request,
        logprobs: Iterable[float],
        n_tokens: Iterable[int],
        greedy: Iterable[bool],
        dropped_tokens: int = 0,
    ) -> Record:
        """The record of a likelihood request. Raises ``SycojaxError`` on a non-finite score."""
        values = tuple(float(v) for v in logprobs)
        if len(values) != len(request.candidates) or not all(map(math.isfinite, values)):
            raise SycojaxError(
                f"{request.key}: scores {values} for {len(request.candidates)} candidates; "
                "a score that is missing or not finite means the model's weights or dtype are broken"
            )
        return cls(
            request.evaluation, request.item, request.condition, request.cluster, request.meta,
            logprobs=values,
            n_tokens=tuple(int(n) for n in n_tokens),
            n_bytes=tuple(len(c.encode()) for c in request.candidates),
            greedy=tuple(bool(g) for g in greedy),
            dropped_tokens=dropped_tokens,
        )  # fmt: skip

    @classmethod
    def generated(
        cls, request: Request, text: str, finished: bool, dropped_tokens: int = 0
    ) -> Record:
        """The record of a generation request."""
        return cls(
            request.evaluation, request.item, request.condition, request.cluster, request.meta,
            text=text, finished=finished, dropped_tokens=dropped_tokens,
        )  # fmt: skip


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write JSON lines atomically."""
    lines = (json.dumps(_compact(r), ensure_ascii=False) for r in records)
    atomic_write(path, "".join(f"{line}\n" for line in lines))


def read_records(path: Path, items: Collection[str] | None = None) -> Iterator[Record]:
    """Read JSON lines, where ``items`` are named those of no others. Raises ``SycojaxError`` naming file and line of a damaged one."""
    parse = json.JSONDecoder().decode
    # Most lines are of other items: told by the bytes, which takes a fraction of the time that parsing does.
    names = [json.dumps(item, ensure_ascii=False).encode() for item in items or ()]
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if items is not None and not any(name in line for name in names):
                continue
            try:
                fields: dict[str, Any] = parse(line.decode("utf-8"))
                for name in _LISTS:
                    if name in fields:
                        fields[name] = tuple(fields[name])
                record = Record(**fields)
            except (ValueError, TypeError, RecursionError) as error:
                raise SycojaxError(f"{path}:{number}: not an item record ({error})") from error
            if items is None or record.item in items:
                yield record


def _compact(record: Record) -> dict[str, Any]:
    defaults = {f.name: f.default for f in dataclasses.fields(record)}
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return {k: v for k, v in fields.items() if v != defaults[k]}
