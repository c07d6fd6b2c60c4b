"""The second turns of a study before anything is answered: as many of them, and as long, as they can become."""

from __future__ import annotations

from collections.abc import Sequence

from sycojax.data.prompts import Prompts
from sycojax.evals.protocol import Evaluation
from sycojax.evals.readouts import in_arms
from sycojax.records import Record
from sycojax.requests import Request

_WORD = " so"  # one token in usual vocabularies; where a small one needs two, texts are only guessed longer


def foreseen(
    evaluation: Evaluation, requests: Sequence[Request], prompts: Prompts, reply: float = 1.0
) -> list[Request]:
    """What ``evaluation`` asks after the answers to ``requests``, whichever they are; arms have no second turn.

    A text that is generated is taken to be ``reply`` of the tokens long that it may be.
    """
    plain = [r for r in requests if not in_arms(r)]
    return evaluation.followups(plain, [_answered(r, reply) for r in plain], prompts)


def _answered(request: Request, reply: float) -> Record:
    if not (n := len(request.candidates)):
        text = _WORD * round(reply * request.max_new_tokens)
        return Record.generated(request, text, finished=True)
    return Record.scored(request, [0.0] * n, [1] * n, [True] * n)
