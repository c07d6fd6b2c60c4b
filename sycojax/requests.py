"""What goes into the scorer: one prompt with its candidate completions, or one prompt to continue."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError


@dataclasses.dataclass(frozen=True)
class Request:
    """One question put to a model, for a benchmark or a probe alike.

    With ``candidates`` it asks for the log-likelihood of each candidate after ``prompt``; with
    ``max_new_tokens`` it asks for the greedy continuation. Exactly one of the two is given.
    """

    evaluation: str  # "mmlu", "are_you_sure", ...
    item: str  # the unit that is asked about; the same in every configuration
    condition: str  # which variant of the item: "W+", "rotation=1", "challenge=T,rotation=0"
    cluster: str  # normalised question: items that share it are resampled together
    # Full text, chat template and assistant prefix included. Special tokens are written out; none is put in front.
    prompt: str
    candidates: tuple[str, ...] = ()
    max_new_tokens: int = 0
    stop: tuple[str, ...] = ()  # generation ends before the first of these, and at end-of-sequence
    # What the metrics need to read the scores: gold index, option order, stratum. JSON values only.
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # User and assistant turns that ``prompt`` was made of, the user's last: what a second turn continues, or what the
    # generated form of a probe asks without the assistant's prefix.
    turns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.candidates) == (self.max_new_tokens > 0):
            raise SycojaxError(
                f"request {self.key}: give candidates or max_new_tokens, and not both"
            )
        if any(not candidate for candidate in self.candidates):
            raise SycojaxError(f"request {self.key}: a candidate is the empty string")

    def to_json(self) -> dict[str, Any]:
        """Its fields, as JSON values."""
        return {field: getattr(self, field) for field in self.__dataclass_fields__}

    @property
    def key(self) -> str:
        """Unique within a study."""
        return f"{self.evaluation}/{self.item}/{self.condition}"


def read_requests(path: Path) -> Iterator[Request]:
    """Read JSON lines of ``to_json``. Raises ``SycojaxError`` naming file and line of a damaged one."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                fields: dict[str, Any] = json.loads(line)
                lists = {name: tuple(fields[name]) for name in ("candidates", "stop", "turns")}
                yield Request(**{**fields, **lists})
            except (ValueError, TypeError, LookupError, RecursionError) as error:
                raise SycojaxError(f"{path}:{number}: not a question ({error})") from error
