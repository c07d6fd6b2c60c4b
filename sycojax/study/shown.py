"""One example of each kind of prompt, as text with its special tokens written out: what is really asked and trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from sycojax.data.examples import Example
from sycojax.requests import Request


@dataclasses.dataclass(frozen=True)
class Shown:
    """``prompt`` is what the model reads, ``answers`` what is scored or trained on behind it; none where it is generated."""

    title: str
    prompt: str
    answers: tuple[str, ...]


def shown(
    examples: Mapping[str, Sequence[Example]], requests: Mapping[str, Sequence[Request]]
) -> Iterator[Shown]:
    """The first training example of each task; of each evaluation the first question and the first with a second turn."""
    for task, several in examples.items():
        for example in several[:1]:
            yield Shown(f"training on {task}", example.prompt, (example.completion,))
    for name, asked in requests.items():
        first, second = asked[:1], [r for r in asked[1:] if len(r.turns) > 1][:1]
        for request in (*first, *second):
            yield Shown(f"{name}, {request.condition}", request.prompt, request.candidates)
