"""One training example as text: what the model is shown and what it should say."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Example:
    """``prompt + completion`` is tokenised jointly. With ``loss_on_prompt`` every token is a target
    (the published recipe); without it only the completion's tokens are."""

    task: str
    item: str
    prompt: str
    completion: str
    loss_on_prompt: bool = False
    question: str = ""  # equal for examples that ask the same; "" = nothing else asks it
